//go:build linux

package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// scale are scenarios that measure what a large number of something costs.
var scale = []scenario{
	{name: "start", alone: startWithBacklog},
	{name: "fan-out-10000", alone: largeFanOut},
	{name: "store-10gb", alone: largeStore(10 << 30)},
	{name: "store-2gb", alone: largeStore(2 << 30)},
	{name: "subscriptions", alone: manySubscriptions},
}

// startWithBacklog starts a server on a store with a million pending deliveries to
// 100 endpoints, with nothing of its file in memory, and measures the time from exec
// to the arrival of the first delivery. Its memory is compared with that of a server
// that delivers events without a backlog.
func startWithBacklog(b *bench, each rounds) error {
	const backlog, endpoints = 1_000_000, 100
	r, err := receive()
	if err != nil {
		return err
	}
	defer r.close()
	dir, err := b.folder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f := filling{events: backlog, size: 1 << 10}
	for i := range endpoints {
		f.urls, f.types = append(f.urls, r.endpoint(i, "")), append(f.types, "load.test")
	}
	began := time.Now()
	if _, _, err := f.fill(storeIn(dir)); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "start: filled in %v\n", time.Since(began))
	return each(func() (figures, error) {
		idle, err := b.withoutBacklog(r)
		if err != nil {
			return nil, err
		}
		if err := forget(storeIn(dir)); err != nil {
			return nil, err
		}
		r.first.Store(0)
		s, err := b.launch(dir, "", r.endpoint(0, ""))
		if err != nil {
			return nil, err
		}
		for r.first.Load() == 0 && time.Since(s.began) < 30*time.Second {
			time.Sleep(time.Millisecond)
		}
		first := time.Unix(0, r.first.Load()).Sub(s.began)
		if err := s.ready(); err != nil {
			return nil, err
		}
		ready := time.Since(s.began)
		time.Sleep(b.span)
		peak := s.peak()
		s.stop()
		if r.first.Load() == 0 {
			return nil, s.explain(fmt.Errorf("nothing was delivered within 30 s"))
		}
		return figures{
			{"exec → first delivery, ms", first.Seconds() * 1e3}, {"exec → status answered, ms", ready.Seconds() * 1e3},
			{"RSS growth, MiB", peak - idle}, {"RSS peak, MiB", peak}, {"RSS peak without a backlog, MiB", idle},
		}, nil
	})
}

// withoutBacklog returns the peak memory of a server that delivers events for a span
// without a backlog.
func (b *bench) withoutBacklog(r *receiver) (float64, error) {
	s, err := b.serve("", r.endpoint(0, ""))
	if err != nil {
		return 0, err
	}
	defer s.stop()
	for i := range 100 {
		if err := s.subscribe(r.endpoint(i, ""), fmt.Sprintf("load.e%d", i)); err != nil {
			return 0, err
		}
	}
	_, err = s.received(r, b.span, stream{event: func(i int) (string, string) { return fmt.Sprintf("load.e%d", i%100), "" }})
	return s.peak(), err
}

// forget drops a file from the page cache.
func forget(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// largeFanOut compares one event with 10,000 subscribers to as many POSTs by the load
// generator to the same receiver.
func largeFanOut(b *bench, each rounds) error {
	const subscribers = 10_000
	sinkProcess, sink, err := b.sink()
	if err != nil {
		return err
	}
	defer sinkProcess.stop()
	dir, err := b.folder()
	if err != nil {
		return err
	}
	var f filling
	for i := range subscribers {
		f.urls, f.types = append(f.urls, fmt.Sprintf("%s/sub%d", sink, i)), append(f.types, "load.*")
	}
	s, err := b.filled(dir, f, sink)
	if err != nil {
		return err
	}
	defer s.stop()
	loop := func() (result, error) {
		return b.load("post", "-url="+sink+"/raw", fmt.Sprintf("-n=%d", subscribers),
			"-sign-secret=secret", "-sign-scheme=standard", "-sink="+sink)
	}
	return each(func() (figures, error) {
		before, err := loop()
		if err != nil {
			return nil, err
		}
		r, err := b.load("post", s.events("-n=1", "-c=1", "-sink="+sink, fmt.Sprintf("-fanout=%d", subscribers))...)
		if err == nil && (!r.E2E.Complete || r.E2E.Duplicates > 0) {
			err = fmt.Errorf("not every delivery arrived once: %+v", r.E2E)
		}
		if err != nil {
			return nil, s.explain(err)
		}
		after, err := loop()
		if err != nil {
			return nil, err
		}
		raw := (before.Seconds + after.Seconds) / 2
		return figures{
			{"time ÷ time of 10,000 POSTs", r.E2E.Seconds / raw}, {"s", r.E2E.Seconds}, {"s of the POSTs", raw}, {"RSS peak, MiB", s.peak()},
		}, nil
	})
}

// pair publishes to two servers in turns, with fan-out 1 in a closed loop. It returns
// for each how many events a second it accepted and delivered, and the CPU time in
// seconds of an event.
func (b *bench) pair(sink string, servers [2]*server) (rate, cpu [2]float64, err error) {
	const turns = 4
	var seconds, used, events [2]float64
	for turn := range turns * 2 {
		i := (turn + turn/2) % 2 // each is the first as often as the other
		before := servers[i].cpu()
		r, err := b.load("post", servers[i].events("-d="+(b.span/turns).String(), "-sink="+sink)...)
		if err == nil && !r.E2E.Complete {
			err = fmt.Errorf("not every delivery arrived: %+v", r.E2E)
		}
		if err != nil {
			return rate, cpu, servers[i].explain(err)
		}
		n := r.E2E.PerSecond * r.E2E.Seconds
		used[i] += (servers[i].cpu() - before).Seconds()
		events[i] += n
		seconds[i] += r.E2E.Seconds
	}
	for i := range 2 {
		rate[i], cpu[i] = events[i]/seconds[i], used[i]/events[i]
	}
	return rate, cpu, nil
}

// largeStore compares a store of that size, in which everything is delivered, with an
// empty one.
func largeStore(size int64) func(*bench, rounds) error {
	return func(b *bench, each rounds) error {
		sinkProcess, sink, err := b.sink()
		if err != nil {
			return err
		}
		defer sinkProcess.stop()
		full, err := b.folder()
		if err != nil {
			return err
		}
		defer os.RemoveAll(full)
		old := filling{urls: []string{sink + "/old"}, types: []string{"old.*"}, events: 1 << 30, size: 1 << 10, delivered: true, bytes: size}
		began := time.Now()
		events, bytes, err := old.fill(storeIn(full))
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "store: %d events, %d MiB, filled in %v\n", events, bytes>>20, time.Since(began))
		empty, err := b.folder()
		if err != nil {
			return err
		}
		var servers [2]*server
		for i, dir := range []string{empty, full} {
			if servers[i], err = b.launch(dir, "", sink); err != nil {
				return err
			}
			if err := servers[i].ready(); err != nil {
				return err
			}
			defer servers[i].stop()
			if err := servers[i].subscribe(sink+"/sub", "load.*"); err != nil {
				return err
			}
		}
		return each(func() (figures, error) {
			rate, cpu, err := b.pair(sink, servers)
			if err != nil {
				return nil, err
			}
			return figures{
				{"cost of an event ÷ with an empty store", rate[0] / rate[1]}, {"CPU of an event ÷ with an empty store", cpu[1] / cpu[0]},
				{"deliveries/s", rate[1]}, {"deliveries/s with an empty store", rate[0]},
				{"RSS MiB", servers[1].rss()}, {"RSS with an empty store, MiB", servers[0].rss()},
			}, nil
		})
	}
}

// manySubscriptions compares 10,000 subscriptions, one of which matches the events,
// with ten.
func manySubscriptions(b *bench, each rounds) error {
	sinkProcess, sink, err := b.sink()
	if err != nil {
		return err
	}
	defer sinkProcess.stop()
	var servers [2]*server
	for i, others := range []int{9, 9_999} {
		dir, err := b.folder()
		if err != nil {
			return err
		}
		var f filling
		for k := range others {
			f.urls, f.types = append(f.urls, sink+"/other"), append(f.types, fmt.Sprintf("other.t%d", k))
		}
		f.urls, f.types = append(f.urls, sink+"/sub"), append(f.types, "load.*")
		if servers[i], err = b.filled(dir, f, sink); err != nil {
			return err
		}
		defer servers[i].stop()
	}
	return each(func() (figures, error) {
		rate, cpu, err := b.pair(sink, servers)
		if err != nil {
			return nil, err
		}
		return figures{
			{"deliveries/s ÷ with 10", rate[1] / rate[0]}, {"CPU of an event ÷ with 10", cpu[1] / cpu[0]},
			{"deliveries/s", rate[1]}, {"deliveries/s with 10", rate[0]}, {"RSS MiB", servers[1].rss()}, {"RSS with 10, MiB", servers[0].rss()},
		}, nil
	})
}
