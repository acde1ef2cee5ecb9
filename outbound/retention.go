package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// retentionInterval is how often old events are looked for.
	retentionInterval = time.Minute
	// forgetLimit is how much is removed in one transaction: some two milliseconds of the
	// store's writer, for which those that publish wait.
	forgetLimit = 128
	// forgetShare bounds the part of the writer's time that this takes, one in
	// so many.
	forgetShare = 4
	// payloadRescan is after how many looks the payloads of all events are looked at
	// again, and not only those that have come into the older half since.
	payloadRescan = 60
)

// runRetention removes what is older than it is kept, and the oldest where the store
// is larger than it may be.
func (e *Engine) runRetention() {
	var bare store.ID
	for n := 0; e.life.Err() == nil; n++ {
		if n%payloadRescan == 0 {
			bare = 0 // what was to be delivered or a dead letter may be neither by now
		}
		c, began := e.config.Load(), e.clock.Elapsed()
		s := sweep{e: e}
		s.byAge(c.RetainFor)
		bare = s.bySize(c.RetainSize, bare)
		switch {
		case e.life.Err() != nil:
		case s.err != nil:
			c.Logger.Error("removing old events; trying again", "error", s.err)
		case s.events+s.payloads > 0:
			c.Logger.Info("old events were removed, or their payloads", "events", s.events, "payloads", s.payloads)
		}
		e.sleep(e.life, retentionInterval-(e.clock.Elapsed()-began))
	}
}

// sweep is one look for old events.
type sweep struct {
	e        *Engine
	events   int   // that were removed
	payloads int   // of others that stay
	used     int64 // bytes of the store
	err      error
}

// byAge removes events that are kept no longer. Where the wall clock was set, the
// earlier of the two times counts: what is removed is gone.
func (s *sweep) byAge(kept time.Duration) {
	if kept < 0 {
		return
	}
	now := s.e.now()
	if wall := s.e.clock.Now(); wall.Before(now) {
		now = wall
	}
	s.remove(store.Forget{Before: now.Add(-kept)}, 0)
}

// bySize removes the oldest until the store is small enough: payloads of the older
// half first, since what became of those events is asked for more often than they
// are sent again; then events, and last those that have dead letters. Payloads are
// looked for from an event on, and it returns from where to go on the next time.
func (s *sweep) bySize(most int64, bare store.ID) store.ID {
	if most < 0 {
		return bare
	}
	now := s.e.now()
	if last := s.e.ids.Last().Time(); !last.Before(now) {
		now = last.Add(time.Millisecond) // the wall clock was ahead, and ids never go back
	}
	first := s.forget(store.Forget{Before: now}).Next
	if first != 0 && s.used > most {
		half := now.Add(-now.Sub(first.Time()) / 2)
		bare = s.remove(store.Forget{From: bare, Before: half, KeepDead: true, PayloadsOnly: true}, most)
	}
	for _, keepDead := range []bool{true, false} {
		if s.used > most {
			s.remove(store.Forget{Before: now, KeepDead: keepDead}, most)
		}
	}
	return bare
}

// remove goes through all events that f speaks of, the oldest first, as long as
// the store is larger than that, and returns where it ended.
func (s *sweep) remove(f store.Forget, most int64) store.ID {
	f.Limit = forgetLimit
	for s.e.life.Err() == nil {
		began := s.e.clock.Elapsed()
		done := s.forget(f)
		switch {
		case s.err != nil, done.Busy:
			return f.From
		case done.Next == 0:
			return store.IDAt(f.Before)
		}
		f.From = done.Next
		if s.used <= most {
			break
		}
		s.e.sleep(s.e.life, (forgetShare-1)*(s.e.clock.Elapsed()-began))
	}
	return f.From
}

func (s *sweep) forget(f store.Forget) (done store.Forgotten) {
	if s.err == nil {
		done, s.err = s.e.store.Forget(s.e.life, f)
		s.used = done.Used
		if f.PayloadsOnly {
			s.payloads += done.Events
		} else {
			s.events += done.Events
		}
	}
	return done
}
