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

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// openDeadFile opens a dead letter log in a directory that doesn't exist yet.
func openDeadFile(t *testing.T) *deadFile {
	t.Helper()
	f := &deadFile{path: filepath.Join(t.TempDir(), "logs", "dead.ndjson")}
	must.Do(t, f.open())
	t.Cleanup(f.close)
	return f
}

// some returns n dead letters.
func some(n int) (letters []*outbound.Record) {
	d := newDeaths()
	for range n {
		letters = append(letters, d.death(1).Record())
	}
	return letters
}

// appends appends dead letters, all of which must be written.
func (f *deadFile) appends(t *testing.T, letters []*outbound.Record) {
	t.Helper()
	if n, err := f.append(letters); err != nil || n != len(letters) {
		t.Fatalf("wrote %d of %d dead letters (%v)", n, len(letters), err)
	}
}

// lines returns how many dead letters are in a file.
func lines(t *testing.T, path string) int {
	t.Helper()
	return bytes.Count(must.Get(os.ReadFile(path))(t), []byte(`{"delivery_id":"dlv_`))
}

func TestDeadLetterLog(t *testing.T) {
	f := openDeadFile(t)
	f.appends(t, some(2))
	if n := lines(t, f.path); n != 2 {
		t.Errorf("got %d lines, want 2", n)
	}
	if info, err := os.Stat(f.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v (%v), want 0600", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(f.path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got mode %v (%v) of its directory, want 0700", info.Mode(), err)
	}
	f.close()
	if n, err := f.append(some(1)); n != 0 || err == nil {
		t.Errorf("wrote %d dead letters to a closed log (%v), want an error", n, err)
	}

	// Another config appends to the same file.
	f = &deadFile{path: f.path}
	must.Do(t, f.open())
	defer f.close()
	f.appends(t, some(1))
	if n := lines(t, f.path); n != 3 {
		t.Errorf("got %d lines, want 3", n)
	}
}

// After the log was rotated, dead letters are appended to a new file: one that is
// created, or that is already there. While that fails, none count as written.
func TestDeadLetterLogIsRotated(t *testing.T) {
	f := openDeadFile(t)
	f.appends(t, some(1))
	dir := filepath.Dir(f.path)
	must.Do(t, os.Rename(dir, dir+".1"))
	f.appends(t, some(2))
	if n := lines(t, f.path); n != 2 {
		t.Errorf("got %d lines in the new file, want 2", n)
	}
	must.Do(t, os.Rename(f.path, f.path+".1"))
	must.Do(t, os.WriteFile(f.path, nil, 0o600))
	f.appends(t, some(1))
	if n := lines(t, f.path); n != 1 {
		t.Errorf("got %d lines in the file that took its place, want 1", n)
	}
	must.Do(t, os.RemoveAll(dir))
	must.Do(t, os.WriteFile(dir, nil, 0o600))
	for range 2 {
		if n, err := f.append(some(1)); n != 0 || err == nil {
			t.Errorf("wrote %d dead letters (%v), want an error", n, err)
		}
	}
	must.Do(t, os.Remove(dir))
	f.appends(t, some(1))
}

// If a crash has left the last line incomplete, the lines after it are complete.
func TestDeadLetterLogThatEndsIncomplete(t *testing.T) {
	const torn = `{"delivery_id":"dlv_0000`
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	must.Do(t, os.WriteFile(path, []byte(torn), 0o600))
	for range 2 { // the second time, the last line is complete
		f := &deadFile{path: path}
		must.Do(t, f.open())
		f.appends(t, some(1))
		f.appends(t, some(1))
		f.close()
	}
	got := strings.Split(strings.TrimSuffix(string(must.Get(os.ReadFile(path))(t)), "\n"), "\n")
	if len(got) != 5 || got[0] != torn || slices.ContainsFunc(got[1:], func(line string) bool { return !json.Valid([]byte(line)) }) {
		t.Errorf("got lines %q, want an incomplete one and four complete ones", got)
	}
}

// If the log can't be opened, the store isn't opened either, so that nothing is
// delivered.
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

// A dead letter that is stored while the engine is being closed is still written to
// the log.
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
	}`, db, path, receiver.URL), fmt.Sprintf("http://127.0.0.1:%d {\n}", freeport.Get()))
	admin(t, "POST", "/webhooks/events", `{"event_type":"a","payload":1}`).want(t, http.StatusAccepted)
	<-asked
	other := must.Get(sqlite.OpenConn(db))(t)
	defer other.Close()
	must.Do(t, sqlitex.ExecuteTransient(other, "BEGIN IMMEDIATE", nil))
	close(answer)
	must.Eventually(t, "the attempt to end", func() bool { return openEngines()[0].InFlight() == 0 })
	ended := make(chan string, 1)
	go func() {
		defer close(ended)
		ended <- loadCaddy(t, "", "")
	}()
	must.Eventually(t, "the engine to be closed", func() bool { return len(openEngines()) == 0 })
	must.Do(t, sqlitex.ExecuteTransient(other, "ROLLBACK", nil))
	if refusal := <-ended; refusal != "" {
		t.Fatal(refusal)
	}
	if n := lines(t, path); n != 1 {
		t.Errorf("got %d lines, want 1", n)
	}
}
