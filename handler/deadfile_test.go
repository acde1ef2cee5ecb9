package handler

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// openDeadFile opens a log of dead letters in a folder that isn't there yet.
func openDeadFile(t *testing.T) *deadFile {
	t.Helper()
	f := &deadFile{path: filepath.Join(t.TempDir(), "logs", "dead.ndjson")}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f
}

// some are so many dead letters.
func some(n int) (letters []*outbound.Record) {
	d := newDeaths()
	for range n {
		letters = append(letters, d.death(1).Record())
	}
	return letters
}

// appends makes sure that all of them are written.
func (f *deadFile) appends(t *testing.T, letters []*outbound.Record) {
	t.Helper()
	if n, err := f.append(letters); err != nil || n != len(letters) {
		t.Fatalf("%d of %d are written (%v)", n, len(letters), err)
	}
}

// lines are those of a file.
func lines(t *testing.T, path string) int {
	t.Helper()
	return bytes.Count(must(os.ReadFile(path)), []byte(`{"delivery_id":"dlv_`))
}

func TestDeadLetterLog(t *testing.T) {
	f := openDeadFile(t)
	f.appends(t, some(2))
	if n := lines(t, f.path); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
	if info, err := os.Stat(f.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v (%v)", info.Mode(), err)
	}
	f.close()
	if n, err := f.append(some(1)); n != 0 || err == nil {
		t.Errorf("%d are written to what is closed (%v)", n, err)
	}

	// another config goes on with the file
	f = &deadFile{path: f.path}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	defer f.close()
	f.appends(t, some(1))
	if n := lines(t, f.path); n != 3 {
		t.Errorf("%d lines, want 3", n)
	}
}

// TestDeadLetterLogIsMovedAway: whoever rotates it leaves the path free, or puts a new
// file there, or something else for a moment.
func TestDeadLetterLogIsMovedAway(t *testing.T) {
	f := openDeadFile(t)
	f.appends(t, some(1))
	dir := filepath.Dir(f.path)
	if err := os.Rename(dir, dir+".1"); err != nil {
		t.Fatal(err)
	}
	f.appends(t, some(2))
	if n := lines(t, f.path); n != 2 {
		t.Errorf("%d lines are in the new file, want 2", n)
	}
	if err := os.Rename(f.path, f.path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.appends(t, some(1))
	if n := lines(t, f.path); n != 1 {
		t.Errorf("%d lines are in the file that was put there, want 1", n)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := f.append(some(1)); n != 0 || err == nil {
			t.Errorf("%d are written (%v)", n, err)
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	f.appends(t, some(1))
}

// A line that a crash has cut short spoils none that comes after it.
func TestDeadLetterLogThatEndsTorn(t *testing.T) {
	const torn = `{"delivery_id":"dlv_0000`
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // of which one has nothing to end
		f := &deadFile{path: path}
		if err := f.open(); err != nil {
			t.Fatal(err)
		}
		f.appends(t, some(1))
		f.appends(t, some(1))
		f.close()
	}
	got := strings.Split(strings.TrimSuffix(string(must(os.ReadFile(path))), "\n"), "\n")
	if len(got) != 5 || got[0] != torn || slices.ContainsFunc(got[1:], func(line string) bool { return !json.Valid([]byte(line)) }) {
		t.Errorf("the file: %s", got)
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
	receiver := newApp(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	receiver.respond(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		w.WriteHeader(http.StatusTeapot)
	})
	db, path := storePath(t), filepath.Join(t.TempDir(), "dead.ndjson")
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
	admin(t, "POST", "/webhooks/events", `{"event_type":"a","payload":1}`).want(t, http.StatusAccepted)
	<-asked
	other := must(sqlite.OpenConn(db))
	defer other.Close()
	if err := sqlitex.ExecuteTransient(other, "BEGIN IMMEDIATE", nil); err != nil {
		t.Fatal(err)
	}
	close(answer)
	until(t, "the answer", func() bool { return openEngines()[0].InFlight() == 0 })
	ended := make(chan string, 1)
	go func() {
		defer close(ended)
		ended <- loadCaddy(t, "", "")
	}()
	until(t, "all to be stopped and the engine to be closing", func() bool { return len(openEngines()) == 0 })
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
