package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestStoreFile checks that only the owner can read the store's file.
func TestStoreFile(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	s.publish(event{Type: "a"})
	for _, file := range []string{s.db, s.db + "-wal"} {
		info := must.Get(os.Stat(file))(t)
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has the mode %v, want 0600", file, mode)
		}
	}
}

// TestForeignStore checks that a file that isn't a store is refused and left unchanged.
func TestForeignStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other.db")
	c := must.Get(sqlite.OpenConn(other, sqlite.OpenCreate, sqlite.OpenReadWrite))(t)
	must.Do(t, sqlitex.ExecuteScript(c, "CREATE TABLE delivery (id INTEGER PRIMARY KEY); INSERT INTO delivery VALUES (7);", nil))
	c.Close()
	foreign := must.Get(os.ReadFile(other))(t)
	newer := bytes.Clone(foreign)
	copy(newer[68:], "whks")             // our application id
	copy(newer[60:], []byte{0, 0, 9, 9}) // the format of a future version

	for _, f := range []struct {
		name    string
		content []byte
		words   []string
	}{
		{"text", []byte("Dear diary,\n"), []string{"not a SQLite database", "another path"}},
		{"the database of another program", foreign, []string{"another program", "another path"}},
		{"a store of a newer version", newer, []string{"newer version"}},
		{"the beginning of a database", []byte("SQLite format 3\x00"), []string{"not a SQLite database"}},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, withOptions(local))
			must.Do(t, os.WriteFile(s.db, f.content, 0o644))
			old := time.Now().Add(-time.Hour).Truncate(time.Second)
			must.Do(t, os.Chtimes(s.db, old, old))
			err := s.tryStart()
			if err == nil {
				t.Fatal("it was opened")
			}
			for _, w := range append(f.words, s.db) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in: %v", w, err)
				}
			}
			s.untouched(f.content, old)
		})
	}
	t.Run("a directory", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, withOptions(local))
		must.Do(t, os.Mkdir(s.db, 0o700))
		if err := s.tryStart(); err == nil || !strings.Contains(err.Error(), "directory") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("a file that can't be read", func(t *testing.T) {
		t.Parallel()
		if os.Getuid() == 0 {
			t.Skip("root can read every file")
		}
		s := newServer(t, withOptions(local))
		must.Do(t, os.WriteFile(s.db, nil, 0o000))
		if err := s.tryStart(); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("at a reload", func(t *testing.T) {
		t.Parallel()
		s := startServer(t, withOptions(local))
		file := filepath.Join(s.dir, "diary.txt")
		must.Do(t, os.WriteFile(file, []byte("Dear diary,\n"), 0o600))
		refusal := s.load(strings.Replace(withOptions(local), "{$DB}", file, 1))
		if !strings.Contains(refusal, "not a SQLite database") {
			t.Errorf("the refusal is %q", refusal)
		}
		r := newReceiver(t)
		sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
		s.settled(s.publish(event{Type: "a"}), sub, "delivered")
	})
}

// untouched fails the test if the store's file has changed, or if there is another file than
// it and its lock.
func (s *server) untouched(content []byte, modified time.Time) {
	s.t.Helper()
	got := must.Get(os.ReadFile(s.db))(s.t)
	info := must.Get(os.Stat(s.db))(s.t)
	if !bytes.Equal(got, content) || info.Mode().Perm() != 0o644 || !info.ModTime().Equal(modified) {
		s.t.Errorf("the file was changed: %d bytes of %d, mode %v, modified %v", len(got), len(content), info.Mode(), info.ModTime())
	}
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if _, err := os.Stat(s.db + suffix); err == nil {
			s.t.Errorf("%s was made", s.db+suffix)
		}
	}
}

// TestSecondProcess checks that a store that another process has open is refused with an
// error that names the process, and that the other process isn't disturbed.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	first := startServer(t, withOptions(local))
	r := newReceiver(t)
	sub, _ := first.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	second := newServer(t, strings.Replace(withOptions(local), "{$DB}", first.db, 1))
	err := second.tryStart()
	if err == nil {
		t.Fatal("it was opened by both")
	}
	for _, w := range []string{first.db, fmt.Sprintf("process %d", first.cmd.Process.Pid)} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in: %v", w, err)
		}
	}
	first.settled(first.publish(event{Type: "a"}), sub, "delivered")
}

// TestRollingRestart checks that the next process waits for the one before it.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	first := startServer(t, withOptions(local))
	id := first.publish(event{Type: "a"})
	second := newServer(t, strings.Replace(withOptions(local), "{$DB}", first.db, 1))
	started := make(chan error)
	go func() { started <- second.tryStart() }()
	must.Eventually(t, "the start of the second", func() bool { return strings.Contains(second.log(), "admin endpoint started") })
	first.stop()
	must.Do(t, <-started)
	if got := second.reader().get("/events/" + id).text("event_id"); got != id {
		t.Errorf("the second has %q", got)
	}
}
