package outbound

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// deadLetterLog writes the dead-letter log of the settings. The store keeps track,
// from the moment a delivery dies, of which dead letters the log lacks: a crash, a
// full disk or a missing log loses no line, though a line may be repeated.
type deadLetterLog struct {
	e        *Engine
	wake     bell // has missing dead letters written soon
	failures rate.Sometimes
}

const (
	logRetryDelay    = 10 * time.Second // after an error
	logInterval      = 30 * time.Second // how often to look for dead letters of other nodes that have gone
	logFinishTimeout = 5 * time.Second  // for writing the last ones
)

func (l *deadLetterLog) init(e *Engine) {
	l.e, l.wake, l.failures = e, newBell(), rate.Sometimes{Interval: time.Minute}
}

// enabled reports whether there is a log.
func (l *deadLetterLog) enabled() bool { return l.e.config.Load().DeadLetterLog != nil }

func (l *deadLetterLog) run() {
	for l.e.life.Err() == nil {
		pause := logInterval
		c := l.e.config.Load()
		err := l.catchUp(l.e.life)
		// An error after a change of settings may mean only that the old log was
		// closed. The bell rings for the new one.
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

// finish writes the last dead letters, once no more can be made.
func (l *deadLetterLog) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), logFinishTimeout)
	defer cancel()
	if err := l.catchUp(ctx); err != nil {
		l.e.logger().Error("dead letters could not be written to the dead-letter log, and will be after the next start", "error", err)
	}
}

// catchUp writes the dead letters that the log lacks.
func (l *deadLetterLog) catchUp(ctx context.Context) error {
	for {
		log := l.e.config.Load().DeadLetterLog // it may have changed since the last batch
		if log == nil {
			return nil
		}
		ids, err := l.e.store.Unlogged(ctx, changeBatch)
		if err != nil || len(ids) == 0 {
			return err
		}
		letters, err := l.letters(ctx, ids)
		if err != nil {
			return err
		}
		n, err := log(letters)
		if err != nil {
			ids = nil
			for _, r := range letters[:n] {
				ids = append(ids, r.ID)
			}
		}
		// Even if the engine is closing, or these would be written again.
		if noted := l.e.store.Logged(context.WithoutCancel(ctx), ids); err == nil {
			err = noted
		}
		if err != nil {
			return err
		}
	}
}

// letters returns the dead letters with these ids. Some may have been requeued by
// now; these are left out.
func (l *deadLetterLog) letters(ctx context.Context, ids []store.ID) ([]*Record, error) {
	var letters []*Record
	for _, id := range ids {
		found, err := l.e.store.Deliveries(ctx, Query{Delivery: id, States: []store.State{store.Dead}})
		if err != nil {
			return nil, err
		}
		letters = append(letters, found...)
	}
	return letters, nil
}
