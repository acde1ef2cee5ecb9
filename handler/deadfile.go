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

// deadFile is the dead_letter_log: a file with a line for each dead letter, which
// is the same JSON as in the API.
type deadFile struct {
	path string

	mu     sync.Mutex // held while lines are written
	file   *os.File
	torn   bool // the last line is incomplete
	closed bool
}

// deadFileTimeout is how long a write may block if the file is a pipe.
const deadFileTimeout = 5 * time.Second

// open opens the file, so that a config with a path that can't be written to
// doesn't load.
func (f *deadFile) open() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.reopen(); err != nil {
		return fmt.Errorf("dead_letter_log: %w", err)
	}
	return nil
}

// close closes the file. From then on, append returns an error.
func (f *deadFile) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.file.Close()
}

// append writes dead letters, and returns how many of them are on disk. If the
// file has been moved away, as log rotation does, they go to a new one. An
// incomplete last line is ended first, so that it doesn't spoil the next one.
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
		return 0, errors.New("the config that writes it is no longer running")
	}
	if err := f.follow(); err != nil {
		return 0, err
	}
	n, err := f.write(lines)
	return bytes.Count(lines[:n], []byte{'\n'}), err
}

// write writes lines, and returns how many bytes of them are on disk.
func (f *deadFile) write(lines []byte) (int, error) {
	_ = f.file.SetWriteDeadline(time.Now().Add(deadFileTimeout)) // works for pipes only
	if f.torn {
		if _, err := f.file.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(lines)
	f.torn = n > 0 && lines[n-1] != '\n'
	if syncErr := f.file.Sync(); syncErr != nil && !errors.Is(syncErr, syscall.EINVAL) { // EINVAL: it is a pipe
		return 0, syncErr
	}
	return n, err
}

// follow reopens the path if the open file isn't there any more.
func (f *deadFile) follow() error {
	open, openErr := f.file.Stat()
	named, namedErr := os.Stat(f.path)
	if openErr == nil && namedErr == nil && os.SameFile(open, named) {
		return nil
	}
	f.file.Close()
	return f.reopen()
}

func (f *deadFile) reopen() (err error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	f.torn = endsTorn(f.path)
	// O_NONBLOCK: opening a pipe without a reader fails instead of waiting for one.
	f.file, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	return err
}

// endsTorn reports whether a file's last line is incomplete, as after a crash or a
// full disk. It returns false if it isn't a regular file or can't be read.
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
