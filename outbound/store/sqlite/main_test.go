package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"

	"go.uber.org/goleak"
)

// childTask is the environment variable with the task of a child process.
const childTask = "WEBHOOKS_TEST_CHILD"

// children are the tasks of child processes, with the path of a store.
var children = map[string]func(s *sqlite.Store){
	"hold":    func(*sqlite.Store) { fmt.Println("open"); io.Copy(io.Discard, os.Stdin) },
	"publish": publishAndSettle,
}

func TestMain(m *testing.M) {
	if task, path, ok := strings.Cut(os.Getenv(childTask), " "); ok {
		s, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		children[task](s)
		s.Close()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child is another process with an open store.
type child struct {
	cmd   *exec.Cmd
	out   *bufio.Scanner
	stdin io.WriteCloser
}

func startChild(t *testing.T, task, path string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childTask+"="+task+" "+path)
	c.cmd.Stderr = os.Stderr
	out := must.Get(c.cmd.StdoutPipe())(t)
	c.stdin = must.Get(c.cmd.StdinPipe())(t)
	c.out = bufio.NewScanner(out)
	must.Do(t, c.cmd.Start())
	t.Cleanup(c.kill)
	return c
}

// kill ends the process like a crash.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	return openLogging(t, path, io.Discard)
}

// openLogging is open for a test that looks into the log.
func openLogging(t testing.TB, path string, log io.Writer) *sqlite.Store {
	t.Helper()
	s := must.Get(sqlite.Open(t.Context(), sqlite.Config{Path: path, Logger: slog.New(slog.NewTextHandler(log, nil))}))(t)
	t.Cleanup(func() { s.Close() })
	return s
}

// publication returns an event of 1 KiB with a delivery to each subscription.
func publication(ids *store.IDs, subscriptions ...store.ID) *store.Publication {
	p := &store.Publication{Event: &store.Event{
		Key: ids.Next(), Type: "order.created", ContentType: "application/json", Payload: payload,
	}}
	p.Event.ID = p.Event.Key.With(store.EventPrefix)
	for _, s := range subscriptions {
		p.Deliveries = append(p.Deliveries, store.NewDelivery{ID: ids.Next(), Subscription: s, Due: time.Now(), Hold: true})
	}
	return p
}

var payload = []byte(`{"note":"` + strings.Repeat("x", 1013) + `"}`)

// settlement returns the settlement of a first attempt.
func settlement(d store.NewDelivery) *store.Settlement {
	return &store.Settlement{
		Delivery: d.ID, State: store.Delivered,
		Attempt: &store.Attempt{
			ID: d.ID, Number: 1, At: time.Now(), URL: "https://crm.example.com/hooks", Latency: 12 * time.Millisecond, Status: 200,
			ResponseBody: []byte(`{"ok":true}`), ResponseHeaders: map[string]string{"Content-Type": "application/json"},
		},
	}
}

func publish(t testing.TB, s store.Store, ps ...*store.Publication) {
	t.Helper()
	must.Do(t, s.Commit(context.Background(), &store.Batch{Publications: ps}))
}
