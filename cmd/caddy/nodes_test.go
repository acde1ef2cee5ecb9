package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// startNodes starts servers that share a store, with options of webhooks.
func startNodes(t *testing.T, n int, options string) (nodes []*server) {
	t.Helper()
	dsn := pgtest.Database(t)
	for range n {
		nodes = append(nodes, startServer(t, shared(options), "DATABASE_URL="+dsn))
	}
	return nodes
}

// shared is withOptions with a store that several nodes share.
func shared(options string) string {
	return strings.Replace(withOptions(options), "store sqlite {$DB}", "store postgres {env.DATABASE_URL}", 1)
}

// TestNodesCrash kills one of two servers with a shared store at a time, under load on both,
// and reloads the other. Every accepted event arrives. Those that arrive again have the same
// webhook-id and bytes.
func TestNodesCrash(t *testing.T) {
	t.Parallel()
	const options = `
		retry 50ms 100ms 200ms 400ms 800ms
		egress {
			allow 127.0.0.1
		}
`
	nodes := startNodes(t, 2, options)
	r := newReceiver(t)
	respond, failures := failFirst()
	r.answer(respond)
	nodes[0].subscribe(object{"url": r.url("/"), "event_types": []string{"order.*"}})
	must.Eventually(t, "news of the subscription", func() bool { return len(nodes[1].reader().list("/subscriptions")) == 1 })
	var loads []*load
	for _, s := range nodes {
		loads = append(loads, startLoad(s, 4))
	}
	for i := range often(10) {
		for _, l := range loads {
			mark := l.count.Load()
			must.Eventually(t, "accepted events", func() bool { return l.count.Load() >= mark+100 })
		}
		dies, stays := nodes[i%2], nodes[(i+1)%2]
		dies.kill()
		stays.reload(shared(options + "\t\ttimeout 9s\n"))
		dies.start()
	}
	accepted := int64(0)
	for _, l := range loads {
		l.stop()
		l.arrived(r)
		accepted += l.count.Load()
	}
	events := r.sameBytes()
	must.Eventually(t, "the last outcome", func() bool { return nodes[0].reader().get("/status").num("pending") == 0 })
	if n := len(nodes[1].reader().list("/dead-letters")); n != 0 {
		t.Errorf("there are %d dead letters", n)
	}
	t.Logf("%d × kill -9 and reload: %d events were accepted, 0 lost, %d deliveries came again", often(10), accepted, len(r.all())-events-int(failures.Load()))
}

// TestNodeStops checks that a server that stops releases what it holds to the other at once.
func TestNodeStops(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, 2, local+"\t\tendpoint_concurrency 1\n\t\ttimeout 10m\n")
	r := newReceiver(t)
	gate := make(chan struct{})
	r.answer(func(_ http.ResponseWriter, d *request) {
		select {
		case <-gate:
		case <-d.gone:
		}
	})
	nodes[0].subscribe(object{"url": r.url("/"), "event_types": []string{"order.*"}})
	var ids []string
	for range 20 {
		ids = append(ids, nodes[0].publish(event{Type: "order.created", Payload: json.RawMessage("1")}))
	}
	r.wait(1)
	if n := nodes[1].reader().get("/status").object("store").list("nodes"); len(n) != 2 {
		t.Errorf("the nodes are %v", n)
	}
	must.Eventually(t, "the metric of two live nodes", func() bool {
		return strings.Contains(nodes[1].adminGet("/metrics"), `caddy_webhooks_store_nodes{state="live"} 2`)
	})
	nodes[0].signal(syscall.SIGTERM)
	close(gate)
	nodes[0].exited()
	if out := nodes[1].webhooks("status"); strings.Count(out, "Node:") != 1 || !strings.Contains(out, "(this one)") {
		t.Errorf("after the stop the status is\n%s", out)
	}
	for _, id := range ids {
		r.waitID(id)
	}
}

// TestReplayOnAnotherNode checks that a message that one server has accepted is a replay for
// the other one, and for a third one that starts later.
func TestReplayOnAnotherNode(t *testing.T) {
	t.Parallel()
	app := newReceiver(t)
	caddyfile := strings.Replace(shared(""), "handle_path", `handle /stripe {
		webhook_verify stripe {env.STRIPE_SECRET} {
			replay reject
		}
		reverse_proxy {$APP}
	}
	handle_path`, 1)
	dsn := pgtest.Database(t)
	node := func() *server {
		return startServer(t, caddyfile, "DATABASE_URL="+dsn, "STRIPE_SECRET="+stripeSecret, "APP="+app.addr)
	}
	one, two := node(), node()
	at := time.Now()
	var body []byte
	n := 0
	must.Eventually(t, "a refusal by the other node", func() bool {
		n++
		body = fmt.Appendf(nil, `{"id":"evt_%d"}`, n)
		one.post("/stripe", body, stripeHeaders(stripeSecret, at, body)).want(http.StatusOK)
		return two.post("/stripe", body, stripeHeaders(stripeSecret, at, body)).status == http.StatusConflict
	})
	node().post("/stripe", body, stripeHeaders(stripeSecret, at, body)).want(http.StatusConflict)
}

// TestDatabaseIsNamedWithoutSecrets checks that neither logs nor responses contain the
// password of the connection string, even if it is wrong.
func TestDatabaseIsNamedWithoutSecrets(t *testing.T) {
	t.Parallel()
	const password = "s3cret-of-the-database"
	dsn := pgtest.Database(t)
	for name, url := range map[string]string{
		"nobody listens":  "postgres://somebody:" + password + "@127.0.0.1:1/hooks",
		"no such option":  "postgres://somebody:" + password + "@127.0.0.1:1/hooks?pool_max_conns=x",
		"not a URL":       "postgres://somebody:" + password + "@127.0.0.1:port/hooks",
		"words":           "host=127.0.0.1 port=x password=" + password,
		"no such server":  "postgres://somebody:" + password + "@no-such-host.invalid/hooks",
		"another's words": password,
	} {
		s := newServer(t, shared(""), "DATABASE_URL="+url)
		err := s.tryStart()
		if err == nil {
			t.Fatalf("%s: caddy started", name)
		}
		if !strings.Contains(err.Error(), "store") || strings.Contains(err.Error(), password) || strings.Contains(s.out.String(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := startServer(t, shared(""), "DATABASE_URL="+dsn)
	if path := s.reader().get("/status").object("store").text("path"); !strings.HasPrefix(path, "postgres://") || strings.Contains(path, "postgres@") {
		t.Errorf("the store is %s", path)
	}
	if r := s.cli("webhooks", "store", "check", "--address", s.admin); r.code == 0 || !strings.Contains(r.stderr, "pg_dump") {
		t.Errorf("store check of a database: %+v", r)
	}
}
