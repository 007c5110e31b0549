// SPDX-License-Identifier: LGPL-2.1-or-later

// An HTTP server on the socket that it is handed (fd 3), on package net alone: it ends in order at SIGTERM.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

func serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	body := fmt.Sprintf("%d\n", os.Getpid())
	for {
		closing := false
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if strings.EqualFold(strings.TrimSpace(line), "connection: close") {
				closing = true
			}
			if strings.TrimSpace(line) == "" {
				break
			}
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Worker: %d\r\n\r\n%s", len(body), os.Getpid(), body)
		if closing {
			return
		}
	}
}

func main() {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		panic(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() { <-stop; l.Close() }()
	if path := os.Getenv("NOTIFY_SOCKET"); path != "" {
		if c, err := net.Dial("unixgram", path); err == nil {
			fmt.Fprint(c, "READY=1")
			c.Close()
		}
	}
	var all sync.WaitGroup
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		all.Add(1)
		go func() { defer all.Done(); serve(c) }()
	}
}
