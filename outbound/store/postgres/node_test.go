package postgres_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// short is a lease that expires soon.
const short = 300 * time.Millisecond

// childVariable is the environment variable with the database in which a child process
// holds deliveries.
const childVariable = "WEBHOOKS_TEST_CHILD"

// hold publishes two events, holds one of them at once and the other after a claim, and
// then does nothing.
func hold(dsn string) {
	ctx := context.Background()
	s, err := postgres.Open(ctx, postgres.Config{DSN: dsn, Host: "child", Lease: 10 * short}) // on a busy machine, a short one can lapse while the child lives
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	node, last, err := s.Identity(ctx)
	ids := store.NewIDs(node, last, time.Now)
	b := &store.Batch{Publications: []*store.Publication{publication(ids, 1), publication(ids, 2)}}
	b.Publications[0].Deliveries[0].Hold = true
	if err = errors.Join(err, s.Commit(ctx, b)); err == nil {
		_, err = s.Claim(ctx, time.Now(), 1<<20, []store.Want{{Subscription: 2, Limit: 1}})
	}
	fmt.Println("holds", err)
	select {}
}

// publication returns an event with a delivery that is due.
func publication(ids *store.IDs, subscription store.ID) *store.Publication {
	p := &store.Publication{
		Event:      &store.Event{Key: ids.Next(), Type: "order.created", ContentType: "application/json", Payload: []byte(`{}`)},
		Deliveries: []store.NewDelivery{{ID: ids.Next(), Subscription: subscription, Due: time.Now()}},
	}
	p.Event.ID = p.Event.Key.With(store.EventPrefix)
	return p
}

// TestKilledNode checks that what a killed process held can be claimed, and is announced,
// when its lease has expired, and not before.
func TestKilledNode(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, postgres.Config{DSN: dsn, Lease: short})
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dsn)
	out := must.Get(child.StdoutPipe())(t)
	must.Do(t, child.Start())
	defer child.Wait()
	defer child.Process.Kill()
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "holds <nil>\n" {
		t.Fatal(line)
	}
	wantClaimed(t, s, 0, 1, 2)
	must.Do(t, child.Process.Kill())
	waits := map[store.ID]bool{}
	awaitNews(t, s, func(n store.News) bool {
		for _, b := range n.Waits {
			waits[b.Subscription] = true
		}
		return len(waits) == 2
	})
	wantClaimed(t, s, 2, 1, 2)
}

// claim claims what is due for subscriptions, and returns the number of deliveries.
func claim(t *testing.T, s *postgres.Store, subscriptions ...store.ID) (n int) {
	t.Helper()
	var want []store.Want
	for _, key := range subscriptions {
		want = append(want, store.Want{Subscription: key, Limit: 9})
	}
	claimed := must.Get(s.Claim(t.Context(), time.Now(), 1<<20, want))(t)
	for _, c := range claimed {
		n += len(c.Deliveries)
	}
	return n
}

// wantClaimed checks how much claim takes.
func wantClaimed(t *testing.T, s *postgres.Store, want int, subscriptions ...store.ID) {
	t.Helper()
	if n := claim(t, s, subscriptions...); n != want {
		t.Fatalf("got %d claimed, want %d", n, want)
	}
}

// Only one of the nodes claims of a subscription that says so, until it stops.
func TestOneOwner(t *testing.T) {
	for reason, sub := range map[string]store.Subscription{"ordered": {Ordered: true}, "rate limit": {RateLimit: 5}, "handshake": {Handshake: "hooks.example.com"}} {
		t.Run(reason, func(t *testing.T) { oneOwner(t, &sub) })
	}
}

func oneOwner(t *testing.T, sub *store.Subscription) {
	t.Helper()
	dsn := pgtest.Database(t)
	one, two := open(t, postgres.Config{DSN: dsn}), open(t, postgres.Config{DSN: dsn})
	node, last, err := one.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := store.NewIDs(node, last, time.Now)
	sub.Key, sub.ID, sub.EventTypes, sub.Active = ids.Next(), "sub_1", []string{"*"}, true
	must.Do(t, one.CreateSubscription(t.Context(), sub))
	publish := func() store.ID {
		t.Helper()
		p := publication(ids, sub.Key)
		must.Do(t, one.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}}))
		return p.Deliveries[0].ID
	}
	first := publish()
	wantClaimed(t, two, 1, sub.Key)
	must.Do(t, two.Release(t.Context(), []store.ID{first}))
	publish()
	claimed, err := one.Claim(t.Context(), time.Now(), 1<<20, []store.Want{{Subscription: sub.Key, Limit: 9}})
	if err != nil || len(claimed[0].Deliveries) > 0 || !claimed[0].Next.IsZero() {
		t.Fatalf("the other node claimed %+v, error %v", claimed[0], err)
	}
	awaitNews(t, two, func(n store.News) bool { return len(n.Waits) > 0 }) // from the other, for two alone can deliver it
	must.Do(t, two.Close())
	wantClaimed(t, one, 2, sub.Key)
	publish()
	must.Do(t, one.Yield(t.Context()))
	wantClaimed(t, one, 0, sub.Key) // it leaves them to others
}

// TestReleaseToAnotherNode checks that another node can claim what was released at once.
func TestReleaseToAnotherNode(t *testing.T) {
	dsn := pgtest.Database(t)
	one, two := open(t, postgres.Config{DSN: dsn}), open(t, postgres.Config{DSN: dsn})
	ids := store.NewIDs(0, 0, time.Now)
	kept, given := publication(ids, 1), publication(ids, 1)
	must.Do(t, one.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{kept, given}}))
	wantClaimed(t, one, 2, 1)
	must.Do(t, one.Release(t.Context(), []store.ID{given.Deliveries[0].ID}))
	wantClaimed(t, two, 1, 1)
}

// TestLateOutcome checks that the settlement of a delivery that another node has claimed
// since is passed over.
func TestLateOutcome(t *testing.T) {
	dsn := pgtest.Database(t)
	late, now := open(t, postgres.Config{DSN: dsn}), open(t, postgres.Config{DSN: dsn})
	ids := store.NewIDs(0, 0, time.Now)
	p := publication(ids, 1)
	p.Deliveries[0].Hold = true
	must.Do(t, late.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}}))
	pgtest.Execute(t, dsn, `UPDATE webhooks.delivery SET holder = NULL`) // as the end of a lease does
	wantClaimed(t, now, 1, 1)
	settle := func(s *postgres.Store, state store.State) (passed bool, told store.Outcome) {
		t.Helper()
		id := p.Deliveries[0].ID
		outcome := &store.Settlement{
			Delivery: id, State: state, Reason: "it said so", Attempt: &store.Attempt{ID: id, Number: 1, At: time.Now(), Class: "status"},
		}
		news := publication(ids, 2)
		news.Tells = id
		must.Do(t, s.Commit(t.Context(), &store.Batch{Settlements: []*store.Settlement{outcome}, Publications: []*store.Publication{news}}))
		return outcome.Passed, news.Result.Outcome
	}
	if passed, told := settle(late, store.Dead); !passed || told != store.Untold {
		t.Errorf("while another node has it: passed over %v, news %v", passed, told)
	}
	if passed, _ := settle(now, store.Delivered); passed {
		t.Error("the settlement of the node that has it was passed over")
	}
	if passed, told := settle(late, store.Dead); !passed || told != store.Untold {
		t.Errorf("after another node had it: passed over %v, news %v", passed, told)
	}
	if r, err := now.Delivery(t.Context(), p.Deliveries[0].ID); err != nil || r.State != store.Delivered || r.Attempts != 1 {
		t.Errorf("got %+v, error %v", r, err)
	}
}

// TestTextThatPostgresRefuses checks that any response of a receiver can be stored.
// Otherwise it would block everything after it.
func TestTextThatPostgresRefuses(t *testing.T) {
	s := open(t, postgres.Config{DSN: pgtest.Database(t)})
	ids := store.NewIDs(0, 0, time.Now)
	const bad = "a\x00b\xffc"
	p := publication(ids, 1)
	p.Event.Type, p.Event.ContentType, p.Event.Headers, p.Event.TraceState = bad, bad, map[string]string{bad: bad}, bad
	p.Event.Payload = []byte(bad)
	id := p.Deliveries[0].ID
	err := s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}})
	for number := range 2 {
		a := &store.Attempt{ID: id + store.ID(number), Number: number + 1, At: time.Now(), Class: bad, Error: bad, TraceID: bad, ResponseBody: []byte(bad), ResponseHeaders: map[string]string{bad: bad}}
		err = errors.Join(err, s.Commit(t.Context(), &store.Batch{Settlements: []*store.Settlement{{Delivery: id, State: store.Dead, Reason: bad, Attempt: a}}}))
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Delivery(t.Context(), id)
	if err != nil || string(r.Payload) != bad || string(r.Last.ResponseBody) != bad || r.Last.Number != 2 || r.Reason != "a\uFFFDb\uFFFDc" {
		t.Errorf("got %+v, error %v", r, err)
	}
}

// TestNews checks that nodes get news of each other by notifications, or otherwise at
// their next beat.
func TestNews(t *testing.T) {
	dsn := pgtest.Database(t)
	for name, deaf := range map[string]bool{"told": false, "at the next beat": true} {
		t.Run(name, func(t *testing.T) {
			lease := time.Hour
			if deaf {
				lease = short
			}
			said := make(lines, 100)
			one, two := open(t, postgres.Config{DSN: dsn, Lease: lease}), open(t, postgres.Config{DSN: dsn, Lease: lease, Logger: slog.New(slog.NewTextHandler(said, nil))})
			listening(t, dsn, 2)
			if deaf {
				pgtest.Execute(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
			}
			must.Do(t, one.PutEventType(t.Context(), store.EventType{Name: "a"}))
			awaitNews(t, two, func(n store.News) bool { return n.Changed })
			must.Do(t, two.Close())
			if _, err := two.News(t.Context()); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("news of a closed store: %v", err)
			}
			for len(said) > 0 {
				if line := <-said; strings.Contains(line, "clocks") {
					t.Errorf("a warning about clocks that agree: %s", line)
				}
			}
		})
	}
}

// TestFollow checks that a node learns at once which inbound messages the others have
// accepted, and what it has missed as soon as it listens again.
func TestFollow(t *testing.T) {
	dsn := pgtest.Database(t)
	const lease = 2 * time.Second // they listen again after a third of it
	one, two := open(t, postgres.Config{DSN: dsn, Lease: lease}), open(t, postgres.Config{DSN: dsn, Lease: lease})
	listening(t, dsn, 2)
	now := time.Now().Truncate(time.Millisecond)
	keys := func(from, to int) (keys []store.Remembered) {
		for n := from; n < to; n++ {
			k := store.Remembered{Until: now.Add(time.Hour)}
			binary.BigEndian.PutUint64(k.Key[24:], uint64(n))
			keys = append(keys, k)
		}
		return keys
	}
	remember := func(keys []store.Remembered) {
		t.Helper()
		must.Do(t, one.Remember(t.Context(), now, keys))
	}
	learned := make(chan []store.Remembered, 100)
	two.Follow(500, func(seen []store.Remembered) { learned <- seen })
	wait := func(want ...store.Remembered) {
		t.Helper()
		missing := map[store.Remembered]bool{}
		for _, k := range want {
			missing[k] = true
		}
		deadline := time.After(must.Patience)
		for len(missing) > 0 {
			select {
			case seen := <-learned:
				for _, k := range seen {
					k.Until = k.Until.Local()
					delete(missing, k)
				}
			case <-deadline:
				t.Fatalf("%d of %d keys are missing", len(missing), len(want))
			}
		}
	}
	one.Follow(500, func(seen []store.Remembered) { t.Errorf("a node gets its own keys: %v", seen) })
	remember(keys(0, 300))
	wait(keys(0, 300)...)

	one.Follow(500, func([]store.Remembered) {})
	pgtest.Execute(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	remember(keys(300, 301))
	wait(keys(300, 301)...)
}

// TestCloseWhileItListensAnew checks that a node can be closed while it starts to listen
// again and asks what it has missed.
func TestCloseWhileItListensAnew(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, postgres.Config{DSN: dsn, Lease: short})
	s.Follow(500, func([]store.Remembered) {})
	listening(t, dsn, 1)
	pgtest.Execute(t, dsn, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN NEW; END $$;
		CREATE TRIGGER slow BEFORE INSERT ON webhooks.event_type FOR EACH ROW EXECUTE FUNCTION slow()`)
	var calls sync.WaitGroup
	defer calls.Wait()
	calls.Go(func() {
		if err := s.PutEventType(context.Background(), store.EventType{Name: "a"}); err != nil {
			t.Error(err)
		}
	})
	must.Eventually(t, "the insert to be under way", func() bool { return pgtest.Sleeping(t, dsn) })
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }() // waits for the call
	pgtest.Execute(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	if err := must.Receive(t, closed, "the end of Close"); err != nil {
		t.Error(err)
	}
}

// listening waits until n nodes listen for notifications.
func listening(t *testing.T, dsn string, nodes int) {
	t.Helper()
	conn := must.Get(pgx.Connect(t.Context(), dsn))(t)
	defer conn.Close(context.Background())
	must.Eventually(t, "the nodes to listen", func() (all bool) {
		must.Do(t, conn.QueryRow(t.Context(), `SELECT count(*) = $1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`, nodes).Scan(&all))
		return all
	})
}

// TestOpenIsRefused checks that the error says what is wrong and what to do, and doesn't
// show a password.
func TestOpenIsRefused(t *testing.T) {
	dsn := pgtest.Database(t)
	const password = "s3cret"
	with := func(change func(*url.URL)) string {
		u := must.Get(url.Parse(dsn))(t)
		u.User = url.UserPassword(u.User.Username(), password)
		change(u)
		return u.String()
	}
	tests := map[string]struct {
		dsn, before string
		kind        error
		says        string
	}{
		"no such database": {with(func(u *url.URL) { u.Path = "/nowhere" }), "", store.ErrUnavailable, "create the database"},
		"no such server":   {"postgres://u:" + password + "@127.0.0.1:1/x", "", store.ErrUnavailable, "can be reached; a running Caddy goes on by itself"},
		"no such servers":  {"postgres://u:" + password + "@127.0.0.1:1,127.0.0.1:2/x", "", store.ErrUnavailable, "postgres://127.0.0.1:1,127.0.0.1:2/x"},
		"no privilege": {with(func(u *url.URL) { u.User = url.UserPassword("webhooks_guest", password) }),
			`DO $$ BEGIN CREATE ROLE webhooks_guest LOGIN PASSWORD 's3cret'; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`, store.ErrUnavailable, "GRANT CREATE ON DATABASE"},
		"read only": {with(func(u *url.URL) {
			q := u.Query()
			q.Set("default_transaction_read_only", "on")
			u.RawQuery = q.Encode()
		}), "", store.ErrUnavailable, "of the primary"},
		"EUC_JP":           {setting(t, with(func(*url.URL) {}), "client_encoding", "EUC_JP"), "", store.ErrUnavailable, "the encoding UTF8"},
		"WIN1252":          {setting(t, with(func(*url.URL) {}), "client_encoding", "WIN1252"), "", store.ErrUnavailable, "the encoding UTF8"},
		"another's tables": {dsn, `CREATE SCHEMA webhooks; CREATE TABLE webhooks.event (x integer)`, store.ErrForeign, "without such a schema"},
		"a newer format":   {dsn, `DROP SCHEMA IF EXISTS webhooks CASCADE; CREATE SCHEMA webhooks; CREATE TABLE webhooks.format AS SELECT 99 AS version`, store.ErrForeign, "newer version"},
		"no string":        {"postgres://u:" + password + "@h:port/x", "", nil, "is not a connection string"},
		"a bare password":  {"postgres://u:a@" + password + "@h/x", "", nil, "is not a connection string"},
		"a slash in it":    {"postgres://u:1/" + password + "@h/x", "", nil, "is not a connection string"},
		"words":            {"host=h password=a " + password, "", nil, "is not a connection string"},
	}
	for _, name := range []string{"no such database", "no such server", "no such servers", "no privilege", "read only", "EUC_JP", "WIN1252", "another's tables", "a newer format", "no string", "a bare password", "a slash in it", "words"} {
		t.Run(name, func(t *testing.T) {
			test := tests[name]
			if test.before != "" {
				pgtest.Execute(t, dsn, test.before)
			}
			s, err := postgres.Open(t.Context(), postgres.Config{DSN: test.dsn})
			if err == nil {
				s.Close()
				t.Fatal("Open succeeded, want an error")
			}
			if test.kind != nil && !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), password) {
				t.Error(err)
			}
		})
	}
}

// TestLapsedNodes checks that a late node has the time of a beat to renew its lease,
// however many notifications there are, and that the numbers of nodes that ended long ago
// are free.
func TestLapsedNodes(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, postgres.Config{DSN: dsn, Lease: time.Hour})
	listening(t, dsn, 1)
	pgtest.Execute(t, dsn, `INSERT INTO webhooks.node SELECT n, -n, clock_timestamp() - interval '10 seconds', 'late' FROM generate_series(1, 255) n`)
	ids := store.NewIDs(0, 0, time.Now)
	for range 3 {
		p := publication(ids, ids.Next())
		must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}}))
		pgtest.Execute(t, dsn, `SELECT pg_notify('webhooks', '0 waits')`)
		waits(t, s, p.Deliveries[0].Subscription)
	}
	if _, err := postgres.Open(t.Context(), postgres.Config{DSN: dsn}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("with 256 nodes: got error %v", err)
	}
	pgtest.Execute(t, dsn, `UPDATE webhooks.node SET until = clock_timestamp() - interval '1 day' WHERE number = 7`)
	if node, _, err := open(t, postgres.Config{DSN: dsn}).Identity(t.Context()); err != nil || node != 7 {
		t.Errorf("node number %d, error %v", node, err)
	}
}

// TestLateNode checks that a node that was late at one beat, but has renewed its lease by
// the next one, is not taken for ended. That happens when the server itself was down.
func TestLateNode(t *testing.T) {
	dsn := pgtest.Database(t)
	open(t, postgres.Config{DSN: dsn, Lease: short})
	pgtest.Execute(t, dsn, `CREATE SEQUENCE beats;
		CREATE FUNCTION beat() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			CASE nextval('beats')
				WHEN 1 THEN INSERT INTO webhooks.node VALUES (7, 7, clock_timestamp() - interval '10 seconds', 'late');
				WHEN 2 THEN UPDATE webhooks.node SET until = until + interval '1 hour' WHERE number = 7;
				ELSE END CASE;
			RETURN NULL; END $$;
		CREATE TRIGGER beat AFTER UPDATE ON webhooks.node FOR EACH ROW WHEN (NEW.number = 0) EXECUTE FUNCTION beat()`)
	must.Eventually(t, "the renewal of the lease", func() bool { return pgtest.Count(t, dsn, `SELECT last_value FROM beats`) >= 3 })
	if pgtest.Count(t, dsn, `SELECT count(session) FROM webhooks.node WHERE number = 7`) != 1 {
		t.Error("the session of the node was ended")
	}
}

// TestEndedNodeIsNamed checks that the log names a node whose lease has lapsed as status
// does: by its number, since several may be on one host.
func TestEndedNodeIsNamed(t *testing.T) {
	dsn, said := pgtest.Database(t), make(lines, 100)
	open(t, postgres.Config{DSN: dsn, Lease: short, Logger: slog.New(slog.NewTextHandler(said, nil))})
	pgtest.Execute(t, dsn, `INSERT INTO webhooks.node VALUES (171, 171, clock_timestamp() - interval '10 seconds', 'late')`)
	said.wait(t, `node="ab late"`)
}

// TestHeldByNobody checks that deliveries held by an unknown session are released, and so
// are those that a node doesn't know to hold.
func TestHeldByNobody(t *testing.T) {
	for name, holder := range map[string]string{"a session that is gone": `5`, "one that doesn't know": `(SELECT session FROM webhooks.node)`} {
		t.Run(name, func(t *testing.T) {
			dsn := pgtest.Database(t)
			s := open(t, postgres.Config{DSN: dsn, Lease: short})
			must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{publication(store.NewIDs(0, 0, time.Now), 1)}}))
			waits(t, s, 1)
			pgtest.Execute(t, dsn, `UPDATE webhooks.delivery SET holder = `+holder)
			must.Eventually(t, "the delivery to come free", func() bool { return claim(t, s, 1) > 0 })
		})
	}
}

// TestSessionIsEnded checks that a node whose session was ended by others reports that it
// has lost what it held, and continues with another session. If its number was taken by
// another node, it says what to do.
func TestSessionIsEnded(t *testing.T) {
	dsn := pgtest.Database(t)
	said := make(lines, 100)
	one, two := open(t, postgres.Config{DSN: dsn, Lease: short}), open(t, postgres.Config{DSN: dsn, Lease: short, Logger: slog.New(slog.NewTextHandler(said, nil))})
	pgtest.Execute(t, dsn, `UPDATE webhooks.node SET session = NULL`)
	ids := store.NewIDs(0, 0, time.Now)
	for _, s := range []*postgres.Store{one, two} {
		loses(t, s)
		must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{publication(ids, 1)}}))
		wantClaimed(t, s, 1, 1)
	}
	pgtest.Execute(t, dsn, `UPDATE webhooks.node SET session = -session WHERE number = 1`)
	said.wait(t, "another one has taken its number: restart it")
}

// TestRequeueOfWhatAnotherHolds checks that a delivery that is requeued during an attempt
// by another node is due again afterwards, whatever the outcome.
func TestRequeueOfWhatAnotherHolds(t *testing.T) {
	dsn := pgtest.Database(t)
	one, two := open(t, postgres.Config{DSN: dsn}), open(t, postgres.Config{DSN: dsn})
	ids := store.NewIDs(0, 0, time.Now)
	sub := &store.Subscription{Key: ids.Next(), ID: "sub_1", EventTypes: []string{"*"}, Active: true}
	must.Do(t, one.CreateSubscription(t.Context(), sub))
	p := publication(ids, sub.Key)
	p.Deliveries[0].Hold = true
	id := p.Deliveries[0].ID
	must.Do(t, one.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}}))
	if done, err := two.Requeue(t.Context(), store.Query{Delivery: id, Limit: 1}, time.Now()); err != nil || done.Count != 1 {
		t.Fatalf("requeued %d, error %v", done.Count, err)
	}
	wantClaimed(t, two, 0, sub.Key)
	dead := &store.Settlement{Delivery: id, State: store.Dead, Attempt: &store.Attempt{ID: id, Number: 1, At: time.Now(), Class: "status"}}
	must.Do(t, one.Commit(t.Context(), &store.Batch{Settlements: []*store.Settlement{dead}, Log: true}))
	if r, err := two.Delivery(t.Context(), id); err != nil || r.State != store.Pending || r.Round != 1 {
		t.Errorf("after the attempt: %+v, error %v", r, err)
	}
	if n := pgtest.Count(t, dsn, `SELECT count(unlogged) FROM webhooks.delivery`); n != 0 {
		t.Error("the delivery is to be logged as a dead letter")
	}
	wantClaimed(t, two, 1, sub.Key)
}

// TestUnloggedOfAnotherNode checks that a node only gets the dead letters that another one
// has to log after that has ended.
func TestUnloggedOfAnotherNode(t *testing.T) {
	dsn := pgtest.Database(t)
	one, two := open(t, postgres.Config{DSN: dsn}), open(t, postgres.Config{DSN: dsn})
	p := publication(store.NewIDs(0, 0, time.Now), 1)
	id := p.Deliveries[0].ID
	dead := &store.Settlement{Delivery: id, State: store.Dead, Attempt: &store.Attempt{ID: id, Number: 1, At: time.Now(), Class: "status"}}
	err := one.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}})
	must.Do(t, errors.Join(err, one.Commit(t.Context(), &store.Batch{Settlements: []*store.Settlement{dead}, Log: true})))
	if ids, err := two.Unlogged(t.Context(), 9); err != nil || len(ids) != 0 {
		t.Errorf("of a running node: got %v, error %v, want none", ids, err)
	}
	must.Do(t, one.Close())
	if ids, err := two.Unlogged(t.Context(), 9); err != nil || !slices.Equal(ids, []store.ID{id}) {
		t.Errorf("of a stopped node: got %v, error %v", ids, err)
	}
}

// loses waits until a node reports that it has lost what it held.
func loses(t *testing.T, s *postgres.Store) {
	t.Helper()
	awaitNews(t, s, func(n store.News) bool { return n.Lost })
}

// awaitNews waits until a node is told what is looked for.
func awaitNews(t *testing.T, s *postgres.Store, found func(store.News) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), must.Patience)
	defer cancel()
	for !found(must.Get(s.News(ctx))(t)) {
	}
}

// TestForgetElsewhere checks that one node at a time removes old events. Another one gets
// the result that it is done elsewhere, not that there is nothing left.
func TestForgetElsewhere(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, postgres.Config{DSN: dsn})
	p := publication(store.NewIDs(0, 0, time.Now), 1)
	p.Deliveries = nil
	must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}}))
	other := must.Get(pgx.Connect(t.Context(), dsn))(t)
	defer other.Close(context.Background())
	must.Get(other.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, 0x77656268))(t)
	f := store.Forget{Before: time.Now().Add(time.Hour), Limit: 9}
	if done, err := s.Forget(t.Context(), f); err != nil || !done.Busy || done.Events != 0 {
		t.Errorf("while another node does it: %+v, error %v", done, err)
	}
	must.Do(t, other.Close(t.Context()))
	for busy := true; busy; { // the server may not have noticed yet
		done, err := s.Forget(t.Context(), f)
		if busy = done.Busy; err != nil || !busy && done.Events != 1 {
			t.Fatalf("alone: %+v, error %v", done, err)
		}
	}
}

// TestRequeueDuringTheRemovalOfAPayload checks that a delivery isn't requeued while another
// node removes the payload of its event.
func TestRequeueDuringTheRemovalOfAPayload(t *testing.T) {
	dsn := pgtest.Database(t)
	s, other := open(t, postgres.Config{DSN: dsn}), open(t, postgres.Config{DSN: dsn})
	ids := store.NewIDs(0, 0, time.Now)
	sub := &store.Subscription{Key: ids.Next(), ID: "sub_1", EventTypes: []string{"*"}, Active: true}
	must.Do(t, s.CreateSubscription(t.Context(), sub))
	p := publication(ids, sub.Key)
	p.Event.Payload = make([]byte, 2*store.PayloadUnit)
	must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}}))
	pgtest.Execute(t, dsn, `UPDATE webhooks.delivery SET state = 1, due = NULL, attempts = 1;
		CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;
		CREATE TRIGGER slow BEFORE UPDATE ON webhooks.event FOR EACH ROW EXECUTE FUNCTION slow()`)
	removed := make(chan error)
	go func() {
		_, err := s.Forget(context.Background(), store.Forget{Before: time.Now().Add(time.Hour), PayloadsOnly: true, Limit: 99})
		removed <- err
	}()
	must.Eventually(t, "the removal to be under way", func() bool { return pgtest.Sleeping(t, dsn) })
	done, err := other.Requeue(t.Context(), store.Query{Delivery: p.Deliveries[0].ID, Limit: 1}, time.Now())
	if err := errors.Join(err, <-removed); err != nil || done.Count != 0 {
		t.Errorf("requeued %d, error %v, want none", done.Count, err)
	}
}

// TestReadBesideSearches checks that any number of slow lists don't keep the node from
// reading what it needs.
func TestReadBesideSearches(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, postgres.Config{DSN: dsn})
	begin(t, dsn, `LOCK TABLE webhooks.event`)
	ctx, cancel := context.WithCancel(t.Context())
	var lists sync.WaitGroup
	defer lists.Wait()
	defer cancel()
	for range 8 {
		lists.Go(func() {
			if _, err := s.Events(ctx, store.Query{Limit: 1}); !errors.Is(err, context.Canceled) {
				t.Errorf("a list ended with error %v", err)
			}
		})
	}
	blocked(t, dsn, 3)
	for range 20 {
		must.Get(s.Subscriptions(t.Context()))(t)
	}
}

// TestRequeueThatIsCancelled checks that a search for what to requeue ends with its
// context.
func TestRequeueThatIsCancelled(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, postgres.Config{DSN: dsn})
	begin(t, dsn, `LOCK TABLE webhooks.event`)
	ctx, cancel := context.WithCancel(t.Context())
	queued := make(chan error, 1)
	go func() {
		_, err := s.Requeue(ctx, store.Query{Tenant: "acme", Limit: 1}, time.Now())
		queued <- err
	}()
	blocked(t, dsn, 1)
	cancel()
	if err := <-queued; !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
}

// TestClaimOfWhatIsLocked checks that a claim doesn't wait for an ordered delivery that
// another transaction has locked, and doesn't claim those after it.
func TestClaimOfWhatIsLocked(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, postgres.Config{DSN: dsn})
	ids := store.NewIDs(0, 0, time.Now)
	sub := &store.Subscription{Key: ids.Next(), ID: "sub_1", EventTypes: []string{"*"}, Active: true, Ordered: true}
	must.Do(t, s.CreateSubscription(t.Context(), sub))
	first, locked, behind, free := publication(ids, sub.Key), publication(ids, sub.Key), publication(ids, sub.Key), publication(ids, 77)
	must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{first, locked, behind, free}}))
	conn := begin(t, dsn, fmt.Sprintf(`SELECT FROM webhooks.delivery WHERE id = %d FOR UPDATE`, int64(locked.Deliveries[0].ID)))
	claim := func() (got []store.ID) {
		t.Helper()
		claimed := must.Get(s.Claim(t.Context(), time.Now().Add(time.Minute), 1<<20, []store.Want{{Subscription: sub.Key, Limit: 9}, {Subscription: 77, Limit: 9}}))(t)
		for _, c := range claimed {
			for _, h := range c.Deliveries {
				got = append(got, h.Delivery.ID)
			}
		}
		return got
	}
	if got := claim(); !slices.Equal(got, []store.ID{first.Deliveries[0].ID, free.Deliveries[0].ID}) {
		t.Errorf("claimed %v during the lock", got)
	}
	must.Get(conn.Exec(t.Context(), `ROLLBACK`))(t)
	if got := claim(); !slices.Equal(got, []store.ID{locked.Deliveries[0].ID, behind.Deliveries[0].ID}) {
		t.Errorf("claimed %v afterwards", got)
	}
}

// TestOrderBehindWhatIsHeld checks that new deliveries come after those that are pending
// or held by the owner, even if these were published by a clock that is ahead, or a failed
// one waits while the others aren't released yet.
func TestOrderBehindWhatIsHeld(t *testing.T) {
	s := open(t, postgres.Config{DSN: pgtest.Database(t)})
	const ahead = 8 * time.Second
	here, there := store.NewIDs(0, 0, time.Now), store.NewIDs(1, 0, func() time.Time { return time.Now().Add(ahead) })
	sub := &store.Subscription{Key: here.Next(), ID: "sub_1", EventTypes: []string{"*"}, Active: true, Ordered: true}
	must.Do(t, s.CreateSubscription(t.Context(), sub))
	publish := func(ids *store.IDs, ahead time.Duration) store.ID {
		p := publication(ids, sub.Key)
		d := &p.Deliveries[0]
		d.Due, d.Ordered = d.Due.Add(ahead), true
		must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}}))
		return d.ID
	}
	claim := func() (got []store.ID) {
		claimed := must.Get(s.Claim(t.Context(), time.Now().Add(time.Minute), 1<<20, []store.Want{{Subscription: sub.Key, Limit: 9}}))(t)
		for _, h := range claimed[0].Deliveries {
			got = append(got, h.Delivery.ID)
		}
		return got
	}
	others := []*store.Publication{publication(here, 77), publication(here, 77)}
	for i, p := range others {
		p.Deliveries[0].Due, p.Deliveries[0].Hold = time.Now().Add(time.Hour), i == 0
	}
	must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: others}))
	first := publish(there, ahead)
	second := publish(here, 0)
	third := publish(there, ahead)
	claim()
	must.Do(t, s.Release(t.Context(), []store.ID{first, second}))
	fourth := publish(here, 0)
	must.Do(t, s.Release(t.Context(), []store.ID{third}))
	if got := claim(); !slices.Equal(got, []store.ID{first, second, third, fourth}) {
		t.Errorf("claimed %v, want the order of publishing, %v", got, []store.ID{first, second, third, fourth})
	}
}

// TestTransactionIsBrokenOff checks that a node gets an error that says to retry if the
// server has ended its transaction because a timeout was reached, or each time because of
// a conflict with another one.
func TestTransactionIsBrokenOff(t *testing.T) {
	for name, code := range map[string]string{
		"idle_in_transaction_session_timeout": "25P03",
		"transaction_timeout":                 "25P04",
		"lock_timeout":                        "55P03",
		"serialization_failure":               "40001",
		"deadlock_detected":                   "40P01",
	} {
		t.Run(name, func(t *testing.T) {
			dsn := pgtest.Database(t)
			s := open(t, postgres.Config{DSN: dsn})
			pgtest.Execute(t, dsn, `CREATE FUNCTION webhooks.stand() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN RAISE EXCEPTION 'canceling statement' USING ERRCODE = '`+code+`'; END $$`)
			pgtest.Execute(t, dsn, `CREATE TRIGGER stand BEFORE INSERT ON webhooks.subscription EXECUTE FUNCTION webhooks.stand()`)
			err := s.CreateSubscription(t.Context(), &store.Subscription{Key: 1, ID: "sub_1", EventTypes: []string{"*"}})
			if !errors.Is(err, store.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
}

// TestServerTurnsReadOnly checks that connections to a server that has become read-only
// are closed, since another one may be the primary now.
func TestServerTurnsReadOnly(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, postgres.Config{DSN: dsn})
	pgtest.Execute(t, dsn, `CREATE TABLE webhooks.old AS SELECT pid FROM pg_stat_activity WHERE datname = current_database()`)
	pgtest.Execute(t, dsn, `CREATE FUNCTION webhooks.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF pg_backend_pid() IN (SELECT pid FROM webhooks.old) THEN RAISE EXCEPTION 'read-only' USING ERRCODE = 'read_only_sql_transaction'; END IF;
		RETURN NULL; END $$`)
	pgtest.Execute(t, dsn, `CREATE TRIGGER refuse BEFORE INSERT ON webhooks.subscription EXECUTE FUNCTION webhooks.refuse()`)
	for range 9 { // one more than there are connections
		err := s.CreateSubscription(t.Context(), &store.Subscription{Key: 1, ID: "sub_1", EventTypes: []string{"*"}})
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	t.Error("the connections are kept")
}

// TestServerThatMayLose checks that a warning is logged about a server that may lose what
// it has confirmed.
func TestServerThatMayLose(t *testing.T) {
	var log strings.Builder
	dsn := setting(t, pgtest.Database(t), "synchronous_commit", "off")
	open(t, postgres.Config{DSN: dsn, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "synchronous_commit=off") {
		t.Errorf("logged %q", log.String())
	}
}

// TestClocksApart checks that a warning is logged about a server whose clock is off.
func TestClocksApart(t *testing.T) {
	dsn := pgtest.Database(t)
	pgtest.Execute(t, dsn, `CREATE SCHEMA late; CREATE FUNCTION late.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
		$$SELECT pg_catalog.clock_timestamp() - interval '1 minute'$$`)
	said := make(lines, 100)
	open(t, postgres.Config{DSN: setting(t, dsn, "search_path", "late,pg_catalog"), Lease: short, Logger: slog.New(slog.NewTextHandler(said, nil))})
	line := said.wait(t, "clocks")
	_, ahead, _ := strings.Cut(line, "ahead=")
	if d, err := time.ParseDuration(strings.Fields(ahead)[0]); err != nil || (d-time.Minute).Abs() > 10*time.Second {
		t.Error(line)
	}
}

// lines passes each log line to the test that waits for it.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

// wait waits for a line with some words.
func (l lines) wait(t *testing.T, words string) string {
	t.Helper()
	deadline := time.After(must.Patience)
	for {
		select {
		case line := <-l:
			if strings.Contains(line, words) {
				return line
			}
		case <-deadline:
			t.Fatalf("%q isn't logged", words)
		}
	}
}

// setting adds a setting of the server to a connection string.
func setting(t *testing.T, dsn, name, value string) string {
	t.Helper()
	u := must.Get(url.Parse(dsn))(t)
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}
