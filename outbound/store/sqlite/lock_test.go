package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// TestSecondProcess checks that only one process can have a file, that the error names the
// process, and that another one gets the file after it has ended, in whatever way.
func TestSecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	c := startChild(t, "hold", path)
	if !c.out.Scan() || c.out.Text() != "open" {
		t.Fatalf("the other process printed %q", c.out.Text())
	}
	var log strings.Builder
	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, LockWait: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	t.Log(err)
	for _, part := range []string{"level=WARN", "waiting for another process to close the file", "path=" + path, fmt.Sprintf("process %d on host", c.cmd.Process.Pid), "at_most=1ms"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("logged %q, want %q in it", log.String(), part)
		}
	}
	if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("process %d on host", c.cmd.Process.Pid)) {
		t.Errorf("got %v, want store.ErrInUse with the other process's id", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sqlite.Open(ctx, sqlite.Config{Path: path}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting: got error %v", err)
	}
	opened := make(chan error)
	go func() {
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, LockWait: time.Minute})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	c.kill()
	if err := <-opened; err != nil {
		t.Errorf("after the other process has ended: got error %v", err)
	}
	if who, err := os.ReadFile(path + ".lock"); err != nil || len(who) > 0 {
		t.Errorf("the lock file after closing: %q, error %v", who, err)
	}
}

// TestDeletedLock checks that a store whose lock file is deleted neither stores nor claims
// anything while another process has opened it because of that, and takes the lock anew else.
func TestDeletedLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	s := open(t, path)
	write := func() error { return s.PutEventType(t.Context(), store.EventType{Name: "a"}) }
	must.Do(t, os.Remove(path+".lock"))
	c := startChild(t, "hold", path)
	if !c.out.Scan() || c.out.Text() != "open" {
		t.Fatalf("the other process printed %q", c.out.Text())
	}
	if err := write(); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), fmt.Sprintf("process %d on host", c.cmd.Process.Pid)) {
		t.Errorf("while another process has it: got error %v", err)
	}
	if _, err := s.Claim(t.Context(), time.Now(), 1, nil); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("while another process has it: claimed with error %v", err)
	}
	c.kill()
	must.Do(t, write())
	must.Do(t, os.Remove(path+".lock"))
	must.Do(t, write())
	if who, err := os.ReadFile(path + ".lock"); err != nil || !strings.HasPrefix(string(who), fmt.Sprintf("process %d on", os.Getpid())) {
		t.Errorf("the lock file: %q, error %v", who, err)
	}
}

// TestLockOfAnother checks that the error names a lock that can't be opened, such as that
// of another user.
func TestLockOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	must.Do(t, os.Mkdir(path+".lock", 0o700)) // root can open anything else
	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err == nil || !strings.Contains(err.Error(), path+".lock") || !strings.HasSuffix(err.Error(), "use a local disk, and let the user that runs this write it and its directory") {
		t.Errorf("got error %v", err)
	}
}

// TestSecondOpen checks that a process can open a file only once, by whatever name.
func TestSecondOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "webhooks.db")
	s := open(t, path)
	link := filepath.Join(dir, "link.db")
	must.Do(t, os.Symlink(path, link))
	must.Do(t, os.Symlink(dir, filepath.Join(dir, "here")))
	for _, name := range []string{path, dir + "/../" + filepath.Base(dir) + "/webhooks.db", link, filepath.Join(dir, "here", "webhooks.db")} {
		_, err := sqlite.Open(t.Context(), sqlite.Config{Path: name})
		if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), "this process") {
			t.Errorf("%s: got %v, want store.ErrInUse", name, err)
		}
	}
	must.Do(t, s.Close())
	if err := open(t, link).Close(); err != nil {
		t.Errorf("after closing: got error %v", err)
	}
}
