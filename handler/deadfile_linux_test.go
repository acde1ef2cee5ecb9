package handler

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A dead letter log can be a pipe. Without a reader, the config fails to load instead
// of waiting for one.
func TestDeadLetterLogIsAPipe(t *testing.T) {
	f := &deadFile{path: filepath.Join(t.TempDir(), "dead.ndjson")}
	if err := syscall.Mkfifo(f.path, 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() { opened <- f.open() }()
	select {
	case err := <-opened:
		if err == nil {
			t.Error("a pipe without a reader was opened")
		}
	case <-time.After(patience):
		t.Fatal("opening the pipe waits for a reader")
	}

	reader := must(os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0))
	defer reader.Close()
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
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
	if err := syscall.Mkfifo(f.path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader := must(os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0))
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	letters, written := some(1000), make(chan int)
	go func() {
		n, err := f.append(letters)
		if err == nil {
			t.Error("got no error although the pipe was full and its reader gone")
		}
		written <- n
	}()
	var start [1]byte
	must(io.ReadFull(reader, start[:]))
	reader.Close()
	n := <-written
	next := must(os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0))
	defer next.Close()
	got := make(chan []byte)
	go func() { got <- must(io.ReadAll(next)) }()
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
