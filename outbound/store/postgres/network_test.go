package postgres_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// wire is a network to the server that can lose answers and notifications.
type wire struct {
	net.Listener
	server net.Addr

	mu   sync.Mutex
	deaf bool   // notifications are lost
	cut  bool   // everything is lost
	lose []byte // the answer to a message with these bytes is lost
	lost chan struct{}
}

// newWire returns a network, and the URL of a database through it.
func newWire(t *testing.T, dsn string) (*wire, string) {
	t.Helper()
	u := must.Get(url.Parse(dsn))(t)
	w := &wire{server: address(t, u), lost: make(chan struct{})}
	w.Listener = must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := w.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.carry(client) })
		}
	})
	t.Cleanup(func() { w.Close(); all.Wait() })
	u.Host, u.RawQuery = w.Addr().String(), "sslmode=disable"
	return w, u.String()
}

// address returns the address of the server in a URL.
func address(t *testing.T, u *url.URL) net.Addr {
	t.Helper()
	if dir := u.Query().Get("host"); dir != "" {
		return &net.UnixAddr{Net: "unix", Name: dir + "/.s.PGSQL.5432"}
	}
	return must.Get(net.ResolveTCPAddr("tcp", u.Host))(t)
}

// loseAnswer closes the connection on which a message with these words is sent, as soon as
// the server has answered it.
func (w *wire) loseAnswer(words string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = []byte(words)
}

// deafen loses all notifications from now on.
func (w *wire) deafen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = true
}

// sever loses everything from now on, or ends that.
func (w *wire) sever(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

func (w *wire) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial(w.server.Network(), w.server.String())
	if err != nil {
		return
	}
	defer server.Close()
	answers := make(chan bool, 1) // whether the next answer is lost
	go func() {
		defer client.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := server.Read(b)
			if err != nil {
				return
			}
			select {
			case <-answers:
				close(w.lost)
				return
			default:
			}
			if _, err := client.Write(b[:n]); err != nil {
				return
			}
		}
	}()
	b := make([]byte, 1<<20)
	for {
		n, err := client.Read(b)
		if err != nil {
			return
		}
		w.mu.Lock()
		if w.deaf {
			copy(b, bytes.ReplaceAll(b[:n], []byte("LISTEN webhooks"), []byte("LISTEN deafness")))
		}
		// A statement is described first, and then executed, unless it is a plain query.
		if w.lose != nil && bytes.Contains(b[:n], w.lose) && (b[0] == 'Q' || bytes.Contains(b[:n], []byte("E\x00\x00\x00"))) {
			w.lose = nil
			answers <- true
		}
		cut := w.cut
		w.mu.Unlock()
		if cut {
			return
		}
		if _, err := server.Write(b[:n]); err != nil {
			return
		}
	}
}

// TestDeafNode checks that a node that gets no notifications logs it.
func TestDeafNode(t *testing.T) {
	w, dsn := newWire(t, pgtest.Database(t))
	w.deafen()
	said := make(lines, 100)
	open(t, postgres.Config{DSN: dsn, Lease: short, Logger: slog.New(slog.NewTextHandler(said, nil))})
	said.wait(t, "don't get through")
}

// TestNodeThatIsCutOff checks that a node without a connection for the time of its lease
// reports that it has lost what it held, since others may have it, and that what it
// releases during that time can be claimed later.
func TestNodeThatIsCutOff(t *testing.T) {
	w, dsn := newWire(t, pgtest.Database(t))
	s := open(t, postgres.Config{DSN: dsn, Lease: short})
	p := publication(store.NewIDs(0, 0, time.Now), 1)
	must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}}))
	wantClaimed(t, s, 1, 1)
	for range 2 {
		w.sever(true)
		loses(t, s)
		if err := s.Release(t.Context(), []store.ID{p.Deliveries[0].ID}); err != nil {
			t.Error(err)
		}
		w.sever(false)
		for range 2 { // the first may come from a beat that began before
			waits(t, s, 1)
		}
		wantClaimed(t, s, 1, 1)
	}
}

// TestLostAnswerToACommit checks that a commit may have succeeded although its answer was
// lost. What it holds is then released.
func TestLostAnswerToACommit(t *testing.T) {
	w, dsn := newWire(t, pgtest.Database(t))
	s := open(t, postgres.Config{DSN: dsn, Lease: short})
	ids := store.NewIDs(0, 0, time.Now)
	p := publication(ids, 1)
	p.Deliveries[0].Hold = true
	w.loseAnswer("INSERT INTO webhooks.event")
	err := s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}})
	<-w.lost
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	waits(t, s, 1)
	wantClaimed(t, s, 1, 1)
}

// TestLostAnswerToAClaim checks that the next claim returns what a claim without an answer
// has taken.
func TestLostAnswerToAClaim(t *testing.T) {
	w, dsn := newWire(t, pgtest.Database(t))
	s := open(t, postgres.Config{DSN: dsn})
	p := publication(store.NewIDs(0, 0, time.Now), 1)
	must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}}))
	w.loseAnswer("commit")
	_, err := s.Claim(t.Context(), time.Now(), 1<<20, []store.Want{{Subscription: 1, Limit: 9}})
	<-w.lost
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	wantClaimed(t, s, 1, 1)
}

// TestLostAnswerToARelease checks that what was claimed after a release without an answer,
// or published as held, stays held.
func TestLostAnswerToARelease(t *testing.T) {
	w, dsn := newWire(t, pgtest.Database(t))
	s := open(t, postgres.Config{DSN: dsn, Lease: 5 * time.Second}) // which a slow machine can keep
	ids := store.NewIDs(0, 0, time.Now)
	p, other, published := publication(ids, 1), publication(ids, 2), publication(ids, 3)
	published.Deliveries[0].Hold = true
	must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p, published}}))
	wantClaimed(t, s, 1, 1)
	w.loseAnswer("SET holder = NULL, again = NULL WHERE id = ANY($1)")
	must.Do(t, s.Release(t.Context(), []store.ID{p.Deliveries[0].ID}))
	<-w.lost
	wantClaimed(t, s, 1, 1)
	// The beats that look for it come before this is told of.
	for range 3 {
		must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{other}}))
		waits(t, s, 2)
		claim(t, s, 2)
		other = publication(ids, 2)
	}
	wantClaimed(t, s, 0, 1, 3)
}

// waits waits for the news that a subscription has something to claim.
func waits(t *testing.T, s *postgres.Store, subscription store.ID) {
	t.Helper()
	awaitNews(t, s, func(n store.News) bool {
		return slices.ContainsFunc(n.Waits, func(b store.Backlog) bool { return b.Subscription == subscription })
	})
}
