package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// now is the current time for the commands.
var now = time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)

// result is the output and the exit code of a command.
type result struct {
	out, err string
	code     int
}

// run runs `caddy webhooks` in this process.
func run(t *testing.T, input string, args ...string) result {
	t.Helper()
	return runAt(t, func() time.Time { return now }, input, args...)
}

// commandTree returns the command caddy with `caddy webhooks`.
func commandTree(clock func() time.Time) *cobra.Command {
	root := &cobra.Command{Use: "caddy", SilenceUsage: true}
	webhooks := &cobra.Command{Use: "webhooks <noun> <verb>"}
	(&tool{now: clock, zone: time.UTC, progressInterval: time.Millisecond}).addCommands(webhooks)
	root.AddCommand(webhooks)
	return root
}

func runAt(t *testing.T, clock func() time.Time, input string, args ...string) result {
	t.Helper()
	root := commandTree(clock)
	var out, errs bytes.Buffer
	root.SetIn(strings.NewReader(input))
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append([]string{"webhooks"}, args...))
	err := root.ExecuteContext(t.Context())
	r := result{out: out.String(), err: errs.String()}
	switch {
	case err == nil:
	case err.Error() == "exiting with status 2": // Caddy's own error
		r.code = exitUsage
	default:
		r.code = 1
	}
	return r
}

// want fails the test unless the command had the exit code.
func (r result) want(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("got exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.err)
	}
	return r
}

// prints checks the whole standard output.
func (r result) prints(t *testing.T, want string) result {
	t.Helper()
	if r.out != want {
		t.Errorf("got stdout %q, want %q", r.out, want)
	}
	return r
}

// shows checks that standard output contains each of these texts.
func (r result) shows(t *testing.T, texts ...string) result {
	t.Helper()
	contains(t, "stdout", r.out, texts)
	return r
}

// says checks that standard error contains each of these texts.
func (r result) says(t *testing.T, texts ...string) result {
	t.Helper()
	contains(t, "stderr", r.err, texts)
	return r
}

func contains(t *testing.T, what, got string, texts []string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("got %s %q, want %q in it", what, got, text)
		}
	}
}

var update = flag.Bool("update", false, "update the golden files")

// golden compares an output with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		must.Do(t, os.MkdirAll("testdata", 0o755))
		must.Do(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want := must.Get(os.ReadFile(file))(t)
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

// file writes a file for a command to read.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	must.Do(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}
