package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// retentionInterval is how often old events are looked for.
	retentionInterval = time.Minute
	// forgetLimit is how much is removed in one transaction. It takes the store's
	// writer some two milliseconds, during which publishers wait.
	forgetLimit = 128
	// forgetShare limits the writer's time that this takes to 1/forgetShare.
	forgetShare = 4
	// payloadRescan is after how many rounds the payloads of all old events are
	// looked at again. In between, only events that have become old since are.
	payloadRescan = 60
)

// runRetention removes events that are older than they are kept, and the oldest
// ones if the store is larger than allowed.
func (e *Engine) runRetention() {
	var scanned store.ID
	for n := 0; e.life.Err() == nil; n++ {
		if n%payloadRescan == 0 {
			scanned = 0 // events that had pending deliveries or dead letters may have none by now
		}
		c, began := e.config.Load(), e.clock.Elapsed()
		s := sweep{e: e}
		s.byAge(c.RetainFor)
		scanned = s.bySize(c.RetainSize, scanned)
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

// sweep is one round of removing old events.
type sweep struct {
	e        *Engine
	events   int   // removed
	payloads int   // removed from events that are kept
	used     int64 // bytes of the store in use
	err      error
}

// byAge removes events that are older than they are kept. It uses the earlier of
// the schedule's time and the wall clock's, since removals can't be undone when the
// clock was wrong.
func (s *sweep) byAge(kept time.Duration) {
	if kept < 0 {
		return
	}
	now := earlier(s.e.now(), s.e.clock.Now())
	s.remove(store.Forget{Before: now.Add(-kept)}, 0)
}

// bySize removes the oldest until the store is small enough: first the payloads of
// the older half, since these events are looked up more often than they are sent
// again; then events, those with dead letters last. The payloads of events before
// scanned were looked at in earlier rounds. It returns where to go on in the next.
func (s *sweep) bySize(maxBytes int64, scanned store.ID) store.ID {
	if maxBytes < 0 {
		return scanned
	}
	// Ids may be ahead, after the wall clock was: they never go back.
	now := later(s.e.now(), s.e.ids.Last().Time().Add(time.Millisecond))
	first := s.forget(store.Forget{Before: now}).Next
	if first != 0 && s.used > maxBytes {
		half := now.Add(-now.Sub(first.Time()) / 2)
		scanned = s.remove(store.Forget{From: scanned, Before: half, KeepDead: true, PayloadsOnly: true}, maxBytes)
	}
	for _, keepDead := range []bool{true, false} {
		if s.used > maxBytes {
			s.remove(store.Forget{Before: now, KeepDead: keepDead}, maxBytes)
		}
	}
	return scanned
}

// remove goes through the events that f describes, oldest first, until the store is
// no larger than maxBytes, and returns where it stopped.
func (s *sweep) remove(f store.Forget, maxBytes int64) store.ID {
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
		if s.used <= maxBytes {
			return f.From
		}
		s.e.sleep(s.e.life, (forgetShare-1)*(s.e.clock.Elapsed()-began))
	}
	return f.From
}

// forget calls the store's Forget, unless there was an error, and adds up what it
// did.
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
