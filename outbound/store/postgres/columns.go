package postgres

import (
	"crypto/sha256"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

// A batch is sent as columns, an array each, so that it is one statement
// whatever it holds.

// publications are the columns of events and of their deliveries.
type publications struct {
	id, tells                                                     []int64
	deliveries                                                    []int32
	kind                                                          []string
	tenant, chosen, contentType, headers, traceParent, traceState []pgtype.Text
	payload                                                       [][]byte
	delivery, event, subscription, due                            []int64
	hold, ordered                                                 []bool
	inOrder                                                       bool    // some are
	held                                                          []int64 // deliveries that are taken at once
	free                                                          []int64 // subscriptions of those that aren't
	size                                                          int64
	named                                                         named
}

// named are the columns of events whose publisher chose the id.
type named struct {
	id                                []int64
	chosen, tenant, kind, contentType []string
	digest                            [][]byte
}

func newPublications(ps []*store.Publication) *publications {
	c := &publications{}
	for _, p := range ps {
		e := p.Event
		chosen := ""
		if p.Chosen {
			chosen = e.ID
		}
		headers := asJSON(e.Headers, len(e.Headers) > 0)
		c.id = append(c.id, int64(e.Key))
		c.tells = append(c.tells, int64(p.Tells))
		c.deliveries = append(c.deliveries, int32(len(p.Deliveries)))
		c.kind = append(c.kind, text(e.Type))
		c.tenant = append(c.tenant, optional(e.Tenant))
		c.chosen = append(c.chosen, optional(chosen))
		c.contentType = append(c.contentType, optional(e.ContentType))
		c.headers = append(c.headers, headers)
		c.traceParent = append(c.traceParent, optional(e.TraceParent))
		c.traceState = append(c.traceState, optional(e.TraceState))
		c.payload = append(c.payload, selects.NotNil(e.Payload))
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
				c.free = append(c.free, int64(d.Subscription))
			}
		}
		c.size += int64(deliveryBytes * len(p.Deliveries))
		if p.Chosen {
			c.named.add(e)
		}
	}
	return c
}

func (c *named) add(e *store.Event) {
	digest := sha256.Sum256(e.Payload)
	c.id = append(c.id, int64(e.Key))
	c.chosen = append(c.chosen, text(e.ID))
	c.tenant = append(c.tenant, text(e.Tenant))
	c.kind = append(c.kind, text(e.Type))
	c.contentType = append(c.contentType, text(e.ContentType))
	c.digest = append(c.digest, digest[:])
}

func (c *named) args() []any {
	return []any{c.id, c.chosen, c.tenant, c.kind, c.contentType, c.digest}
}

// statement stores them. Where nothing must be in order it is the plainer one.
func (c *publications) statement(session int64) (sql string, args []any) {
	args = []any{
		c.id, c.deliveries, c.kind, c.tenant, c.chosen, c.contentType, c.headers, c.traceParent, c.traceState, c.payload,
		c.delivery, c.event, c.subscription, c.due, session, c.hold, c.tells, c.ordered,
	}
	if c.inOrder {
		return publishInOrder, append(args, (2 * apart).Milliseconds())
	}
	return publish, args
}

// outcomes are the columns of settlements, of different deliveries.
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

// settlements puts them into rounds, in which each delivery is settled once, and
// tells what they take.
func settlements(ts []*store.Settlement) (rounds []*outcomes, size int64) {
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

func (c *outcomes) add(t *store.Settlement) bool {
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

// What rows take besides what is in them, roughly, with their indexes.
const (
	eventBytes    = 250
	deliveryBytes = 300
	attemptBytes  = 250
)
