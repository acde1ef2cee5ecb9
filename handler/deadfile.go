package handler

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// deadFile appends a line of JSON to a file for each dead letter, as the API
// shows it, for `tail -f` and log shippers. The store is what counts: what a
// crash keeps from the file is there.
type deadFile struct {
	path   string
	logger *slog.Logger

	lines   chan []byte // closed when the file is
	running sync.WaitGroup
	writing sync.RWMutex // held for reading by those that add a line
	stopped bool

	missed  atomic.Int64 // since the log was told
	lastErr atomic.Pointer[error]
	tell    rate.Sometimes // bounds what it is told

	file *os.File // nil after an error
	torn bool     // it ends within a line
}

// deadFileQueue is how many lines may wait for the disk; more are left out, with
// a word in the log.
const deadFileQueue = 4096

func newDeadFile(path string, logger *slog.Logger) *deadFile {
	return &deadFile{
		path: path, logger: logger, tell: rate.Sometimes{Interval: deadLogEvery},
		lines: make(chan []byte, deadFileQueue),
	}
}

// start opens the file, so that a path that can't be written to fails the
// config.
func (f *deadFile) start() error {
	if err := f.open(); err != nil {
		return fmt.Errorf("dead_letter_log: %w", err)
	}
	f.running.Go(f.run)
	return nil
}

func (f *deadFile) open() (err error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	f.torn = endsTorn(f.path)
	// A pipe that nobody reads is an error: opening one would wait for a reader.
	f.file, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	return err
}

// endsTorn tells whether a file ends within a line, as a full disk or a crash
// leaves it. What is no plain file, or can't be read, passes for whole.
func endsTorn(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	var last [1]byte
	n, _ := file.ReadAt(last[:], info.Size()-1)
	return n == 1 && last[0] != '\n'
}

// stop writes what waits, and closes the file if it is open.
func (f *deadFile) stop() {
	f.writing.Lock()
	f.stopped = true
	close(f.lines)
	f.writing.Unlock()
	f.running.Wait()
	f.file.Close()
	f.tellMissed()
}

// write has a line written, and doesn't wait for it.
func (f *deadFile) write(r *outbound.Record) {
	line, err := api.DeadLetter(r)
	if err != nil {
		f.leaveOut(1, err)
		return
	}
	f.writing.RLock()
	defer f.writing.RUnlock()
	if f.stopped {
		f.leaveOut(1, errors.New("the configuration that writes it has ended"))
		return
	}
	select {
	case f.lines <- line:
	default:
		f.leaveOut(1, fmt.Errorf("the disk is too slow: %d lines wait for it", deadFileQueue))
	}
}

func (f *deadFile) run() {
	for line := range f.lines {
		f.append(line)
	}
}

// append writes a line, and those that wait behind it, to the file that has the
// path now: whoever rotates it moves it away. A line that was cut short is ended
// first, so that it spoils no other.
func (f *deadFile) append(lines []byte) {
	for more := len(f.lines); more > 0; more-- {
		lines = append(lines, <-f.lines...)
	}
	err := f.follow()
	if err == nil && f.torn {
		_, err = f.file.Write([]byte{'\n'})
	}
	if err == nil {
		var n int
		n, err = f.file.Write(lines)
		lines = lines[n:]
		f.torn = false
	}
	if err != nil {
		f.torn = endsTorn(f.path)
		f.leaveOut(bytes.Count(lines, []byte{'\n'}), err)
	} else if f.missed.Load() > 0 {
		f.tell.Do(f.tellMissed) // of those since the last word
	}
}

// follow opens the path anew where the open file isn't there any more.
func (f *deadFile) follow() error {
	open, err := f.file.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(f.path); err == nil && os.SameFile(open, there) {
			return nil
		}
	}
	f.file.Close()
	return f.open()
}

func (f *deadFile) leaveOut(lines int, err error) {
	f.missed.Add(int64(lines))
	f.lastErr.Store(&err)
	f.tell.Do(f.tellMissed)
}

// tellMissed says how many lines are missing, if any are.
func (f *deadFile) tellMissed() {
	if missed := f.missed.Swap(0); missed > 0 {
		f.logger.Error("dead letters are missing from the dead-letter log; caddy webhooks dead-letters list has them",
			"path", f.path, "dead_letters", missed, "error", *f.lastErr.Load())
	}
}
