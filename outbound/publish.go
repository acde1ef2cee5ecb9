package outbound

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Published is the result of publishing a NewEvent.
type Published struct {
	EventID    string
	Deliveries int  // of the stored event, whether new or a duplicate
	Duplicate  bool // the event was stored before; nothing new was
}

// Publish stores an event with a delivery for each subscription that it matches, and
// returns once both are durable. The error may be an *Invalid, a *TooLarge, a
// *Reused, a *Limited, ErrFull or ErrUnavailable. Nothing is stored then, with one
// exception: after ErrUnavailable, a shared store whose response was lost may have
// stored the event.
func (e *Engine) Publish(ctx context.Context, n *NewEvent) (Published, error) {
	p := e.beginPublish(ctx, n)
	return e.finishPublish(&p)
}

// Answer is the result of publishing one event of PublishAll.
type Answer struct {
	Published
	Err error
}

// PublishAll publishes events like Publish, but lets them share commits. Ordered
// subscriptions get them in the order given. It returns one answer for each event.
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

// publishing is an event that is being stored, with its deliveries.
type publishing struct {
	*store.Publication
	lanes   []*lane // where each of the Deliveries goes
	span    publishSpan
	tracker *sync.WaitGroup // to call Done on when it has ended; nil for an event of the engine's own
	result  chan error      // receives the result of the commit
	err     error           // why it was refused before the commit
}

// beginPublish checks an event and submits it to be stored. finishPublish waits for
// the result.
func (e *Engine) beginPublish(ctx context.Context, n *NewEvent) publishing {
	ctx, span := e.startPublish(ctx, n.Type, len(n.Payload))
	if err := e.accept(ctx, n); err != nil {
		return publishing{span: span, err: err}
	}
	ev := &store.Event{
		Key: e.ids.Next(), ID: n.ID, Tenant: n.Tenant, Type: n.Type,
		ContentType: cmp.Or(n.ContentType, "application/json"), Headers: n.Headers, Payload: n.Payload,
	}
	if ev.ID == "" {
		ev.ID = ev.Key.With(store.EventPrefix)
	}
	ev.TraceParent, ev.TraceState = traceContext(ctx)
	tracker := e.publishings.add()
	lanes, err := e.filtered(ctx, e.match(ev), ev)
	if err != nil {
		return publishing{span: span, tracker: tracker, err: err}
	}
	p := e.newPublishing(&store.Publication{Event: ev, Chosen: n.ID != ""}, lanes)
	p.span, p.tracker = span, tracker
	e.submit(ctx, &p)
	return p
}

// accept checks an event, and counts it towards its tenant's rate limit.
func (e *Engine) accept(ctx context.Context, n *NewEvent) error {
	c := e.config.Load()
	if err := n.check(c); err != nil {
		return err
	}
	if err := e.checkSchema(ctx, n); err != nil {
		return err
	}
	return c.rates.check(n.Tenant, e.now)
}

// checkSchema checks an event against the schema of its type. A retry of an event
// that is stored already passes, so that the store reports it as a duplicate: its
// publisher can't know that the schema has changed since.
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

// newPublishing makes a delivery for each lane, and reserves room there.
func (e *Engine) newPublishing(p *store.Publication, lanes []*lane) publishing {
	due, size := e.now(), weight(p.Event)
	p.Deliveries = make([]store.NewDelivery, len(lanes))
	for i, l := range lanes {
		p.Deliveries[i] = store.NewDelivery{ID: e.ids.Next(), Subscription: l.key, Due: due, Hold: l.reserve(size), Ordered: l.ordered()}
	}
	return publishing{Publication: p, lanes: lanes}
}

// assignID gives an event a generated id.
func (e *Engine) assignID(ev *store.Event) {
	ev.Key = e.ids.Next()
	ev.ID = ev.Key.With(store.EventPrefix)
}

// newOwnPublishing is newPublishing for an event that the engine itself publishes.
// It also starts the event's publish span.
func (e *Engine) newOwnPublishing(ctx context.Context, ev *store.Event, lanes []*lane) publishing {
	ctx, span := e.startPublish(ctx, ev.Type, len(ev.Payload))
	ev.TraceParent, ev.TraceState = traceContext(ctx)
	p := e.newPublishing(&store.Publication{Event: ev}, lanes)
	p.span = span
	return p
}

// submit queues an event to be stored.
func (e *Engine) submit(ctx context.Context, p *publishing) {
	p.result, p.err = e.committer.submit(ctx, p.Publication)
}

// finishPublish waits until an event is stored and its deliveries are in their
// lanes, or the event has failed.
func (e *Engine) finishPublish(p *publishing) (Published, error) {
	if p.err == nil {
		p.err = e.committer.wait(p.Publication, p.result)
	}
	if p.tracker != nil {
		p.tracker.Done()
	}
	return e.completePublish(p)
}

// completePublish passes the result of a commit on to the lanes, the span and the
// caller.
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

// handOver passes the deliveries to their lanes if they are stored, and releases
// the room reserved for them otherwise.
func (p *publishing) handOver(stored bool) {
	for i, l := range p.lanes {
		d := &p.Deliveries[i]
		switch {
		case !d.Hold:
			l.noteStored(d.Due) // even after an error: looking in vain does no harm
		case !stored:
			l.unreserve(weight(p.Event))
		default:
			l.push(&store.Held{Delivery: store.Delivery{ID: d.ID, Event: p.Event.Key, Subscription: d.Subscription, Due: d.Due}, Event: p.Event})
		}
	}
}

// publishings counts the events whose publishing is under way, from the lookup of
// matching subscriptions until they are stored or refused.
type publishings struct {
	waitMu  sync.Mutex // held by wait: a second caller would otherwise miss what the first waits for
	mu      sync.Mutex
	current *sync.WaitGroup
}

// add counts one. The caller calls Done on the result when it has ended.
func (p *publishings) add() *sync.WaitGroup {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current.Add(1)
	return p.current
}

// wait waits for those that are under way now. New ones aren't held up.
func (p *publishings) wait() {
	p.waitMu.Lock()
	defer p.waitMu.Unlock()
	p.mu.Lock()
	begun := p.current
	p.current = new(sync.WaitGroup)
	p.mu.Unlock()
	begun.Wait()
}
