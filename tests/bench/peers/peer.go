// SPDX-License-Identifier: LGPL-2.1-or-later

// The rows of bench-ait in Go, one processor: goroutines for tasks, a WaitGroup for a scope, a context for cancellation. Rows, options and
// output are those of harness.h.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

var size, repeats, samples int

func cpuTime() int64 {
	const clockProcessCPU = 2
	var ts syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockProcessCPU, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

func sample(prefix string, operations int, work func()) {
	cpu, wall := cpuTime(), time.Now()
	work()
	cpu, elapsed := cpuTime()-cpu, time.Since(wall)
	fmt.Printf("%scpu_ns %.3f\n", prefix, float64(cpu)/float64(operations))
	fmt.Printf("%swall_ns %.3f\n", prefix, float64(elapsed.Nanoseconds())/float64(operations))
}

func field(path, key string) float64 {
	text, _ := os.ReadFile(path)
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, key) {
			value, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			return value * 1024
		}
	}
	return 0
}

func memory() (resident, tables float64) {
	return field("/proc/self/smaps_rollup", "Rss:"), field("/proc/self/status", "VmPTE:")
}

// Runs body n times at once and waits for all.
func spawnAndJoin(n int, body func()) {
	var group sync.WaitGroup
	group.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			body()
			group.Done()
		}()
	}
	group.Wait()
}

func spawnLive() {
	for s := 0; s < samples; s++ {
		sample("", size*repeats, func() {
			for k := 0; k < repeats; k++ {
				spawnAndJoin(size, runtime.Gosched)
			}
		})
	}
}

func spawnEnd() {
	for s := 0; s < samples; s++ {
		sample("", repeats, func() {
			for k := 0; k < repeats; k++ {
				spawnAndJoin(1, func() {})
			}
		})
	}
}

func switchSame() {
	for s := 0; s < samples; s++ {
		sample("", size*repeats, func() {
			spawnAndJoin(size, func() {
				for k := 0; k < repeats; k++ {
					runtime.Gosched()
				}
			})
		})
	}
}

// n goroutines that sleep until they are cancelled, all of them asleep.
func sleepers(n int) (cancel func(), join *sync.WaitGroup) {
	ctx, cancel := context.WithCancel(context.Background())
	join = new(sync.WaitGroup)
	join.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			timer := time.NewTimer(time.Hour)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
			join.Done()
		}()
	}
	for i := 0; i < 3; i++ {
		runtime.Gosched()
	}
	return cancel, join
}

func park() {
	resident, tables := memory()
	cancel, join := sleepers(size)
	after, tablesAfter := memory()
	fmt.Printf("resident_bytes %.3f\n", (after-resident)/float64(size))
	fmt.Printf("table_bytes %.3f\n", (tablesAfter-tables)/float64(size))
	cancel()
	join.Wait()
}

func cancelAll() {
	for s := 0; s < samples; s++ {
		cancel, join := sleepers(size)
		sample("", size, func() {
			cancel()
			join.Wait()
		})
	}
}

func timers() {
	seed := uint32(1)
	for s := 0; s < samples; s++ {
		prefix := ""
		if s == 0 {
			prefix = "cold_"
		}
		sample(prefix, size, func() {
			spawnAndJoin(size, func() {
				seed = seed*1664525 + 1013904223
				time.Sleep(time.Duration(1000+(seed>>8)%99000) * time.Microsecond)
			})
		})
	}
}

func serve(connection net.Conn) {
	buffer := make([]byte, 1024)
	for {
		n, err := connection.Read(buffer)
		if n > 0 {
			_, err = connection.Write(buffer[:n])
		}
		if err != nil {
			if err != io.EOF {
				fmt.Fprintln(os.Stderr, err)
			}
			connection.Close()
			return
		}
	}
}

func echo() {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	output := bufio.NewWriter(os.Stdout)
	fmt.Fprintf(output, "port %d\n", listener.Addr().(*net.TCPAddr).Port)
	output.Flush()
	for {
		connection, err := listener.Accept()
		if err == nil {
			go serve(connection)
		}
	}
}

func main() {
	rows := map[string]func(){
		"spawn-live": spawnLive, "spawn-end": spawnEnd, "switch-same": switchSame, "park": park,
		"cancel": cancelAll, "timers": timers, "echo": echo,
	}
	run := rows[os.Args[1]]
	if run == nil {
		os.Exit(77)
	}
	flags := flag.NewFlagSet("peer", flag.ExitOnError)
	flags.IntVar(&size, "n", 1000, "size")
	flags.IntVar(&repeats, "r", 1, "repeats")
	flags.IntVar(&samples, "s", 1, "samples")
	_ = flags.Parse(os.Args[2:])
	runtime.GOMAXPROCS(1)
	run()
}
