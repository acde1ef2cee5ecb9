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
	d, path := logged(t)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- d.file.start() }()
	select {
	case err := <-started:
		if err == nil {
			t.Error("it is taken for a file")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for a reader")
	}

	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := d.file.start(); err != nil {
		t.Fatal(err)
	}
	d.file.write(d.death(1).Record())
	d.file.stop()
	if line, err := io.ReadAll(reader); err != nil || len(line) == 0 {
		t.Errorf("read %q, %v", line, err)
	}
}
