package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// heartbeatInterval is how often a tail writes at least, so that proxies keep
	// the connection and a caller that is gone is noticed.
	heartbeatInterval = 15 * time.Second
	// endingInterval is how often a tail checks whether the server waits for it to
	// end, and tells of attempts that it missed.
	endingInterval = 250 * time.Millisecond
	// tailWriteTimeout is how long a write may take before the caller counts as gone.
	tailWriteTimeout = 30 * time.Second
)

// tailParameters select the attempts of a tail.
var tailParameters = []string{"event_id", "subscription_id", "event_type", "tenant", "state"}

// tail sends each attempt as it happens, as server-sent events: "attempt" has the
// delivery after the attempt, and "missed" the number of attempts that were left out
// because the caller was too slow for them. It ends when the caller disconnects, and
// when the server reloads or stops.
func (c *call) tail() error {
	q, err := c.sent.parse(codeInvalidParameter)
	if err != nil {
		return err
	}
	watch, err := c.engine.Watch(q.Tenant)
	if errors.Is(err, outbound.ErrUnavailable) {
		return refuse(codeUnavailable, "too many clients are following the attempts already: end one of them").retryAfter(later)
	}
	if err != nil {
		return err
	}
	defer watch.Stop()

	setHeaders(c.w.Header(), "text/event-stream")
	c.w.Header().Set("X-Accel-Buffering", "no") // or nginx holds events back
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return nil
	}
	s := &eventStream{w: c.w, to: http.NewResponseController(c.w)}
	s.send(": each attempt follows as it happens\n\n")
	check, heartbeat := time.NewTicker(endingInterval), time.NewTicker(heartbeatInterval)
	defer check.Stop()
	defer heartbeat.Stop()
	// After a reload and on exit, the server waits for its requests, up to grace_period.
	for config := c.config.Context(); s.err == nil && config.Err() == nil && !caddy.Exiting(); {
		select {
		case r := <-watch.Attempts:
			if matches(&q, r) {
				s.event("attempt", r.Last.ID.With(store.AttemptPrefix), deliveryOf(r))
			}
			if len(watch.Attempts) == 0 {
				s.flush()
			}
		case <-heartbeat.C:
			s.send(":\n\n")
		case <-check.C:
			if n := watch.Missed(); n > 0 {
				s.event("missed", "", map[string]int64{"attempts": n})
				s.flush()
			}
		case <-c.r.Context().Done():
			return nil
		case <-watch.Done:
			return nil
		}
	}
	return nil
}

// matches reports whether a delivery matches the filters of a tail, as the store
// judges those of a list.
func matches(q *outbound.Query, r *outbound.Record) bool {
	prefix, isPrefix := strings.CutSuffix(q.EventType, "*")
	return (q.EventID == "" || q.EventID == r.EventID) &&
		(q.Subscription == "" || q.Subscription == r.SubscriptionID) &&
		(q.Tenant == "" || q.Tenant == r.Tenant) &&
		(q.EventType == "" || q.EventType == r.EventType || isPrefix && strings.HasPrefix(r.EventType, prefix)) &&
		(len(q.States) == 0 || slices.Contains(q.States, r.State))
}

// eventStream writes server-sent events. After an error, which it keeps, it writes
// nothing.
type eventStream struct {
	w   http.ResponseWriter
	to  *http.ResponseController
	err error
}

func (s *eventStream) event(name, id string, data any) {
	body, err := encode(data) // one line
	if err != nil {
		s.err = err
		return
	}
	head := "event: " + name + "\n"
	if id != "" {
		head += "id: " + id + "\n"
	}
	s.write(fmt.Sprintf("%sdata: %s\n", head, body))
}

func (s *eventStream) write(text string) {
	if s.err == nil {
		_ = s.to.SetWriteDeadline(time.Now().Add(tailWriteTimeout)) // if not supported, the server's timeout applies
		_, s.err = s.w.Write([]byte(text))
	}
}

func (s *eventStream) flush() {
	if s.err == nil {
		s.err = s.to.Flush()
	}
}

// send writes text and flushes it.
func (s *eventStream) send(text string) {
	s.write(text)
	s.flush()
}
