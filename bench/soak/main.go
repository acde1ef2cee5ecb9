// Command soak runs caddy-webhooks for an hour under mixed faults, at a modest
// rate: receivers that take turns to misbehave, reloads, kill -9 and graceful
// stops. At the end every accepted event must have been delivered to each of its
// subscriptions, or be a dead letter.
//
//	go run ./bench/soak -for 1h -rate 150 -out <folder>
//
// writes soak.csv, soak.svg and caddy.log to the folder. Linux only: it reads
// /proc. See bench/README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// plan has the settings of a run.
type plan struct {
	span, kill, reload, sample, drain time.Duration
	rate                              int
	out, database                     string
}

func main() {
	var p plan
	flag.DurationVar(&p.span, "for", time.Hour, "how long events are published")
	flag.IntVar(&p.rate, "rate", 150, "events a second; each has two subscriptions")
	flag.DurationVar(&p.kill, "kill", 100*time.Second, "how long a process lives in the first and the last quarter; in between it is left alone, so that growth would show")
	flag.DurationVar(&p.reload, "reload", 20*time.Second, "time between reloads")
	flag.DurationVar(&p.sample, "sample", 5*time.Second, "time between samples")
	flag.DurationVar(&p.drain, "drain", 4*time.Minute, "how long to wait at the end for pending deliveries")
	flag.StringVar(&p.out, "out", "", "folder to write to (required)")
	flag.StringVar(&p.database, "postgres", "", "URL of an empty database for the store, instead of a file")
	draw := flag.String("draw", "", "only draw the soak.csv of a run, to soak.svg in -out")
	flag.Parse()
	if p.out == "" {
		flag.Usage()
		os.Exit(2)
	}
	if *draw != "" {
		if err := plot(*draw, p.picture()); err != nil {
			fmt.Fprintln(os.Stderr, "soak:", err)
			os.Exit(1)
		}
		return
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := p.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func (p plan) picture() string { return filepath.Join(p.out, "soak.svg") }

// run does a whole run. It returns an error if a delivery was lost, and keeps the
// store after any error.
func (p plan) run(ctx context.Context) (err error) {
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w (the store is in %s)", err, dir)
			return
		}
		os.RemoveAll(dir)
	}()
	binary := filepath.Join(dir, "caddy")
	build := exec.Command("go", "build", "-o", binary, "./cmd/caddy")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building Caddy: %w", err)
	}
	log, err := os.Create(filepath.Join(p.out, "caddy.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s, err := newServer(dir, binary, p.database, log)
	if err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	defer func() { _ = s.kill() }()

	l := newLedger()
	receivers, err := subscribers(s, l)
	if err != nil {
		return err
	}
	samples := filepath.Join(p.out, "soak.csv")
	m, err := newMeter(s, l, samples)
	if err != nil {
		return err
	}
	defer m.close()
	if err := p.soak(ctx, s, l, receivers, m); err != nil {
		return err
	}
	if err := p.settle(ctx, s, receivers, m); err != nil {
		return err
	}
	return errors.Join(report(s, l), plot(samples, p.picture()))
}

// soak publishes events while it causes all the faults.
func (p plan) soak(ctx context.Context, s *server, l *ledger, receivers []*receiver, m *meter) error {
	publishing, stop := context.WithTimeout(ctx, p.span)
	defer stop()
	published := make(chan struct{})
	go func() {
		defer close(published)
		publish(publishing, s, l, p.rate)
	}()
	began := time.Now()
	reloads, kills, moods := time.NewTicker(p.reload), time.NewTicker(p.kill), time.NewTicker(moodSpan)
	samples := time.NewTicker(p.sample)
	defer reloads.Stop()
	defer kills.Stop()
	defer moods.Stop()
	defer samples.Stop()
	for turn := 0; ; {
		var err error
		select {
		case <-published:
			return ctx.Err()
		case <-samples.C:
			err = m.sample()
		case <-reloads.C:
			err = s.reload()
		case <-moods.C:
			turn++
			for i, r := range receivers {
				if err = r.become(course[(turn+2*i)%len(course)]); err != nil {
					break
				}
			}
		case <-kills.C:
			if elapsed := time.Since(began); elapsed > p.span/4 && elapsed < p.span*3/4 {
				continue
			}
			err = s.restart()
		}
		if err != nil {
			return err
		}
	}
}

// settle makes all receivers work, and waits until no delivery is pending.
func (p plan) settle(ctx context.Context, s *server, receivers []*receiver, m *meter) error {
	for _, r := range receivers {
		if err := r.become(well); err != nil {
			return err
		}
	}
	for end := time.Now().Add(p.drain); time.Now().Before(end); time.Sleep(p.sample) {
		if err := m.sample(); err != nil {
			return err
		}
		st, err := s.status()
		if err != nil {
			return err
		}
		if st.Pending == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil // the report counts what is still pending as lost
}

// report prints what became of all accepted events.
func report(s *server, l *ledger) error {
	dead, err := s.deadLetters()
	if err != nil {
		return err
	}
	b := l.balance(dead)
	fmt.Printf("%d events accepted, %d publishes without an answer\n", b.accepted, l.refused.Load())
	fmt.Printf("%d deliveries: %d delivered, %d dead letters, %d lost\n", b.owed, b.delivered, b.dead, b.lost)
	fmt.Printf("%d deliveries were repeated after a 2xx\n", b.repeats)
	fmt.Printf("%d × kill -9, %d × SIGTERM (the slowest took %v), %d reloads; the slowest start took %v\n",
		s.kills, s.stops, s.slowestStop.Round(time.Millisecond), s.reloads, s.slowestStart.Round(time.Millisecond))
	if b.lost > 0 {
		return fmt.Errorf("%d deliveries are lost", b.lost)
	}
	return nil
}
