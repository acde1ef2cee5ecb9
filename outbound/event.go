package outbound

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"
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
		return missing(field, `name what happened, as in "order.created"`)
	case len(name) > maxTypeLength || !typeForm.MatchString(name):
		return invalid(field, `is not an event type: use words of A-Z a-z 0-9 _ - joined by dots, %d bytes at most, as in "order.created"`, maxTypeLength)
	}
	return nil
}

func reserved() error {
	return invalid("event_type", "is reserved: types that begin with %s are published by the server itself", store.OperationalPrefix)
}

// CheckTenant says what is wrong with a tenant's name, as an *Invalid. "" is nobody's.
func CheckTenant(tenant string) error {
	if tenant != "" && !tenantForm.MatchString(tenant) {
		return invalid("tenant", "may only have the characters A-Z a-z 0-9 _ . - and 128 of them at most")
	}
	return nil
}

func (n *NewEvent) check(c *config) error {
	if err := checkType("event_type", n.Type); err != nil {
		return err
	}
	if store.Operational(n.Type) {
		return reserved()
	}
	// A dot in the id would blur where it ends in what is signed.
	if n.ID != "" && !idForm.MatchString(n.ID) {
		return invalid("event_id", "may only have the characters A-Z a-z 0-9 _ - and 128 of them at most; leave it out to have one made")
	}
	if err := CheckTenant(n.Tenant); err != nil {
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
// *TooLarge, a *Reused, a *Limited, ErrFull or ErrUnavailable; nothing is stored
// then, unless a shared store's answer was lost, which is ErrUnavailable.
func (e *Engine) Publish(ctx context.Context, n *NewEvent) (Published, error) {
	p := e.begin(ctx, n)
	return e.finish(&p)
}

// Answer is what Publish returns.
type Answer struct {
	Published
	Err error
}

// PublishAll publishes events as Publish does, in their order, in which they
// also go to ordered subscriptions. They share commits. There is one answer
// for each.
func (e *Engine) PublishAll(ctx context.Context, ns []*NewEvent) []Answer {
	begun := make([]publishing, len(ns))
	for i, n := range ns {
		begun[i] = e.begin(ctx, n)
	}
	answers := make([]Answer, len(ns))
	for i := range begun {
		answers[i].Published, answers[i].Err = e.finish(&begun[i])
	}
	return answers
}

// publishing is an event on its way to the disk.
type publishing struct {
	*store.Publication
	lanes  []*lane
	span   publishSpan
	begun  *sync.WaitGroup // it counts there, unless it is the engine's own
	result chan error      // of the commit
	err    error           // refused before it came so far
}

// begin has an event stored, and finish waits for it.
func (e *Engine) begin(ctx context.Context, n *NewEvent) publishing {
	ctx, span := e.startPublish(ctx, n)
	c := e.config.Load()
	err := n.check(c)
	if err == nil {
		err = e.admit(ctx, n)
	}
	if err == nil {
		err = c.rates.check(n.Tenant, e.now)
	}
	if err != nil {
		return publishing{span: span, err: err}
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
	begun := e.begun.begin()
	p := e.address(&store.Publication{Event: ev, Chosen: n.ID != ""}, e.filtered(e.match(ev), ev))
	p.span, p.begun = span, begun
	e.submit(ctx, &p)
	return p
}

// admit holds an event to the schema of its type. One that is stored passes, for the
// store to say so: its publisher, who sends it again, can't know of a newer schema.
func (e *Engine) admit(ctx context.Context, n *NewEvent) error {
	refused := e.catalogue.check(n)
	if refused == nil || n.ID == "" {
		return refused
	}
	stored, err := e.store.Event(ctx, n.Tenant, n.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return refused
	case err != nil:
		return err
	case stored.Type == n.Type && (stored.PayloadRemoved || bytes.Equal(stored.Payload, n.Payload)):
		return nil
	}
	return refused
}

// address makes a delivery of an event for each of the lanes, and reserves their
// room.
func (e *Engine) address(p *store.Publication, lanes []*lane) publishing {
	due, size := e.now(), weight(p.Event)
	p.Deliveries = make([]store.NewDelivery, len(lanes))
	for i, l := range lanes {
		p.Deliveries[i] = store.NewDelivery{ID: e.ids.Next(), Subscription: l.key, Due: due, Hold: l.reserve(size), Ordered: l.ordered()}
	}
	return publishing{Publication: p, lanes: lanes}
}

// name gives an event an id of the engine's.
func (e *Engine) name(ev *store.Event) {
	ev.Key = e.ids.Next()
	ev.ID = ev.Key.With(store.EventPrefix)
}

// addressOwn is address for an event that the engine itself publishes, with the
// span of that.
func (e *Engine) addressOwn(ctx context.Context, ev *store.Event, lanes []*lane) publishing {
	ctx, span := e.startPublish(ctx, &NewEvent{Type: ev.Type, Payload: ev.Payload})
	ev.TraceParent, ev.TraceState = traceContext(ctx)
	p := e.address(&store.Publication{Event: ev}, lanes)
	p.span = span
	return p
}

// submit has an event stored.
func (e *Engine) submit(ctx context.Context, p *publishing) {
	p.result, p.err = e.commits.submit(ctx, p.Publication)
}

// finish returns when the event is stored, and its deliveries are with the
// lanes.
func (e *Engine) finish(p *publishing) (Published, error) {
	if p.err == nil {
		p.err = e.commits.wait(p.Publication, p.result)
	}
	if p.begun != nil {
		p.begun.Done()
	}
	return e.conclude(p)
}

// conclude tells everybody what became of an event.
func (e *Engine) conclude(p *publishing) (Published, error) {
	p.handOver(p.err == nil && p.Result.Outcome == store.Stored)
	var res Published
	switch {
	case p.err != nil:
	case p.Result.Outcome == store.Reused:
		p.err = &Reused{EventID: p.Event.ID, Deliveries: p.Result.Deliveries}
	default:
		res = Published{EventID: p.Event.ID, Deliveries: p.Result.Deliveries, Duplicate: p.Result.Outcome == store.Duplicate}
	}
	p.span.end(res, p.err)
	return res, p.err
}

// handOver gives the lanes their deliveries, or takes back what was reserved for
// them.
func (p *publishing) handOver(stored bool) {
	for i, l := range p.lanes {
		d := &p.Deliveries[i]
		switch {
		case !d.Hold:
			l.stored(d.Due) // also after an error: asking the store once more does no harm
		case !stored:
			l.unreserve(weight(p.Event))
		default:
			l.push(&store.Held{Delivery: store.Delivery{ID: d.ID, Event: p.Event.Key, Subscription: d.Subscription, Due: d.Due}, Event: p.Event})
		}
	}
}

// TestEventType is the type of the events that Test makes.
const TestEventType = "webhook.test"

// Test sends an event of its own to one subscription, whatever types that
// asked for, and returns its delivery. ErrConflict: the subscription is not
// active.
func (e *Engine) Test(ctx context.Context, subscription string) (*Record, error) {
	l := e.lanes.byID(subscription)
	if l == nil {
		return nil, ErrNotFound
	}
	s := l.target.Load().sub
	if !s.Active {
		return nil, fmt.Errorf("%w: subscription %s is not active, so that a test would only wait: activate it first", ErrConflict, s.ID)
	}
	payload, err := json.Marshal(map[string]string{
		"type": TestEventType, "subscription_id": s.ID, "timestamp": e.clock.Now().UTC().Format(time.RFC3339),
	})
	if err != nil {
		return nil, err
	}
	ev := &store.Event{Tenant: s.Tenant, Type: TestEventType, ContentType: "application/json", Payload: payload}
	e.name(ev)
	p := e.addressOwn(ctx, ev, []*lane{l})
	e.submit(ctx, &p)
	if _, err := e.finish(&p); err != nil {
		return nil, err
	}
	e.ask(ctx, l.key)
	return e.Delivery(ctx, p.Deliveries[0].ID.With(store.DeliveryPrefix))
}

// Event returns an event with its payload.
func (e *Engine) Event(ctx context.Context, tenant, id string) (*Event, error) {
	return e.store.Event(ctx, tenant, id)
}

// DeleteEvent removes an event with its deliveries and attempts. Its id may be used
// again. ErrConflict: a delivery of it is pending.
func (e *Engine) DeleteEvent(ctx context.Context, ev *Event) error {
	removed, err := e.store.Remove(ctx, ev.Key)
	switch {
	case err != nil:
		return err
	case !removed:
		return fmt.Errorf("%w: a delivery of event %s is pending: cancel it, or wait until it is settled", ErrConflict, ev.ID)
	}
	e.config.Load().Logger.Info("event deleted", "event_id", ev.ID)
	return nil
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
		l *Limited
	)
	return errors.As(err, &i) || errors.As(err, &t) || errors.As(err, &r) || errors.As(err, &l)
}

// MaxPayload is how many bytes a payload may have now.
func (e *Engine) MaxPayload() int64 { return e.config.Load().MaxPayload }
