// The Go peer of the server bench: the same lines on stdin and stdout as peer-process.ts, the same answer, net/http.
// Usage: main BODY TYPE IDLE_MS. CPU time is getrusage of the whole process, collector included.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func cpuMicros() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano()/1000 + usage.Stime.Nano()/1000
}

// Resident bytes, after a collection whose pages went back to the system.
func residentBytes() (int64, error) {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

func main() {
	body, contentType := []byte(os.Args[1]), os.Args[2]
	idleMs, _ := strconv.Atoi(os.Args[3])
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(body)
	})
	server := &http.Server{Handler: mux, IdleTimeout: time.Duration(idleMs) * time.Millisecond}

	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		verb, _, _ := strings.Cut(lines.Text(), " ")
		answer, err := "", error(nil)
		switch verb {
		case "listen":
			var listener net.Listener
			if listener, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
				go server.Serve(listener)
				answer = fmt.Sprintf(`{"port":%d}`, listener.Addr().(*net.TCPAddr).Port)
			}
		case "usage":
			answer = fmt.Sprintf(`{"cpuUs":%d}`, cpuMicros())
		case "memory":
			var resident int64
			resident, err = residentBytes()
			answer = fmt.Sprintf(`{"rssBytes":%d}`, resident)
		default:
			err = fmt.Errorf("unknown verb %s", verb)
		}
		if err != nil {
			answer = fmt.Sprintf(`{"error":%q}`, err.Error())
		}
		fmt.Println(answer)
	}
}
