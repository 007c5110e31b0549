// SPDX-License-Identifier: LGPL-2.1-or-later

// The HTTP server of Go's own library on fd 3: says when it is ready, and shuts down in order at SIGTERM.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func notify(text string) {
	if c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET")); err == nil {
		c.Write([]byte(text))
		c.Close()
	}
}

func main() {
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		panic(err)
	}
	body := fmt.Sprintf("pid=%d\n", os.Getpid())
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Worker-Pid", fmt.Sprint(os.Getpid()))
		fmt.Fprint(w, body)
	})}
	done := make(chan struct{})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		server.Shutdown(context.Background())
		close(done)
	}()
	notify("READY=1")
	server.Serve(listener)
	<-done
}
