//go:build unix

package outbound_test

import (
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/logged"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// limitFiles lets the process open no file whose descriptor isn't below the limit, until
// the returned function is called or the test ends. Those that are open can still be used.
func (h *harness) limitFiles(limit uint64) (restore func()) {
	h.t.Helper()
	h.file() // Postgres may need another connection
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		h.t.Fatal(err)
	}
	few := before
	few.Cur = limit
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		h.t.Skip(err)
	}
	restore = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			h.t.Error(err)
		}
	}
	h.t.Cleanup(restore)
	return restore
}

// awaitShortage waits for an attempt that fails because the server has too many open files.
func (h *harness) awaitShortage() {
	h.t.Helper()
	must.Eventually(h.t, "an attempt without files", func() bool {
		s := h.sub()
		return strings.HasPrefix(s.LastError, "the server has too many open files: raise") && s.InFlight == 0
	})
}

// An attempt for which the server has no file descriptors is made again after a second, and
// doesn't count, neither for the delivery nor for the receiver.
func TestAttemptsWithoutFiles(t *testing.T) {
	net.DefaultResolver.PreferGo = true // libc's doesn't recover at once
	t.Cleanup(func() { net.DefaultResolver.PreferGo = false })
	for name, address := range map[string]string{"an address": "127.0.0.1", "a name": "localhost"} {
		t.Run(name, func(t *testing.T) {
			var log logged.Buffer
			h := open(t, retries(), func(s *outbound.Settings) {
				s.DisableAfter = outbound.DisableAfter{Failures: 1, For: 1}
				s.Logger = slog.New(slog.NewTextHandler(&log, nil))
				s.Policy = must.Get(egress.NewPolicy([]string{"127.0.0.0/8", "::1", "localhost"}, nil))(t)
			})
			r := newReceiver(t)
			h.subscribe(outbound.SubscriptionSpec{URL: strings.Replace(r.URL, "127.0.0.1", address, 1), EventTypes: []string{"*"}})
			restore := h.limitFiles(0)
			for range 20 { // more would count as down
				h.publish("a", `1`)
			}
			h.awaitShortage()
			if s := h.sub(); s.Failures != 0 || s.Health != outbound.HealthPaused || !s.PausedUntil.Equal(h.clock.Now().Add(time.Second)) {
				t.Errorf("got %d failures, health %s until %v, want 0 and a pause of a second", s.Failures, s.Health, s.PausedUntil)
			}
			restore()
			h.clock.advance(time.Second)
			for range 20 {
				if d := h.awaitAttempt(); d.Attempt.Number != 1 || d.State != store.Delivered {
					t.Errorf("got attempt %d, %s, want 1, delivered", d.Attempt.Number, d.State)
				}
			}
			if n := strings.Count(log.String(), "too many open files: raise its limit"); n != 1 {
				t.Errorf("got %d log entries, want 1:\n%s", n, &log)
			}
		})
	}
}

// In an ordered subscription, no later delivery overtakes such an attempt.
func TestOrderWithoutFiles(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: true})
	restore := h.limitFiles(0)
	for _, payload := range []string{`1`, `2`, `3`} {
		h.publish("a", payload)
	}
	h.awaitShortage()
	restore()
	h.clock.advance(time.Second)
	for _, want := range []string{`1`, `2`, `3`} {
		if got := string(r.next(t).body); got != want {
			t.Errorf("got delivery %s, want %s", got, want)
		}
	}
}

// Such an attempt is made early again if it was early.
func TestEarlyAttemptWithoutFiles(t *testing.T) {
	h, r := openDuringOutage(t, outbound.SubscriptionSpec{}, retries(time.Hour))
	r.Config.SetKeepAlivesEnabled(false)
	h.publish("a", `1`)
	h.awaitFailure(r)
	r.respond(status(http.StatusOK))
	restore := h.limitFiles(0)
	must.Get(h.Activate(t.Context(), h.sub().Subscription.ID))(t)
	h.awaitShortage()
	restore()
	h.clock.advance(time.Second)
	r.next(t)
}

// Idle connections to other receivers are closed, so that they don't use up all files.
func TestIdleConnectionsDuringAShortage(t *testing.T) {
	h := open(t)
	idle, other := newReceiver(t), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: idle.URL, EventTypes: []string{"a"}})
	h.subscribe(outbound.SubscriptionSpec{URL: other.URL, EventTypes: []string{"b"}})
	h.publish("a", `1`)
	idle.next(t)
	h.awaitAttemptEnd()
	defer h.limitFiles(1000)()
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		defer f.Close()
	}
	h.publish("b", `1`)
	defer h.clock.run(t)()
	other.next(t)
}
