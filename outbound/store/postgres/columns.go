package postgres

import (
	"crypto/sha256"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

// The rows of a batch are sent as columns, each an array, so that one statement
// takes any number of them.

// wants are the columns of what Claim is asked for.
type wants struct{ subscription, limit, until, afterDue, afterID []int64 }

func newWants(ws []store.Want, now time.Time) *wants {
	c := &wants{}
	for _, w := range ws {
		until := selects.Millis(now)
		if w.Ahead {
			until = math.MaxInt64
		}
		c.subscription = append(c.subscription, int64(w.Subscription))
		c.limit = append(c.limit, int64(max(w.Limit, 0)))
		c.until = append(c.until, until)
		c.afterDue = append(c.afterDue, selects.Millis(w.After.Due))
		c.afterID = append(c.afterID, int64(w.After.ID))
	}
	return c
}

func (c *wants) args(session int64) []any {
	return []any{c.subscription, c.limit, session, c.until, c.afterDue, c.afterID}
}

// publications are the columns of events and their deliveries.
type publications struct {
	id, tells                                                     []int64
	deliveries                                                    []int32
	eventType                                                     []string
	tenant, chosen, contentType, headers, traceParent, traceState []pgtype.Text
	payload                                                       [][]byte
	digest                                                        [][]byte // of the payload, if the publisher chose the id

	delivery, event, subscription, due []int64
	hold, ordered                      []bool

	anyChosen bool    // whether any publisher chose the id
	inOrder   bool    // whether any delivery is ordered
	held      []int64 // the deliveries that are taken at once
	waiting   []int64 // the subscriptions of those that aren't
	size      int64   // roughly, in bytes
}

func newPublications(ps []*store.Publication) *publications {
	c := &publications{}
	for _, p := range ps {
		e := p.Event
		chosen, digest := "", []byte(nil)
		if p.Chosen {
			sum := sha256.Sum256(e.Payload)
			chosen, digest, c.anyChosen = e.ID, sum[:], true
		}
		headers := asJSON(e.Headers, len(e.Headers) > 0)
		c.id = append(c.id, int64(e.Key))
		c.tells = append(c.tells, int64(p.Tells))
		c.deliveries = append(c.deliveries, int32(len(p.Deliveries)))
		c.eventType = append(c.eventType, text(e.Type))
		c.tenant = append(c.tenant, optional(e.Tenant))
		c.chosen = append(c.chosen, optional(chosen))
		c.contentType = append(c.contentType, optional(e.ContentType))
		c.headers = append(c.headers, headers)
		c.traceParent = append(c.traceParent, optional(e.TraceParent))
		c.traceState = append(c.traceState, optional(e.TraceState))
		c.payload = append(c.payload, selects.NotNil(e.Payload))
		c.digest = append(c.digest, digest)
		c.size += int64(eventBytes + len(e.Payload) + len(headers.String))
		for _, d := range p.Deliveries {
			c.delivery = append(c.delivery, int64(d.ID))
			c.event = append(c.event, int64(e.Key))
			c.subscription = append(c.subscription, int64(d.Subscription))
			c.due = append(c.due, selects.Millis(d.Due))
			c.hold = append(c.hold, d.Hold)
			c.ordered = append(c.ordered, d.Ordered)
			c.inOrder = c.inOrder || d.Ordered
			if d.Hold {
				c.held = append(c.held, int64(d.ID))
			} else {
				c.waiting = append(c.waiting, int64(d.Subscription))
			}
		}
		c.size += int64(deliveryBytes * len(p.Deliveries))
	}
	return c
}

// statement returns the statement that stores them, which is simpler if no delivery
// is ordered.
func (c *publications) statement(session int64) (sql string, args []any) {
	args = []any{
		c.id, c.deliveries, c.eventType, c.tenant, c.chosen, c.contentType, c.headers, c.traceParent, c.traceState, c.payload,
		c.delivery, c.event, c.subscription, c.due, session, c.hold, c.tells, c.ordered,
	}
	if c.inOrder {
		return publishInOrder, append(args, (2 * apart).Milliseconds())
	}
	return publish, args
}

// outcomes are the columns of settlements, at most one for each delivery.
type outcomes struct {
	delivery, id, at, latency                 []int64
	state                                     []int16
	due                                       []pgtype.Int8
	round, number                             []int32
	status                                    []pgtype.Int4
	reason, class, err, headers, traceID, url []pgtype.Text
	body                                      [][]byte
	seen                                      map[store.ID]bool
}

// newOutcomes divides settlements into rounds, each of which settles a delivery at
// most once. It also returns their size in bytes, roughly.
func newOutcomes(ts []*store.Settlement) (rounds []*outcomes, size int64) {
next:
	for _, t := range ts {
		size += int64(attemptBytes + len(t.Attempt.ResponseBody))
		for _, r := range rounds {
			if r.add(t) {
				continue next
			}
		}
		r := &outcomes{seen: make(map[store.ID]bool, len(ts))}
		r.add(t)
		rounds = append(rounds, r)
	}
	return rounds, size
}

// add adds a settlement, unless there is one of its delivery already.
func (c *outcomes) add(t *store.Settlement) (added bool) {
	if c.seen[t.Delivery] {
		return false
	}
	c.seen[t.Delivery] = true
	a := t.Attempt
	c.delivery = append(c.delivery, int64(t.Delivery))
	c.state = append(c.state, int16(t.State))
	c.due = append(c.due, pgtype.Int8{Int64: selects.Millis(t.Due), Valid: t.State == store.Pending})
	c.reason = append(c.reason, optional(t.Reason))
	c.round = append(c.round, int32(t.Round))
	c.id = append(c.id, int64(a.ID))
	c.number = append(c.number, int32(a.Number))
	c.at = append(c.at, selects.Millis(a.At))
	c.latency = append(c.latency, a.Latency.Microseconds())
	c.status = append(c.status, pgtype.Int4{Int32: int32(a.Status), Valid: a.Status != 0})
	c.class = append(c.class, optional(a.Class))
	c.err = append(c.err, optional(a.Error))
	c.body = append(c.body, a.ResponseBody)
	c.headers = append(c.headers, asJSON(a.ResponseHeaders, len(a.ResponseHeaders) > 0))
	c.traceID = append(c.traceID, optional(a.TraceID))
	c.url = append(c.url, optional(a.URL))
	return true
}

func (c *outcomes) args(own []int64, logger pgtype.Int8) []any {
	return []any{
		c.delivery, c.state, c.due, c.reason, c.round, c.id, c.number, c.at, c.latency, c.status, c.class, c.err, c.body, c.headers, c.traceID, c.url, own, logger,
	}
}

// The size in bytes of rows with their index entries, roughly, without payloads,
// headers and response bodies.
const (
	eventBytes    = 250
	deliveryBytes = 300
	attemptBytes  = 250
)
