package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// versionSecret is one that a version of reloadable signs with.
func versionSecret(version string) string { return whsec("version " + version) }

// reloadable is a Caddyfile of which each version has other limits, another
// secret and another set of subscriptions; all deliver order.* to the receiver.
func reloadable(version int) string {
	options := fmt.Sprintf(`
		retry 50ms 100ms 200ms 400ms 800ms
		timeout %ds
		concurrency %d
		endpoint_concurrency %d
		response_body %dKiB
		egress {
			allow 127.0.0.1
		}
		event_type order.v%d "Only in this version"
		subscription main {
			url http://{$RECEIVER}/main
			event_types order.*
			secret {env.MAIN_SECRET} %s
			header X-Version %d
		}
`, 60+version%5, 50+version, 4+version%8, 1+version%4, version, versionSecret(strconv.Itoa(version)), version)
	if version%2 == 1 {
		options += `
		subscription sometimes {
			url http://{$OTHER}/sometimes
			event_types order.*
		}
`
	}
	return withOptions(options)
}

// TestReloads reloads the config under load, with other settings each time. Nothing is lost,
// attempts in progress continue, the store is opened once, and no resources leak.
func TestReloads(t *testing.T) {
	warmUp, reloads := 10, often(200)
	r, other := newReceiver(t), newReceiver(t)
	respond, failures := failFirst()
	r.answer(respond)
	s := startServer(t, reloadable(0), "RECEIVER="+r.addr, "OTHER="+other.addr, "MAIN_SECRET="+whsec("main"))

	var idle usage
	version := 0
	underLoad := func(n int) *load {
		l := startLoad(s, 4)
		for range n {
			mark := l.count.Load()
			version++
			s.reload(reloadable(version))
			must.Eventually(t, "accepted events", func() bool { return l.count.Load() >= mark+20 })
		}
		l.stop()
		return l
	}
	settled := func() {
		must.Eventually(t, "an end of the deliveries", func() bool { // including those that are retried
			o := s.reader().get("/status")
			main := slices.IndexFunc(o.list("subscriptions"), func(sub object) bool { return sub.text("subscription_id") == "sub_main" })
			return o.num("in_flight") == 0 && o.list("subscriptions")[main].num("pending") == 0
		})
		version += 2
		s.reload(reloadable(version)) // this closes idle connections of deliveries
	}

	first := underLoad(warmUp)
	first.arrived(r)
	settled()
	idle = s.usage()
	second := underLoad(reloads)
	repeats := second.arrived(r)
	settled()

	if n := int64(repeats); n > failures.Load() {
		t.Errorf("%d deliveries came again, and %d had failed: reloads repeat what is under way", n, failures.Load())
	}
	if n := len(s.reader().list("/dead-letters")); n != 0 {
		t.Errorf("there are %d dead letters", n)
	}
	for _, d := range r.all() {
		d.signed(t, whsec("main"), versionSecret(d.header.Get("X-Version")))
	}
	if o := s.reader().get("/event-types"); len(o.list("data")) != 1 || o.list("data")[0].text("name") != fmt.Sprintf("order.v%d", version) {
		t.Errorf("the event types of the last version are %v", o)
	}
	var now usage
	must.Eventually(t, "no more goroutines, files and memory in use than before", func() bool {
		now = s.usage()
		return now.goroutines <= idle.goroutines+10 && now.files <= idle.files+5 && now.stores == idle.stores && now.heap <= idle.heap+8<<20
	})
	// What the other subscription missed while it was out of the config arrives
	// when it is back.
	s.reload(reloadable(version + 1))
	second.arrivedWith(other, 2)
	t.Logf("%d reloads, %d events: %+v before, %+v after", reloads, second.count.Load(), idle, now)
}

// usage is what a process has open, and its memory in bytes.
type usage struct{ goroutines, files, stores, heap int }

func (s *server) usage() usage {
	s.t.Helper()
	var u usage
	profile := s.adminGet("/debug/pprof/goroutine?debug=1")
	if _, err := fmt.Sscanf(profile, "goroutine profile: total %d", &u.goroutines); err != nil {
		s.t.Fatalf("reading the goroutine profile: %v", err)
	}
	heap := s.adminGet("/debug/pprof/heap?gc=1&debug=1")
	_, heap, _ = strings.Cut(heap, "# HeapAlloc = ")
	if _, err := fmt.Sscan(heap, &u.heap); err != nil {
		s.t.Fatalf("reading the heap profile: %v", err)
	}
	files := filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "fd")
	open, err := os.ReadDir(files)
	if err != nil {
		return u // only Linux shows them
	}
	u.files = len(open)
	for _, f := range open {
		if path, err := os.Readlink(filepath.Join(files, f.Name())); err == nil && path == s.db {
			u.stores++
		}
	}
	return u
}

// TestFailedReload checks that if a config can't be started, the one before stays active.
func TestFailedReload(t *testing.T) {
	t.Parallel()
	r, other := newReceiver(t), newReceiver(t)
	s := startServer(t, reloadable(0), "RECEIVER="+r.addr, "OTHER="+other.addr, "MAIN_SECRET="+whsec("main"))
	taken := newReceiver(t)
	for range 3 {
		// It provisions and then can't listen, perhaps after our start.
		refusal := s.load(strings.Replace(reloadable(1), "http://:{$PORT}", "http://:"+taken.port()+" http://:{$PORT}", 1))
		if !strings.Contains(refusal, "address already in use") {
			t.Fatalf("the refusal is %q", refusal)
		}
		id := s.publish(event{Type: "order.created"})
		if d := r.waitID(id); d.path != "/main" || d.header.Get("X-Version") != "0" {
			t.Errorf("after a failed reload came %s, X-Version %q", d.path, d.header.Get("X-Version"))
		}
		s.settled(id, "sub_main", "delivered")
		if got := s.webhooks("deliveries", "list", "--event-id", id); !strings.Contains(got, id) {
			t.Errorf("after a failed reload the admin endpoint shows %s", got)
		}
	}
	if o := s.manager().do("GET", "/subscriptions/sub_sometimes", nil); o.status == http.StatusOK && o.object()["active"] == true {
		t.Error("the subscription of a config that failed is active")
	}
}

func (r *receiver) port() string {
	_, port, _ := strings.Cut(r.addr, ":")
	return port
}
