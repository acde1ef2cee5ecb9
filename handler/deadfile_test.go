package handler

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
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

// until waits for what has no signal of its own.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestDeadLetterLog(t *testing.T) {
	d, path := logged(t)
	if err := d.file.start(); err != nil {
		t.Fatal(err)
	}
	d.file.write(d.death(1).Record())
	d.file.write(d.death(1).Record())
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
	d.file.write(d.death(1).Record())
	d.file.stop()
	if n := lines(t, path); n != 3 {
		t.Errorf("%d lines, want 3", n)
	}
}

// What can't be written is said, and once it can be, the lines go on.
func TestDeadLetterLogThatFails(t *testing.T) {
	d, path := logged(t)
	if err := d.file.start(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil { // in the folder's place
		t.Fatal(err)
	}
	told := d.missTwo(t)
	if told += d.written(); strings.Count(told, "missing from the dead-letter log") != 1 || !strings.Contains(told, "dead_letters=1") {
		t.Errorf("the log: %s", told)
	}
	if err := os.Remove(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	d.file.write(d.death(1).Record())
	d.file.stop()
	if n := lines(t, path); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
	if told := d.written(); !strings.Contains(told, "dead_letters=1") { // the second one
		t.Errorf("the log at the end: %s", told)
	}
}

// missTwo has two lines left out, and returns what the log says by then, which knows
// of the first.
func (d *deaths) missTwo(t *testing.T) (told string) {
	t.Helper()
	d.file.write(d.death(1).Record())
	until(t, "the word that it is missing", func() bool { told += d.written(); return told != "" })
	d.file.write(d.death(1).Record())
	until(t, "the second one", func() bool { return d.file.missed.Load() == 1 })
	return told
}

// A line that a crash has cut short spoils none that comes after it.
func TestDeadLetterLogThatEndsTorn(t *testing.T) {
	d, path := logged(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	const torn = `{"delivery_id":"dlv_0000`
	if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // of which one has nothing to end
		d.file = newDeadFile(path, d.logger)
		if err := d.file.start(); err != nil {
			t.Fatal(err)
		}
		d.file.write(d.death(1).Record())
		d.file.stop()
	}
	got := strings.Split(strings.TrimSuffix(string(must(os.ReadFile(path))), "\n"), "\n")
	if len(got) != 3 || got[0] != torn || !json.Valid([]byte(got[1])) || !json.Valid([]byte(got[2])) {
		t.Errorf("the file: %s", got)
	}
}

// Those that were left out last are told when the lines go on, and not only at the end.
func TestDeadLetterLogThatGoesOn(t *testing.T) {
	d, path := logged(t)
	d.file.tell = rate.Sometimes{Every: 2}
	if err := d.file.start(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // in the file's place
		t.Fatal(err)
	}
	d.missTwo(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	d.file.write(d.death(1).Record())
	until(t, "the word on the second one", func() bool { return strings.Contains(d.written(), "dead_letters=1") })
	d.file.stop()
}

func TestDeadLetterLogThatIsSlow(t *testing.T) {
	d, path := logged(t)
	for range deadFileQueue + 3 {
		d.file.write(d.death(1).Record())
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

// Nothing is delivered by a config whose log can't be opened: its store isn't either.
func TestDeadLetterLogIsOpenedFirst(t *testing.T) {
	runCaddy(t, "", "")
	path := filepath.Join(t.TempDir(), "webhooks.db")
	refusal := loadCaddy(t, "webhooks {\nstore sqlite "+path+"\ndead_letter_log /dev/null/dead.ndjson\n}", "")
	if !strings.Contains(refusal, "dead_letter_log") {
		t.Errorf("the config was not refused: %q", refusal)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the store was opened (%v)", err)
	}
}

// TestDeadLetterLogIsClosedLast: an outcome that is stored when the engine is being
// closed is written as well.
func TestDeadLetterLogIsClosedLast(t *testing.T) {
	receiver, dir := newApp(t), t.TempDir()
	asked, answer := make(chan struct{}), make(chan struct{})
	receiver.respond(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		w.WriteHeader(http.StatusTeapot)
	})
	db, path := filepath.Join(dir, "webhooks.db"), filepath.Join(dir, "dead.ndjson")
	runCaddy(t, fmt.Sprintf(`grace_period 1ms
	webhooks {
		store sqlite %s
		dead_letter_log %s
		retry exponential {
			attempts 1
		}
		egress {
			allow 127.0.0.1
		}
		subscription crm {
			url %s
			event_types *
		}
	}`, db, path, receiver.URL), fmt.Sprintf("http://127.0.0.1:%d {\n}", freePort()))
	publish := must(http.NewRequest("POST", fmt.Sprintf("http://localhost:%d/webhooks/events", adminPort()), strings.NewReader(`{"event_type":"a","payload":1}`)))
	publish.Header.Set("Content-Type", "application/json")
	do(t, publish).want(t, http.StatusAccepted)
	<-asked
	other := must(sqlite.OpenConn(db))
	defer other.Close()
	if err := sqlitex.ExecuteTransient(other, "BEGIN IMMEDIATE", nil); err != nil {
		t.Fatal(err)
	}
	close(answer)
	for openEngines()[0].InFlight() > 0 {
		time.Sleep(time.Millisecond)
	}
	ended := make(chan string, 1)
	go func() {
		defer close(ended)
		ended <- loadCaddy(t, "", "")
	}()
	for len(openEngines()) > 0 { // until all is stopped and the engine is being closed
		time.Sleep(time.Millisecond)
	}
	if err := sqlitex.ExecuteTransient(other, "ROLLBACK", nil); err != nil {
		t.Fatal(err)
	}
	if refusal := <-ended; refusal != "" {
		t.Fatal(refusal)
	}
	if n := lines(t, path); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
}
