package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// step is when a connection to one address succeeds, or fails with err.
type step struct {
	after time.Duration
	err   error
}

// countedConn is a connection that counts itself in open until it is closed.
type countedConn struct {
	net.Conn
	to   netip.AddrPort
	open *atomic.Int64
}

func (c *countedConn) Close() error {
	c.open.Add(-1)
	return nil
}

func endpoints(addrs ...string) []netip.AddrPort {
	var targets []netip.AddrPort
	for _, a := range addrs {
		targets = append(targets, netip.AddrPortFrom(netip.MustParseAddr(a), 443))
	}
	return targets
}

// Addresses are tried in parallel with a delay in between; the first connection wins and
// the others are closed.
func TestRace(t *testing.T) {
	refused, unreachable := errors.New("refused"), errors.New("unreachable")
	tests := []struct {
		name    string
		targets []netip.AddrPort
		steps   map[string]step
		winner  string
		err     error
		took    time.Duration
	}{
		{"one", endpoints("1.1.1.1"), map[string]step{"1.1.1.1": {time.Second, nil}}, "1.1.1.1", nil, time.Second},
		{"one refused", endpoints("1.1.1.1"), map[string]step{"1.1.1.1": {0, refused}}, "", refused, 0},
		{"first is quick", endpoints("1.1.1.1", "1.0.0.1"), map[string]step{"1.1.1.1": {100 * time.Millisecond, nil}, "1.0.0.1": {}}, "1.1.1.1", nil, 100 * time.Millisecond},
		{"first fails, next at once", endpoints("1.1.1.1", "1.0.0.1"), map[string]step{"1.1.1.1": {10 * time.Millisecond, refused}, "1.0.0.1": {10 * time.Millisecond, nil}}, "1.0.0.1", nil, 20 * time.Millisecond},
		{"first hangs, next after its head start", endpoints("1.1.1.1", "1.0.0.1"), map[string]step{"1.1.1.1": {time.Hour, nil}, "1.0.0.1": {10 * time.Millisecond, nil}}, "1.0.0.1", nil, headStart + 10*time.Millisecond},
		{"first is slow, but wins", endpoints("1.1.1.1", "1.0.0.1"), map[string]step{"1.1.1.1": {300 * time.Millisecond, nil}, "1.0.0.1": {time.Second, nil}}, "1.1.1.1", nil, 300 * time.Millisecond},
		{"other family second", endpoints("2600::1", "2600::2", "1.1.1.1"), map[string]step{"2600::1": {time.Hour, nil}, "2600::2": {time.Hour, nil}, "1.1.1.1": {}}, "1.1.1.1", nil, headStart},
		{"one of a family, many of the other", endpoints("1.1.1.1", "2600::1", "2600::2", "2600::3"), map[string]step{"1.1.1.1": {0, refused}, "2600::1": {0, refused}, "2600::2": {0, refused}, "2600::3": {}}, "2600::3", nil, 0},
		{"all fail, the first one first", endpoints("1.1.1.1", "1.0.0.1"), map[string]step{"1.1.1.1": {0, refused}, "1.0.0.1": {time.Second, unreachable}}, "", refused, time.Second},
		{"all fail", endpoints("1.1.1.1", "1.0.0.1"), map[string]step{"1.1.1.1": {time.Second, refused}, "1.0.0.1": {0, unreachable}}, "", refused, time.Second},
		{"all hang", endpoints("1.1.1.1", "1.0.0.1"), map[string]step{"1.1.1.1": {time.Hour, nil}, "1.0.0.1": {time.Hour, nil}}, "", context.DeadlineExceeded, 10 * time.Second},
		{"too many", endpoints("1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5", "1.1.1.6", "1.1.1.7", "1.1.1.8", "1.1.1.9"), map[string]step{
			"1.1.1.1": {0, refused}, "1.1.1.2": {0, refused}, "1.1.1.3": {0, refused}, "1.1.1.4": {0, refused}, "1.1.1.5": {0, refused},
			"1.1.1.6": {0, refused}, "1.1.1.7": {0, refused}, "1.1.1.8": {0, refused}, "1.1.1.9": {},
		}, "", refused, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var open atomic.Int64
				connect := func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
					s := tt.steps[to.Addr().String()]
					select {
					case <-time.After(s.after):
					case <-ctx.Done():
						return nil, ctx.Err()
					}
					if s.err != nil {
						return nil, s.err
					}
					open.Add(1)
					return &countedConn{to: to, open: &open}, nil
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				conn, err := race(ctx, tt.targets, connect)
				if took := time.Since(start); took != tt.took {
					t.Errorf("got a duration of %v, want %v", took, tt.took)
				}
				synctest.Wait() // until the losers are closed
				if !errors.Is(err, tt.err) {
					t.Fatalf("got error %v, want %v", err, tt.err)
				}
				if tt.err != nil {
					return
				}
				if got := conn.(*countedConn).to.Addr().String(); got != tt.winner {
					t.Errorf("got a connection to %s, want %s", got, tt.winner)
				}
				if n := open.Load(); n != 1 {
					t.Errorf("got %d connections left open, want 0", n)
				}
			})
		})
	}
}

// If two connections succeed at the same instant, one is returned and the other closed.
func TestRaceTie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Int64
		connect := func(_ context.Context, to netip.AddrPort) (net.Conn, error) {
			if to.Addr() == netip.MustParseAddr("1.1.1.1") {
				time.Sleep(headStart)
			}
			open.Add(1)
			return &countedConn{to: to, open: &open}, nil
		}
		conn := must.Get(race(t.Context(), endpoints("1.1.1.1", "1.0.0.1"), connect))(t)
		synctest.Wait()
		if n := open.Load(); n != 1 {
			t.Errorf("got %d connections open, want 1", n)
		}
		conn.Close()
	})
}
