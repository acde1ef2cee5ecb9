package handler

import (
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
