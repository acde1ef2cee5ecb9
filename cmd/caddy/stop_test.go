package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestDrain checks that a stop waits for attempts in progress, and stores their outcomes.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local+"\t\ttimeout 10m"))
	r := newReceiver(t)
	release := make(chan struct{})
	r.answer(func(http.ResponseWriter, *request) { <-release })
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	id := s.publish(event{Type: "a"})
	r.wait(1)
	mark := s.out.len()
	s.signal(syscall.SIGTERM)
	must.Eventually(t, "the word of what is waited for", func() bool { return strings.Contains(s.out.after(mark), "waiting for those in flight") })
	if !s.running() {
		t.Error("caddy did not wait for the attempt")
	}
	if status := s.webhooks("status"); !strings.Contains(status, "Stopping:") {
		t.Errorf("the status doesn't say that it stops: %s", status)
	}
	close(release)
	s.exited()
	r.answer(nil)
	s.start()
	d := s.delivery(id, sub)
	if d.text("state") != "delivered" || d.num("attempts") != 1 {
		t.Errorf("after the restart the delivery is %v", d)
	}
	fence := s.publish(event{Type: "a"})
	r.waitID(fence)
	if got := r.all(); len(got) != 2 {
		t.Errorf("%d deliveries have arrived, want 2: what was drained came again", len(got))
	}
}

// TestDrainEnds checks that an attempt that outlasts the grace period is repeated after the
// start.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	caddyfile := strings.Replace(withOptions(local), "webhooks {", "grace_period 200ms\n\twebhooks {", 1)
	s := startServer(t, caddyfile)
	r := newReceiver(t)
	r.answer(func(_ http.ResponseWriter, d *request) { <-d.gone })
	sub, secret := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	id := s.publish(event{Type: "a"})
	r.wait(1)
	s.stop()
	r.answer(nil)
	r.forget()
	s.start()
	d := r.waitID(id)
	d.signed(t, secret)
	s.settled(id, sub, "delivered")
}

// TestStopsUnderLoad stops the server while more is published than its receivers can take.
// Attempts that end within the grace period are settled and arrive once. Those that outlast
// it, at the first stop, arrive again, and pending deliveries arrive after the start.
func TestStopsUnderLoad(t *testing.T) {
	t.Parallel()
	// A delivery may take longer than this test waits for a stop.
	caddyfile := strings.Replace(withOptions(local+"\t\ttimeout 10m"), "webhooks {", "grace_period 10s\n\twebhooks {", 1)
	s := startServer(t, caddyfile)
	slow, hanging := newReceiver(t), newReceiver(t)
	slow.answer(func(http.ResponseWriter, *request) { time.Sleep(10 * time.Millisecond) })
	hang := func() (release func()) {
		gate := make(chan struct{})
		hanging.answer(func(_ http.ResponseWriter, d *request) {
			select {
			case <-gate:
			case <-d.gone:
			}
		})
		return func() { close(gate) }
	}
	release := hang()
	for _, r := range []*receiver{slow, hanging} {
		s.subscribe(object{"url": r.url("/"), "event_types": []string{"order.*"}})
	}
	l := startLoad(s, 2)
	for i := range often(5) {
		mark := l.count.Load()
		must.Eventually(t, "accepted events", func() bool { return l.count.Load() >= mark+200 })
		if o := s.reader().get("/status"); o.num("pending") <= o.num("in_flight") {
			t.Errorf("nothing waits before the stop: %v", o)
		}
		s.signal(syscall.SIGTERM)
		if i > 0 {
			release()
		}
		s.exited()
		if i > 0 {
			release = hang()
		}
		s.start()
	}
	l.stop()
	release()
	s.stop()
	s.start()
	if repeats := l.arrived(slow); repeats > 0 {
		t.Errorf("%d deliveries came again, though each stop was gentle", repeats)
	}
	repeats := l.arrived(hanging)
	t.Logf("%d events were accepted; of those that hung, %d came again", l.count.Load(), repeats)
}
