package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// tailBeat is how often a tail says that it is there, so that proxies keep
	// the connection and a caller that is gone is found out.
	tailBeat = 15 * time.Second
	// tailLook is how often it looks whether the server wants it to end.
	tailLook = 250 * time.Millisecond
	// tailWrite is how long a write may take before the caller counts as gone.
	tailWrite = 30 * time.Second
)

// tailParameters narrow a tail.
var tailParameters = []string{"event_id", "subscription_id", "event_type", "tenant", "state"}

// tail sends each attempt as it happens, as server-sent events: "attempt" with
// the delivery as it is after it, and "missed" with how many were left out
// since the caller was too slow for them. It ends when the caller goes, and when
// the server reloads or stops.
func (c *call) tail() error {
	sent, err := c.query(tailParameters...)
	if err != nil {
		return err
	}
	q, err := sent.filter(codeInvalidParameter)
	if err != nil {
		return err
	}
	watch, err := c.engine.Watch(q.Tenant)
	if errors.Is(err, outbound.ErrUnavailable) {
		return refuse(codeUnavailable, "too many follow the attempts already: end one of them").retryAfter(later)
	}
	if err != nil {
		return err
	}
	defer watch.Stop()

	setHeaders(c.w.Header(), "text/event-stream")
	c.w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return nil
	}
	s := &eventStream{w: c.w, to: http.NewResponseController(c.w)}
	s.send(": each attempt follows as it happens\n\n")
	look, beat := time.NewTicker(tailLook), time.NewTicker(tailBeat)
	defer look.Stop()
	defer beat.Stop()
	for ending := c.ending(); s.err == nil && !ending(); {
		select {
		case r := <-watch.Attempts:
			if selects(&q, r) {
				s.event("attempt", r.Last.ID.With(store.AttemptPrefix), deliveryOf(r))
			}
			if len(watch.Attempts) == 0 {
				s.flush()
			}
		case <-beat.C:
			s.send(":\n\n")
		case <-look.C:
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

// selects says whether a delivery is one of those that a query asks for, as a
// list's query would.
func selects(q *outbound.Query, r *outbound.Record) bool {
	prefix, isPrefix := strings.CutSuffix(q.EventType, "*")
	switch {
	case q.EventID != "" && q.EventID != r.EventID,
		q.Subscription != "" && q.Subscription != r.SubscriptionID,
		q.Tenant != "" && q.Tenant != r.Tenant,
		isPrefix && !strings.HasPrefix(r.EventType, prefix),
		!isPrefix && q.EventType != "" && q.EventType != r.EventType,
		len(q.States) > 0 && !slices.Contains(q.States, r.State):
		return false
	}
	return true
}

// eventStream writes server-sent events, and keeps the first error.
type eventStream struct {
	w   http.ResponseWriter
	to  *http.ResponseController
	err error
}

func (s *eventStream) event(name, id string, data any) {
	body, err := encode(data) // a line
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
		_ = s.to.SetWriteDeadline(time.Now().Add(tailWrite)) // where the server can: else its own timeout counts
		_, s.err = s.w.Write([]byte(text))
	}
}

func (s *eventStream) flush() {
	if s.err == nil {
		s.err = s.to.Flush()
	}
}

// send writes what can't wait.
func (s *eventStream) send(text string) {
	s.write(text)
	s.flush()
}
