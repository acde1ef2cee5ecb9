package egress

import (
	"context"
	"net"
	"net/netip"
	"time"
)

const (
	// headStart is how long an address is tried alone before the next is tried as
	// well (the Connection Attempt Delay of RFC 8305).
	headStart = 250 * time.Millisecond

	// maxTries is how many addresses of one host are tried.
	maxTries = 8
)

// connectFunc makes a connection to one address.
type connectFunc func(context.Context, netip.AddrPort) (net.Conn, error)

// race connects to one of the addresses. Each is tried when the one before it has
// failed or has had its head start, and the first connection wins. If all fail,
// the error is that of the first address.
func race(ctx context.Context, targets []netip.AddrPort, connect connectFunc) (net.Conn, error) {
	if len(targets) == 1 {
		return connect(ctx, targets[0])
	}
	targets = interleave(targets)
	targets = targets[:min(len(targets), maxTries)]

	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the attempts that lost

	type result struct {
		conn net.Conn
		err  error
		n    int
	}
	results := make(chan result)
	try := func(n int) {
		conn, err := connect(ctx, targets[n])
		select {
		case results <- result{conn, err, n}:
		case <-ctx.Done():
			if err == nil {
				conn.Close()
			}
		}
	}

	next := time.NewTimer(0)
	defer next.Stop()
	started, running := 0, 0
	var first error
	for started < len(targets) || running > 0 {
		select {
		case <-next.C:
			if started < len(targets) {
				go try(started)
				started++
				running++
				next.Reset(headStart)
			}
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			running--
			if r.n == 0 {
				first = r.err
			}
			next.Reset(0)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nil, first
}

// interleave reorders the addresses to alternate between the families, beginning
// with that of the first, so that a family without a route costs at most one head
// start.
func interleave(targets []netip.AddrPort) []netip.AddrPort {
	var same, other []netip.AddrPort
	for _, t := range targets {
		if t.Addr().Is4() == targets[0].Addr().Is4() {
			same = append(same, t)
		} else {
			other = append(other, t)
		}
	}
	mixed := make([]netip.AddrPort, 0, len(targets))
	for i := range max(len(same), len(other)) {
		if i < len(same) {
			mixed = append(mixed, same[i])
		}
		if i < len(other) {
			mixed = append(mixed, other[i])
		}
	}
	return mixed
}
