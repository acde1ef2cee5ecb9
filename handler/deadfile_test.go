package handler

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// logged opens a log of dead letters in a folder that isn't there yet.
func logged(t *testing.T) (d *deaths, path string) {
	path = filepath.Join(t.TempDir(), "logs", "dead.ndjson")
	d = newDeaths()
	d.file = newDeadFile(path, slog.New(slog.NewTextHandler(d, nil)))
	return d, path
}

// lines are those of a file.
func lines(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), `{"delivery_id":"dlv_`)
}

func TestDeadLetterLog(t *testing.T) {
	d, path := logged(t)
	if err := d.file.start(); err != nil {
		t.Fatal(err)
	}
	d.file.write(d.death(1))
	d.file.write(d.death(1))
	d.file.stop()
	if n := lines(t, path); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v (%v)", info.Mode(), err)
	}

	// another config goes on with the file
	d.file = newDeadFile(path, d.logger)
	if err := d.file.start(); err != nil {
		t.Fatal(err)
	}
	d.file.write(d.death(1))
	d.file.stop()
	if n := lines(t, path); n != 3 {
		t.Errorf("%d lines, want 3", n)
	}
}

// A file that was moved away is followed by a new one.
func TestDeadLetterLogIsRotated(t *testing.T) {
	d, path := logged(t)
	if err := d.file.open(); err != nil {
		t.Fatal(err)
	}
	d.file.write(d.death(1))
	d.file.append(<-d.file.lines)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	d.file.write(d.death(1))
	d.file.write(d.death(1))
	d.file.append(<-d.file.lines)
	d.file.stop()
	if old, now := lines(t, path+".1"), lines(t, path); old != 1 || now != 2 {
		t.Errorf("%d lines in the old file and %d in the new one, want 1 and 2", old, now)
	}
}

// What can't be written is said, and once it can be, the lines go on.
func TestDeadLetterLogThatFails(t *testing.T) {
	d, path := logged(t)
	if err := d.file.open(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil { // in the folder's place
		t.Fatal(err)
	}
	for range 2 {
		d.file.write(d.death(1))
		d.file.append(<-d.file.lines)
	}
	if told := d.written(); strings.Count(told, "missing from the dead-letter log") != 1 || !strings.Contains(told, "dead_letters=1") {
		t.Errorf("the log: %s", told)
	}
	if err := os.Remove(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	d.file.write(d.death(1))
	d.file.append(<-d.file.lines)
	d.file.stop()
	if n := lines(t, path); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
	if told := d.written(); !strings.Contains(told, "dead_letters=1") { // the second one
		t.Errorf("the log at the end: %s", told)
	}
}

func TestDeadLetterLogThatIsSlow(t *testing.T) {
	d, path := logged(t)
	for range deadFileQueue + 3 {
		d.file.write(d.death(1))
	}
	if told := d.written(); !strings.Contains(told, "the disk is too slow") {
		t.Errorf("the log: %s", told)
	}
	if err := d.file.start(); err != nil {
		t.Fatal(err)
	}
	d.file.stop()
	if n := lines(t, path); n != deadFileQueue {
		t.Errorf("%d lines, want %d", n, deadFileQueue)
	}
}
