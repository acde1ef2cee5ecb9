package outbound

import (
	"context"
	"errors"
	"regexp"
	"unicode/utf8"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Event is what the store keeps of an event.
type Event = store.Event

// NewEvent is an event to publish.
type NewEvent struct {
	ID          string            // [A-Za-z0-9_-]{1,128}, unique in its tenant; "" for one of ours
	Tenant      string            // [A-Za-z0-9_.-]{1,128}, or "" where there are none
	Type        string            // words of [A-Za-z0-9_-] joined by dots, 128 bytes at most
	ContentType string            // "" for application/json
	Headers     map[string]string // sent along with each delivery
	Payload     []byte            // delivered to the byte; not to be changed afterwards
}

// Published tells what became of a NewEvent.
type Published struct {
	EventID    string
	Deliveries int
	Duplicate  bool // the event was there before; nothing new was stored
}

var (
	idForm     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	tenantForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
	typeForm   = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

const maxTypeLength = 128

func checkType(field, name string) error {
	switch {
	case name == "":
		return invalid(field, `is missing: name what happened, as in "order.created"`)
	case len(name) > maxTypeLength || !typeForm.MatchString(name):
		return invalid(field, `is not an event type: use words of A-Z a-z 0-9 _ - joined by dots, %d bytes at most, as in "order.created"`, maxTypeLength)
	}
	return nil
}

func checkTenant(tenant string) error {
	if tenant != "" && !tenantForm.MatchString(tenant) {
		return invalid("tenant", "may only have the characters A-Z a-z 0-9 _ . - and 128 of them at most")
	}
	return nil
}

func (n *NewEvent) check(c *config) error {
	if err := checkType("event_type", n.Type); err != nil {
		return err
	}
	// A dot in the id would blur where it ends in what is signed.
	if n.ID != "" && !idForm.MatchString(n.ID) {
		return invalid("event_id", "may only have the characters A-Z a-z 0-9 _ - and 128 of them at most; leave it out to have one made")
	}
	if err := checkTenant(n.Tenant); err != nil {
		return err
	}
	if int64(len(n.Payload)) > c.MaxPayload {
		return &TooLarge{Limit: c.MaxPayload}
	}
	if n.ContentType != "" && (len(n.ContentType) > 256 || !utf8.ValidString(n.ContentType)) {
		return invalid("content_type", "is not a media type")
	}
	if len(n.Headers) > 0 {
		if err := egress.CheckHeaders(n.Headers); err != nil {
			return invalid("headers", "can't be sent along: %v", err)
		}
	}
	return nil
}

// Publish stores an event with a delivery for each subscription that wants
// it, and returns once both are durable. It may return an *Invalid, a
// *TooLarge, a *Reused, ErrFull or ErrUnavailable; nothing is stored then.
func (e *Engine) Publish(ctx context.Context, n *NewEvent) (Published, error) {
	ctx, span := e.startPublish(ctx, n)
	res, err := e.publish(ctx, n)
	span.end(res, err)
	return res, err
}

func (e *Engine) publish(ctx context.Context, n *NewEvent) (Published, error) {
	if err := n.check(e.config.Load()); err != nil {
		return Published{}, err
	}
	ev := &store.Event{
		Key: e.ids.Next(), ID: n.ID, Tenant: n.Tenant, Type: n.Type,
		ContentType: n.ContentType, Headers: n.Headers, Payload: n.Payload,
	}
	if ev.ContentType == "" {
		ev.ContentType = "application/json"
	}
	if ev.ID == "" {
		ev.ID = ev.Key.With(store.EventPrefix)
	}
	ev.TraceParent, ev.TraceState = traceContext(ctx)
	p := &store.Publication{Event: ev, Chosen: n.ID != ""}
	lanes := e.match(ev)
	return e.commitPublication(ctx, p, lanes)
}

// commitPublication stores an event for the given lanes and hands them its
// deliveries.
func (e *Engine) commitPublication(ctx context.Context, p *store.Publication, lanes []*lane) (Published, error) {
	due := e.now()
	size := len(p.Event.Payload)
	p.Deliveries = make([]store.NewDelivery, len(lanes))
	for i, l := range lanes {
		p.Deliveries[i] = store.NewDelivery{ID: e.ids.Next(), Subscription: l.key, Due: due, Hold: l.reserve(size)}
	}
	err := e.commits.publish(ctx, p)
	stored := err == nil && p.Result.Outcome == store.Stored
	for i, l := range lanes {
		d := &p.Deliveries[i]
		switch {
		case !d.Hold:
			l.stored(due) // also after an error: asking the store once more does no harm
		case !stored:
			l.unreserve(size)
		default:
			l.push(&store.Held{Delivery: store.Delivery{ID: d.ID, Event: p.Event.Key, Subscription: d.Subscription, Due: due}, Event: p.Event})
		}
	}
	switch {
	case err != nil:
		return Published{}, err
	case p.Result.Outcome == store.Reused:
		return Published{}, &Reused{EventID: p.Event.ID}
	}
	return Published{EventID: p.Event.ID, Deliveries: p.Result.Deliveries, Duplicate: p.Result.Outcome == store.Duplicate}, nil
}

// Event returns an event with its payload.
func (e *Engine) Event(ctx context.Context, tenant, id string) (*Event, error) {
	return e.store.Event(ctx, tenant, id)
}

// Events lists events, newest first.
func (e *Engine) Events(ctx context.Context, q Query) ([]*Event, error) {
	return e.store.Events(ctx, q)
}

// isRefusal tells an error of the caller's from one of ours.
func isRefusal(err error) bool {
	var (
		i *Invalid
		t *TooLarge
		r *Reused
	)
	return errors.As(err, &i) || errors.As(err, &t) || errors.As(err, &r)
}

// MaxPayload is how many bytes a payload may have now.
func (e *Engine) MaxPayload() int64 { return e.config.Load().MaxPayload }
