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

// TestDeadLetterLogIsAPipe: one that nobody reads fails the config, and doesn't hold
// it up.
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
			t.Error("it is taken for a file")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for a reader")
	}

	reader, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	f.appends(t, some(1))
	f.close()
	if line, err := io.ReadAll(reader); err != nil || len(line) == 0 {
		t.Errorf("read %q, %v", line, err)
	}
}

// TestDeadLetterLogIsAPipeThatBreaks: what its reader got only the start of comes
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
			t.Error("more is written than a pipe holds")
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
		t.Errorf("%d lines are whole, want %d", whole, n+1)
	}
}
