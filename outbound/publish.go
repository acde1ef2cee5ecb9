package outbound

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Published tells what became of a NewEvent.
type Published struct {
	EventID    string
	Deliveries int
	Duplicate  bool // the event was there before; nothing new was stored
}

// Publish stores an event with a delivery for each subscription that wants
// it, and returns once both are durable. It may return an *Invalid, a
// *TooLarge, a *Reused, a *Limited, ErrFull or ErrUnavailable; nothing is stored
// then, unless a shared store's answer was lost, which is ErrUnavailable.
func (e *Engine) Publish(ctx context.Context, n *NewEvent) (Published, error) {
	p := e.beginPublish(ctx, n)
	return e.finishPublish(&p)
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
		begun[i] = e.beginPublish(ctx, n)
	}
	answers := make([]Answer, len(ns))
	for i := range begun {
		answers[i].Published, answers[i].Err = e.finishPublish(&begun[i])
	}
	return answers
}

// publishing is an event on its way to the disk.
type publishing struct {
	*store.Publication
	lanes   []*lane
	span    publishSpan
	tracker *sync.WaitGroup // it counts there, unless it is the engine's own
	result  chan error      // of the commit
	err     error           // refused before it came so far
}

// beginPublish has an event stored, and finish waits for it.
func (e *Engine) beginPublish(ctx context.Context, n *NewEvent) publishing {
	ctx, span := e.startPublish(ctx, n)
	c := e.config.Load()
	err := n.check(c)
	if err == nil {
		err = e.checkSchema(ctx, n)
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
	begun := e.publishings.add()
	lanes, err := e.filtered(ctx, e.match(ev), ev)
	if err != nil {
		return publishing{span: span, tracker: begun, err: err}
	}
	p := e.newPublishing(&store.Publication{Event: ev, Chosen: n.ID != ""}, lanes)
	p.span, p.tracker = span, begun
	e.submit(ctx, &p)
	return p
}

// checkSchema holds an event to the schema of its type. One that is stored passes, for the
// store to say so: its publisher, who sends it again, can't know of a newer schema.
func (e *Engine) checkSchema(ctx context.Context, n *NewEvent) error {
	refused := e.catalogue.check(ctx, n)
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

// newPublishing makes a delivery of an event for each of the lanes, and reserves their
// room.
func (e *Engine) newPublishing(p *store.Publication, lanes []*lane) publishing {
	due, size := e.now(), weight(p.Event)
	p.Deliveries = make([]store.NewDelivery, len(lanes))
	for i, l := range lanes {
		p.Deliveries[i] = store.NewDelivery{ID: e.ids.Next(), Subscription: l.key, Due: due, Hold: l.reserve(size), Ordered: l.ordered()}
	}
	return publishing{Publication: p, lanes: lanes}
}

// assignID gives an event an id of the engine's.
func (e *Engine) assignID(ev *store.Event) {
	ev.Key = e.ids.Next()
	ev.ID = ev.Key.With(store.EventPrefix)
}

// newOwnPublishing is address for an event that the engine itself publishes, with the
// span of that.
func (e *Engine) newOwnPublishing(ctx context.Context, ev *store.Event, lanes []*lane) publishing {
	ctx, span := e.startPublish(ctx, &NewEvent{Type: ev.Type, Payload: ev.Payload})
	ev.TraceParent, ev.TraceState = traceContext(ctx)
	p := e.newPublishing(&store.Publication{Event: ev}, lanes)
	p.span = span
	return p
}

// submit has an event stored.
func (e *Engine) submit(ctx context.Context, p *publishing) {
	p.result, p.err = e.committer.submit(ctx, p.Publication)
}

// finishPublish returns when the event is stored, and its deliveries are with the
// lanes.
func (e *Engine) finishPublish(p *publishing) (Published, error) {
	if p.err == nil {
		p.err = e.committer.wait(p.Publication, p.result)
	}
	if p.tracker != nil {
		p.tracker.Done()
	}
	return e.completePublish(p)
}

// completePublish tells everybody what became of an event.
func (e *Engine) completePublish(p *publishing) (Published, error) {
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
			l.noteStored(d.Due) // also after an error: asking the store once more does no harm
		case !stored:
			l.unreserve(weight(p.Event))
		default:
			l.push(&store.Held{Delivery: store.Delivery{ID: d.ID, Event: p.Event.Key, Subscription: d.Subscription, Due: d.Due}, Event: p.Event})
		}
	}
}
