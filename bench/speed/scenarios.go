//go:build linux

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
)

// scenario is one thing to measure.
type scenario struct {
	name string
	run  func(b *bench, s *server, sink string) (figures, error)
	raw  string // the figure to divide by the raw loop; "" for none

	// alone is set instead of run if the baseline isn't the raw loop. Such scenarios
	// run only when they are named.
	alone func(b *bench, each rounds) error
}

// rounds calls round once for each round.
type rounds func(round func() (figures, error)) error

// scenarios are the scenarios of the hot path.
var scenarios = []scenario{
	{name: "accept", run: accept, raw: "accepted/s"},
	{name: "fan-out-1", run: fanOut(1), raw: "deliveries/s"},
	{name: "fan-out-4", run: fanOut(4), raw: "deliveries/s"},
	{name: "paced-4000", run: paced},
	{name: "idle", run: idle},
	{name: "verify-1k", run: verify(1 << 10)},
	{name: "verify-64k", run: verify(64 << 10)},
	{name: "verify-1m", run: verify(1 << 20)},
}

// byName are the scenarios that run only when they are named.
var byName = slices.Concat(isolation, scale)

// measure runs a scenario between two raw loops.
func (b *bench) measure(sc scenario) (figures, error) {
	sinkProcess, sink, err := b.sink()
	if err != nil {
		return nil, err
	}
	defer sinkProcess.stop()
	before, err := b.rawLoop(sink)
	if err != nil {
		return nil, err
	}
	s, err := b.serve("", sink)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	var f figures
	err = b.profiled(s, sc.name, func() error {
		f, err = sc.run(b, s, sink)
		return err
	})
	if err != nil {
		return nil, s.explain(err)
	}
	f = append(f, figure{"RSS MiB", s.rss()})
	after, err := b.rawLoop(sink)
	if err != nil {
		return nil, err
	}
	loop := (before.AcceptedPS + after.AcceptedPS) / 2
	for _, v := range f {
		if v.name == sc.raw {
			f = append(figures{{sc.raw + " ÷ raw loop", v.value / loop}}, f...)
			break
		}
	}
	return append(f, figure{"raw loop/s", loop}, figure{"raw loop's p99 ÷ p50", (before.Latency.tail() + after.Latency.tail()) / 2}), nil
}

// publishFor runs the load generator against the API. It also returns the server's
// CPU time per event.
func (s *server) publishFor(b *bench, args ...string) (result, figure, error) {
	before := s.cpu()
	r, err := b.load("post", s.events(args...)...)
	spent := s.cpu() - before
	return r, figure{"server's CPU µs/event", float64(spent.Microseconds()) / (r.AcceptedPS * r.Seconds)}, err
}

// accept publishes without subscriptions.
func accept(b *bench, s *server, _ string) (figures, error) {
	r, cost, err := s.publishFor(b, "-d="+b.span.String())
	return figures{
		{"accepted/s", r.AcceptedPS}, {"accept p50 ms", r.Latency.P50}, {"accept p99 ms", r.Latency.P99},
		{"p99 ÷ p50", r.Latency.tail()}, cost,
	}, err
}

// fanOut publishes to n subscriptions as fast as events are accepted, and waits for
// every delivery.
func fanOut(n int) func(*bench, *server, string) (figures, error) {
	return func(b *bench, s *server, sink string) (figures, error) {
		for i := range n {
			if err := s.subscribe(fmt.Sprintf("%s/sub%d", sink, i), "load.*"); err != nil {
				return nil, err
			}
		}
		r, cost, err := s.publishFor(b, "-d="+b.span.String(), "-sink="+sink, fmt.Sprintf("-fanout=%d", n))
		if err == nil && (!r.E2E.Complete || r.E2E.Duplicates > 0) {
			err = fmt.Errorf("not every delivery arrived once: %+v", r.E2E)
		}
		return figures{
			{"deliveries/s", r.E2E.PerSecond}, {"accepted/s", r.AcceptedPS},
			{"accept p50 ms", r.Latency.P50}, {"accept p99 ms", r.Latency.P99}, {"p99 ÷ p50", r.Latency.tail()}, cost,
		}, err
	}
}

// paced publishes 4,000 events a second, however fast they are accepted. An event is
// two HTTP exchanges and a part of a commit, so its baselines are the raw loop at
// twice that rate, and the disk, alone and while the cores are busy.
func paced(b *bench, s *server, sink string) (figures, error) {
	raw, err := b.rawLoop(sink, "-rate=8000")
	if err != nil {
		return nil, err
	}
	synced, err := b.syncTimes(time.Millisecond)
	if err != nil {
		return nil, err
	}
	busy := make(chan error, 1)
	go func() {
		_, err := b.rawLoop(sink)
		busy <- err
	}()
	syncedBusy, err := b.syncTimes(time.Millisecond)
	if err = errors.Join(err, <-busy); err != nil {
		return nil, err
	}
	if err := s.subscribe(sink+"/sub", "load.*"); err != nil {
		return nil, err
	}
	r, cost, err := s.publishFor(b, "-d="+b.span.String(), "-rate=4000", "-sink="+sink)
	if err == nil && !r.E2E.Complete {
		err = fmt.Errorf("not every delivery arrived: %+v", r.E2E)
	}
	return figures{
		{"accept p99 ms", r.Latency.P99}, {"accept p50 ms", r.Latency.P50},
		{"received p50 ms", r.E2E.Latency.P50}, {"received p99 ms", r.E2E.Latency.P99}, {"accepted/s", r.AcceptedPS}, cost,
		{"raw loop's p50 ms at 8,000/s", raw.Latency.P50}, {"raw loop's p99 ms at 8,000/s", raw.Latency.P99},
		{"disk alone, p50 ms", quantile(synced, .5)}, {"disk alone, p99 ms", quantile(synced, .99)}, {"disk alone, p99.9 ms", quantile(synced, .999)},
		{"disk, cores busy, p50 ms", quantile(syncedBusy, .5)}, {"disk, cores busy, p99 ms", quantile(syncedBusy, .99)}, {"disk, cores busy, p99.9 ms", quantile(syncedBusy, .999)},
	}, err
}

// idle publishes one event at a time. An event makes two trips and is synced between
// them, so its baselines are one trip in the raw loop, and the disk alone, at the
// same rate.
func idle(b *bench, s *server, sink string) (figures, error) {
	const gap = 20 * time.Millisecond
	raw, err := b.rawLoop(sink, fmt.Sprintf("-rate=%d", time.Second/gap))
	if err != nil {
		return nil, err
	}
	synced, err := b.syncTimes(gap)
	if err != nil {
		return nil, err
	}
	if err := s.subscribe(sink+"/sub", "load.*"); err != nil {
		return nil, err
	}
	r, err := b.load("idle", s.events("-n=100", "-gap="+gap.String(), "-sink="+sink)...)
	if err == nil && r.Lost > 0 {
		err = fmt.Errorf("%d events did not arrive", r.Lost)
	}
	return figures{
		{"POST → received p50 ms", r.Delivered.P50}, {"p99 ms", r.Delivered.P99},
		{"raw POST → received p50 ms", raw.E2E.Latency.P50}, {"disk alone, p50 ms", quantile(synced, .5)},
	}, err
}

// verify compares, in turns, verifying and proxying with only proxying the same
// requests, with and without request_buffers; and refusing requests without a
// signature with proxying them, and with Caddy's own directives that give the same
// answer.
func verify(size int) func(*bench, *server, string) (figures, error) {
	return func(b *bench, s *server, _ string) (figures, error) {
		const turns = 3
		proxy := func(path string, args ...string) (float64, error) {
			r, err := b.load("proxy", append([]string{
				"-url=" + s.verify + path, fmt.Sprintf("-size=%d", size), "-d=" + (b.span / turns).String(),
			}, args...)...)
			return r.PerSecond(), err
		}
		signed := []string{"-sign-secret=" + secret, "-sign-scheme=github"}
		var proxied, buffered, verified, plain, refused, failed, answered float64
		for range turns {
			for _, turn := range []struct {
				sum  *float64
				path string
				args []string
			}{
				{&proxied, "/plain", signed}, {&verified, "/verified", signed}, {&buffered, "/buffered", signed},
				{&plain, "/plain", nil}, {&refused, "/verified", nil}, {&failed, "/error", nil}, {&answered, "/respond", nil},
			} {
				n, err := proxy(turn.path, turn.args...)
				if err != nil {
					return nil, err
				}
				*turn.sum += n / turns
			}
		}
		// What HMAC alone allows, with two cores for proxying and HMAC.
		bound := 1 / (1 + proxied/2*macTime(size).Seconds())
		return figures{
			{"verified ÷ plain", verified / proxied}, {"bound by HMAC alone", bound}, {"of the bound", verified / proxied / bound},
			{"buffered ÷ plain", buffered / proxied}, {"of the bound, buffered", verified / buffered / bound},
			{"refused ÷ plain", refused / plain}, {"refused ÷ error 401", refused / failed}, {"respond 401 ÷ plain", answered / plain}, {"plain/s", proxied}, {"verified/s", verified}, {"refused/s", refused},
		}, nil
	}
}

// macTime returns how long one HMAC-SHA256 of size bytes takes.
func macTime(size int) time.Duration {
	body := make([]byte, size)
	n, began := 0, time.Now()
	for time.Since(began) < 200*time.Millisecond {
		sign(body)
		n++
	}
	return time.Since(began) / time.Duration(n)
}

// sign returns the MAC of a body with the secret of /verified.
func sign(body []byte) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write(body)
	return m.Sum(nil)
}
