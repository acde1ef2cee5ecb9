package handler

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// A dead letter log can be a pipe. Without a reader, the config fails to load instead
// of waiting for one.
func TestDeadLetterLogIsAPipe(t *testing.T) {
	f := &deadFile{path: filepath.Join(t.TempDir(), "dead.ndjson")}
	must.Do(t, syscall.Mkfifo(f.path, 0o600))
	opened := make(chan error, 1)
	go func() { opened <- f.open() }()
	if must.Receive(t, opened, "opening the pipe, which must not wait for a reader") == nil {
		t.Error("a pipe without a reader was opened")
	}

	reader := must.Get(os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0))(t)
	defer reader.Close()
	must.Do(t, f.open())
	f.appends(t, some(1))
	f.close()
	if line, err := io.ReadAll(reader); err != nil || len(line) == 0 {
		t.Errorf("read %q, %v, want a line", line, err)
	}
}

// If a pipe's reader goes away in the middle of a line, that dead letter is written
// again on a line of its own.
func TestDeadLetterLogIsAPipeThatBreaks(t *testing.T) {
	f := &deadFile{path: filepath.Join(t.TempDir(), "dead.ndjson")}
	must.Do(t, syscall.Mkfifo(f.path, 0o600))
	reader := must.Get(os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0))(t)
	must.Do(t, f.open())
	letters, written := some(1000), make(chan int)
	go func() {
		n, err := f.append(letters)
		if err == nil {
			t.Error("got no error although the pipe was full and its reader gone")
		}
		written <- n
	}()
	var start [1]byte
	must.Get(io.ReadFull(reader, start[:]))(t)
	reader.Close()
	n := <-written
	next := must.Get(os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0))(t)
	defer next.Close()
	got := make(chan []byte)
	go func() {
		rest, _ := io.ReadAll(next) // what can't be read is missing below
		got <- rest
	}()
	f.appends(t, letters[n:n+1])
	f.close()
	whole := 0
	for line := range bytes.Lines(append(start[:], <-got...)) {
		if json.Valid(line) {
			whole++
		}
	}
	if whole != n+1 {
		t.Errorf("got %d complete lines, want %d", whole, n+1)
	}
}
