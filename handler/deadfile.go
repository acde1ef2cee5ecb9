package handler

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// deadFile appends a line of JSON to a file for each dead letter, as the API
// shows it, for `tail -f` and log shippers.
type deadFile struct {
	path string

	mu     sync.Mutex // held while lines are written
	file   *os.File
	torn   bool // it ends within a line
	closed bool
}

// deadFilePatience is how long the reader of a pipe may take.
const deadFilePatience = 5 * time.Second

// open opens the file, so that a path that can't be written to fails the config.
func (f *deadFile) open() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.reopen(); err != nil {
		return fmt.Errorf("dead_letter_log: %w", err)
	}
	return nil
}

// close is for when another config's file has taken over, or nothing dies any more.
func (f *deadFile) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.file.Close()
}

// append writes dead letters to the file that has the path now, since whoever
// rotates it moves it away, and returns how many are on disk. A line that was cut
// short is ended first, so that it spoils no other.
func (f *deadFile) append(letters []*outbound.Record) (int, error) {
	var lines []byte
	for _, r := range letters {
		line, err := api.DeadLetter(r)
		if err != nil {
			return 0, err
		}
		lines = append(lines, line...)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, errors.New("the configuration that writes it has ended")
	}
	if err := f.follow(); err != nil {
		return 0, err
	}
	n, err := f.write(lines)
	return bytes.Count(lines[:n], []byte{'\n'}), err
}

// write writes lines, and returns how many bytes of them are on disk.
func (f *deadFile) write(lines []byte) (int, error) {
	_ = f.file.SetWriteDeadline(time.Now().Add(deadFilePatience)) // of a pipe
	if f.torn {
		if _, err := f.file.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(lines)
	f.torn = n > 0 && lines[n-1] != '\n'
	if synced := f.file.Sync(); synced != nil && !errors.Is(synced, syscall.EINVAL) { // which is a pipe's
		return 0, synced
	}
	return n, err
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
	return f.reopen()
}

func (f *deadFile) reopen() (err error) {
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
