package outbound

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// deadLetterLog has the log of the settings written. Which dead letters it lacks
// is in the store, from the moment of their death on: a crash, a full disk or a
// log that is away costs no line, though one may be repeated.
type deadLetterLog struct {
	e        *Engine
	wake     bell
	failures rate.Sometimes
}

const (
	logRetryDelay    = 10 * time.Second // after an error
	logInterval      = 30 * time.Second // for those of other nodes that are gone
	logFinishTimeout = 5 * time.Second  // at most for the last ones
)

func (l *deadLetterLog) init(e *Engine) {
	l.e, l.wake, l.failures = e, newBell(), rate.Sometimes{Interval: time.Minute}
}

// enabled tells whether there is a log.
func (l *deadLetterLog) enabled() bool { return l.e.config.Load().DeadLetterLog != nil }

// wakeUp has what the log lacks written soon.
func (l *deadLetterLog) wakeUp() { l.wake.ring() }

func (l *deadLetterLog) run() {
	for l.e.life.Err() == nil {
		pause := logInterval
		c := l.e.config.Load()
		err := l.catchUp(l.e.life)
		// With other settings, that log may have ended, and the bell rings for another one.
		if err != nil && l.e.life.Err() == nil && l.e.config.Load() == c {
			pause = logRetryDelay
			l.failures.Do(func() {
				c.Logger.Error("dead letters wait to be written to the dead-letter log; trying again", "error", err)
			})
		}
		select {
		case <-l.wake:
		case <-l.e.clock.after(pause):
		case <-l.e.life.Done():
		}
	}
}

// finish writes the last ones, when nothing can die any more.
func (l *deadLetterLog) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), logFinishTimeout)
	defer cancel()
	if err := l.catchUp(ctx); err != nil {
		l.e.config.Load().Logger.Error("dead letters are to be written to the dead-letter log after the next start", "error", err)
	}
}

// catchUp writes what the log lacks.
func (l *deadLetterLog) catchUp(ctx context.Context) error {
	for {
		log := l.e.config.Load().DeadLetterLog // which may be another one each time
		if log == nil {
			return nil
		}
		ids, err := l.e.store.Unlogged(ctx, changeBatch)
		if err != nil || len(ids) == 0 {
			return err
		}
		var letters []*Record
		for _, id := range ids { // of which some may be queued again by now
			found, err := l.e.store.Deliveries(ctx, Query{Delivery: id, States: []store.State{store.Dead}})
			if err != nil {
				return err
			}
			letters = append(letters, found...)
		}
		n, err := log(letters)
		if err != nil {
			ids = nil
			for _, r := range letters[:n] {
				ids = append(ids, r.ID)
			}
		}
		// Also when the engine ends meanwhile, or they would be written a second time.
		if noted := l.e.store.Logged(context.WithoutCancel(ctx), ids); err == nil {
			err = noted
		}
		if err != nil {
			return err
		}
	}
}
