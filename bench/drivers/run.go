package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	modernc "modernc.org/sqlite"
)

// result is what one run measured.
type result struct {
	EventsPerSecond float64
	CPUMicros       float64 // user and system time per event
	P50, P99, Max   time.Duration
	Batch           float64 // events per commit
	RSSMiB          float64 // peak
}

const (
	publishers = 64
	warmUp     = 500 * time.Millisecond
)

// run publishes to a new store in dir, and measures for d after a warm-up.
func run(s settings, dir string, d time.Duration) (result, error) {
	if _, err := modernc.Fdatasync(s.Fdatasync); err != nil {
		return result{}, err
	}
	open := drivers[slices.IndexFunc(drivers, func(d driver) bool { return d.name == s.Driver })].open
	path := filepath.Join(dir, s.Driver+".db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(path + suffix)
	}
	st, err := openStore(path, open, s)
	if err != nil {
		return result{}, err
	}
	queue := make(chan event, publishers)
	var (
		measuring atomic.Bool
		stop      = make(chan struct{})
		wg        sync.WaitGroup
		latencies [publishers][]time.Duration
	)
	for i := range publishers {
		wg.Go(func() {
			e := event{payload: make([]byte, 1024), done: make(chan error, 1)}
			rand.Read(e.payload)
			for {
				select {
				case <-stop:
					return
				default:
				}
				start := time.Now()
				queue <- e
				if <-e.done != nil {
					return
				}
				if measuring.Load() {
					latencies[i] = append(latencies[i], time.Since(start))
				}
			}
		})
	}
	var commits atomic.Int64
	written := make(chan error, 1)
	go func() { written <- commitAll(st, queue, &commits) }()

	time.Sleep(warmUp)
	var before, after unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &before)
	start, first := time.Now(), commits.Load()
	measuring.Store(true)
	time.Sleep(d)
	measuring.Store(false)
	took, batches := time.Since(start), commits.Load()-first
	unix.Getrusage(unix.RUSAGE_SELF, &after)

	close(stop)
	wg.Wait()
	close(queue)
	if err := <-written; err != nil {
		return result{}, err
	}
	all := slices.Concat(latencies[:]...)
	slices.Sort(all)
	n := float64(max(len(all), 1))
	all = append(all, 0)
	at := func(q float64) time.Duration { return all[int(q*(n-1))] }
	return result{
		EventsPerSecond: n / took.Seconds(),
		CPUMicros:       float64(cpu(after)-cpu(before)) / 1e3 / n,
		P50:             at(0.5), P99: at(0.99), Max: at(1),
		Batch:  n / float64(max(batches, 1)),
		RSSMiB: float64(after.Maxrss) / 1024,
	}, st.close()
}

func cpu(r unix.Rusage) int64 { return r.Utime.Nano() + r.Stime.Nano() }

// commitAll does group commits: while one batch is written to disk, the next one
// is gathered in the queue.
func commitAll(st *store, queue <-chan event, commits *atomic.Int64) error {
	var failed error
	pending := 0
	batch := make([]event, 0, publishers)
	for e := range queue {
		batch = append(batch[:0], e)
		runtime.Gosched() // let publishers that were just answered publish again
		for more := true; more && len(batch) < publishers; {
			select {
			case e, ok := <-queue:
				if more = ok; ok {
					batch = append(batch, e)
				}
			default:
				more = false
			}
		}
		if failed == nil {
			failed = st.write(batch)
			commits.Add(1)
		}
		for _, e := range batch {
			e.done <- failed
		}
		pending += len(batch) * 2048
		if failed == nil {
			var asked bool
			if asked, failed = st.maintain(pending); asked {
				pending = 0
			}
		}
	}
	return failed
}
