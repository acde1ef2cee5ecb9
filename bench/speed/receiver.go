//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// receiver receives deliveries in this process, at a loopback address for each
// endpoint: to the sender, each is a host of its own.
type receiver struct {
	listener net.Listener
	port     string
	ledger   atomic.Pointer[ledger]
	first    atomic.Int64 // when the first delivery arrived, in Unix nanoseconds
}

// ledger records when each event was sent and received, in Unix nanoseconds; 0: not
// yet.
type ledger struct{ sent, received []atomic.Int64 }

func newLedger(events int) *ledger {
	return &ledger{make([]atomic.Int64, events), make([]atomic.Int64, events)}
}

func receive() (*receiver, error) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, err
	}
	r := &receiver{listener: l, port: port}
	go func() { _ = http.Serve(l, r) }()
	return r, nil
}

func (r *receiver) close() { r.listener.Close() }

// endpoint returns the URL of endpoint n, of which there can be 65,000.
func (r *receiver) endpoint(n int, path string) string {
	return fmt.Sprintf("http://127.1.%d.%d:%s/%s", n/250, n%250+1, r.port, path)
}

// ServeHTTP behaves as the path says; by default it accepts the delivery.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	now := time.Now().UnixNano()
	r.first.CompareAndSwap(0, now)
	if behave := behaviours[req.URL.Path[1:]]; behave != nil {
		behave(w, req)
		return
	}
	if l := r.ledger.Load(); l != nil {
		if i, ok := number(body); ok && i < len(l.received) {
			l.received[i].CompareAndSwap(0, now)
		}
	}
}

// payload returns the payload of event i, of the given size. number returns i.
func payload(i, size int) []byte {
	b := strconv.AppendInt([]byte(`{"n":`), int64(i), 10)
	b = append(b, `,"pad":"`...)
	return append(append(b, bytes.Repeat([]byte("x"), max(size-len(b)-2, 0))...), `"}`...)
}

func number(body []byte) (int, bool) {
	digits, _, _ := bytes.Cut(bytes.TrimPrefix(body, []byte(`{"n":`)), []byte(","))
	n, err := strconv.Atoi(string(digits))
	return n, err == nil
}

// behaviours are the ways to misbehave, by path.
var behaviours = map[string]http.HandlerFunc{
	"loris":   loris,
	"endless": endless,
	"late":    late,
	"reset":   reset,
}

// loris sends its header slowly, a byte every half second.
func loris(w http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	for _, b := range []byte("HTTP/1.1 200 OK\r\nX-Slow: " + string(bytes.Repeat([]byte("x"), 1000))) {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// endless sends a body without end. It does so slowly, since to send more than is
// read would only cost the receiver.
func endless(w http.ResponseWriter, _ *http.Request) {
	for piece := make([]byte, 4096); ; time.Sleep(5 * time.Millisecond) {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

// late answers after 14 s, just within the timeout.
func late(w http.ResponseWriter, req *http.Request) {
	select {
	case <-time.After(14 * time.Second):
	case <-req.Context().Done():
	}
}

// reset resets the connection.
func reset(w http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

// blackhole returns an address that answers no SYN until it is released: that of a
// listener with a full queue from which nothing is accepted.
func blackhole() (addr string, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	err = errors.Join(
		syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 2, 0, 1}}),
		syscall.Listen(fd, 0),
	)
	if err != nil {
		return "", nil, errors.Join(err, syscall.Close(fd))
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return "", nil, errors.Join(err, syscall.Close(fd))
	}
	addr = fmt.Sprintf("127.2.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	var held []net.Conn
	for {
		c, err := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		if err != nil {
			break // the queue is full
		}
		held = append(held, c)
	}
	return addr, func() {
		for _, c := range held {
			c.Close()
		}
		_ = syscall.Close(fd)
	}, nil
}

// quantileOf returns the quantile of each list of durations.
func quantileOf(took [][]int64, q float64) (all []float64) {
	for _, ns := range took {
		all = append(all, quantile(ns, q))
	}
	return all
}

// quantile returns a quantile of durations, which are in nanoseconds, by nearest
// rank and in milliseconds. It sorts them.
func quantile(ns []int64, q float64) float64 {
	if len(ns) == 0 {
		return 0
	}
	slices.Sort(ns)
	return float64(ns[int(q*float64(len(ns)-1)+0.5)]) / 1e6
}
