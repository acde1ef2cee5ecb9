package main

import (
	"fmt"
)

// scenario is one thing to measure.
type scenario struct {
	name    string
	options string // of the webhooks block
	run     func(b *bench, s *server, sink string) (figures, error)
	raw     string // the figure to divide by the raw loop; "" for none
}

// scenarios are all there are.
var scenarios = []scenario{
	{name: "accept", run: accept, raw: "accepted/s"},
	{name: "fan-out-1", run: fanOut(1), raw: "deliveries/s"},
	{name: "fan-out-4", run: fanOut(4), raw: "deliveries/s"},
	{name: "paced-4000", run: paced},
	{name: "idle", run: idle},
	{name: "subscriptions-10", run: manySubscriptions(10), raw: "accepted/s"},
	{name: "subscriptions-10000", run: manySubscriptions(10_000), raw: "accepted/s"},
}

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
	s, err := b.serve(sc.options)
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
		return nil, fmt.Errorf("%w\n%s", err, s.log.String())
	}
	f = append(f, figure{"RSS MiB", s.rss()})
	after, err := b.rawLoop(sink)
	if err != nil {
		return nil, err
	}
	loop := (before + after) / 2
	for _, v := range f {
		if v.name == sc.raw {
			f = append(figures{{sc.raw + " ÷ raw loop", v.value / loop}}, f...)
			break
		}
	}
	return append(f, figure{"raw loop/s", loop}), nil
}

// accept is publishing with nobody subscribed.
func accept(b *bench, s *server, _ string) (figures, error) {
	r, err := b.load("post", s.events("-d="+b.span.String())...)
	return figures{
		{"accepted/s", r.AcceptedPS}, {"accept p50 ms", r.Latency.P50}, {"accept p99 ms", r.Latency.P99},
		{"p99 ÷ p50", r.Latency.P99 / r.Latency.P50},
	}, err
}

// fanOut publishes as fast as it is answered, and waits for every delivery.
func fanOut(n int) func(*bench, *server, string) (figures, error) {
	return func(b *bench, s *server, sink string) (figures, error) {
		for i := range n {
			if err := s.subscribe(fmt.Sprintf("%s/sub%d", sink, i), "load.*"); err != nil {
				return nil, err
			}
		}
		r, err := b.load("post", s.events("-d="+b.span.String(), "-sink="+sink, fmt.Sprintf("-fanout=%d", n))...)
		if err == nil && (!r.E2E.Complete || r.E2E.Duplicates > 0) {
			err = fmt.Errorf("not every delivery arrived once: %+v", r.E2E)
		}
		return figures{
			{"deliveries/s", r.E2E.PerSecond}, {"accepted/s", r.AcceptedPS},
			{"accept p50 ms", r.Latency.P50}, {"accept p99 ms", r.Latency.P99}, {"p99 ÷ p50", r.Latency.P99 / r.Latency.P50},
		}, err
	}
}

// paced publishes 4,000 events a second, whatever is answered when.
func paced(b *bench, s *server, sink string) (figures, error) {
	if err := s.subscribe(sink+"/sub", "load.*"); err != nil {
		return nil, err
	}
	r, err := b.load("post", s.events("-d="+b.span.String(), "-rate=4000", "-sink="+sink)...)
	if err == nil && !r.E2E.Complete {
		err = fmt.Errorf("not every delivery arrived: %+v", r.E2E)
	}
	return figures{
		{"accept p99 ms", r.Latency.P99}, {"accept p50 ms", r.Latency.P50},
		{"received p50 ms", r.E2E.Latency.P50}, {"received p99 ms", r.E2E.Latency.P99}, {"accepted/s", r.AcceptedPS},
	}, err
}

// idle publishes one event at a time.
func idle(b *bench, s *server, sink string) (figures, error) {
	if err := s.subscribe(sink+"/sub", "load.*"); err != nil {
		return nil, err
	}
	r, err := b.load("idle", s.events("-n=100", "-gap=20ms", "-sink="+sink)...)
	if err == nil && r.Lost > 0 {
		err = fmt.Errorf("%d events did not arrive", r.Lost)
	}
	return figures{{"POST → received p50 ms", r.Delivered.P50}, {"p99 ms", r.Delivered.P99}}, err
}

// manySubscriptions publishes an event that one of n subscriptions wants.
func manySubscriptions(n int) func(*bench, *server, string) (figures, error) {
	return func(b *bench, s *server, sink string) (figures, error) {
		for i := range n - 1 {
			if err := s.subscribe(sink+"/other", fmt.Sprintf("other.t%d", i)); err != nil {
				return nil, err
			}
		}
		if err := s.subscribe(sink+"/sub", "load.*"); err != nil {
			return nil, err
		}
		r, err := b.load("post", s.events("-d="+b.span.String(), "-sink="+sink)...)
		return figures{{"accepted/s", r.AcceptedPS}, {"deliveries/s", r.E2E.PerSecond}}, err
	}
}
