// The Go peer of the client bench: the same lines on stdin and stdout as peer-process.ts, the same work, net/http.
// Usage: main PORT IN_FLIGHT BODY_LENGTH. One block's CPU time is getrusage of the whole process, collector included.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

func get(client *http.Client, url string, length int) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if text := string(body); len(text) != length {
		return fmt.Errorf("a body of %d bytes, not %d", len(text), length)
	}
	return nil
}

func main() {
	inFlight, _ := strconv.Atoi(os.Args[2])
	length, _ := strconv.Atoi(os.Args[3])
	url := "http://127.0.0.1:" + os.Args[1] + "/"
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: inFlight, MaxIdleConnsPerHost: inFlight}}

	lap := func(count int) (failure error) {
		left := int64(count)
		var once sync.Once
		var lanes sync.WaitGroup
		for lane := 0; lane < inFlight; lane++ {
			lanes.Add(1)
			go func() {
				defer lanes.Done()
				for atomic.AddInt64(&left, -1) >= 0 {
					if err := get(client, url, length); err != nil {
						once.Do(func() { failure = err })
						return
					}
				}
			}()
		}
		lanes.Wait()
		return failure
	}
	warm := func(ms int) (string, error) {
		from, count, size := time.Now(), 0, inFlight*16
		for time.Since(from) < time.Duration(ms)*time.Millisecond {
			if err := lap(size); err != nil {
				return "", err
			}
			count += size
		}
		return fmt.Sprintf(`{"rate":%f}`, float64(count)/time.Since(from).Seconds()), nil
	}
	block := func(count int) (string, error) {
		if err := lap(inFlight * 4); err != nil {
			return "", err
		}
		cpu, from := cpuMicros(), time.Now()
		err := lap(count)
		wall, used := time.Since(from), cpuMicros()-cpu
		return fmt.Sprintf(`{"cpuUs":%d,"wallMs":%f}`, used, wall.Seconds()*1000), err
	}

	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		verb, argument, _ := strings.Cut(lines.Text(), " ")
		number, _ := strconv.Atoi(argument)
		run := block
		if verb == "warm" {
			run = warm
		}
		answer, err := run(number)
		if err != nil {
			answer = fmt.Sprintf(`{"error":%q}`, err.Error())
		}
		fmt.Println(answer)
	}
}
