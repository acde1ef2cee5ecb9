package outbound

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/payload"
)

// catalogue is what is known of event types: the store's, and in memory what
// those of them demand of payloads that have a schema. Others are published as
// they come, in the catalogue or not.
type catalogue struct {
	e *Engine

	changing sync.Mutex
	demands  atomic.Pointer[map[string]demand]
}

// demand is what an event type demands of payloads.
type demand struct {
	text   []byte
	schema *payload.Schema // nil: its text can't be compiled, so that nothing meets it
}

// EventTypes returns the catalogue by name.
func (e *Engine) EventTypes(ctx context.Context) ([]EventType, error) {
	return e.store.EventTypes(ctx)
}

// PutEventType adds an entry to the catalogue or replaces it, and tells which.
// ErrConflict: it is defined in the configuration.
func (e *Engine) PutEventType(ctx context.Context, t EventType) (added bool, err error) {
	if err := checkEventType(t); err != nil {
		return false, err
	}
	c := &e.catalogue
	c.changing.Lock()
	defer c.changing.Unlock()
	old, err := c.find(ctx, t.Name)
	if err != nil {
		return false, err
	}
	t.FromConfig = false
	if err := e.store.PutEventType(ctx, t); err != nil {
		return false, err
	}
	return old == nil, c.refresh(ctx)
}

// DeleteEventType removes an entry from the catalogue. ErrConflict: it is
// defined in the configuration.
func (e *Engine) DeleteEventType(ctx context.Context, name string) error {
	c := &e.catalogue
	c.changing.Lock()
	defer c.changing.Unlock()
	if old, err := c.find(ctx, name); err != nil {
		return err
	} else if old == nil {
		return ErrNotFound
	}
	if err := e.store.DeleteEventType(ctx, name); err != nil {
		return err
	}
	return c.refresh(ctx)
}

func checkEventType(t EventType) error {
	if err := checkOwnType(t.Name); err != nil {
		return err
	}
	if err := checkDescription(t.Description); err != nil {
		return err
	}
	if _, err := payload.NewSchema(t.Schema); err != nil {
		return invalid("schema", "%v", err)
	}
	return nil
}

// find finds an entry to be changed, or nil.
func (c *catalogue) find(ctx context.Context, name string) (*EventType, error) {
	known, err := c.e.store.EventTypes(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range known {
		if t.Name == name {
			if t.FromConfig {
				return nil, fmt.Errorf("%w: event type %s is defined in the server's configuration: change it there and reload", ErrConflict, name)
			}
			return &t, nil
		}
	}
	return nil, nil
}

// reconcile makes the event types of the configuration those of the store.
func (c *catalogue) reconcile(ctx context.Context, conf *config) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	known, err := c.e.store.EventTypes(ctx)
	if err != nil {
		return err
	}
	for _, t := range conf.EventTypes {
		t.FromConfig = true
		if slices.ContainsFunc(known, func(k EventType) bool { return sameEventType(k, t) }) {
			continue
		}
		if err := c.e.store.PutEventType(ctx, t); err != nil {
			return err
		}
	}
	for _, t := range known {
		gone := !slices.ContainsFunc(conf.EventTypes, func(w EventType) bool { return w.Name == t.Name })
		if t.FromConfig && gone {
			err := c.e.store.DeleteEventType(ctx, t.Name)
			if err != nil && !errors.Is(err, ErrNotFound) { // another node was quicker
				return err
			}
		}
	}
	return c.refresh(ctx)
}

func sameEventType(a, b EventType) bool {
	return a.Name == b.Name && a.Description == b.Description && bytes.Equal(a.Schema, b.Schema) && a.FromConfig == b.FromConfig
}

// refresh reads what the store's event types demand, however soon whoever changed
// them has gone. The caller holds changing.
func (c *catalogue) refresh(ctx context.Context) error {
	known, err := c.e.store.EventTypes(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	old := c.all()
	demands := map[string]demand{}
	for _, t := range known {
		if len(t.Schema) == 0 {
			continue
		}
		d := old[t.Name]
		if d.schema == nil || !bytes.Equal(d.text, t.Schema) {
			d = demand{text: t.Schema}
			if d.schema, err = payload.NewSchema(t.Schema); err != nil {
				c.e.config.Load().Logger.Error("the schema of an event type in the store can't be used: its events are refused until it is replaced", "event_type", t.Name, "error", err)
			}
		}
		demands[t.Name] = d
	}
	c.demands.Store(&demands)
	return nil
}

func (c *catalogue) all() map[string]demand {
	if demands := c.demands.Load(); demands != nil {
		return *demands
	}
	return nil
}

// check judges an event by the schema of its type, if it has one. The error is an
// *Invalid, or ctx's.
func (c *catalogue) check(ctx context.Context, n *NewEvent) error {
	d, ok := c.all()[n.Type]
	switch {
	case !ok:
		return nil
	case d.schema == nil:
		return invalid("payload", "can't be held to the schema of the event type %s, which is none: replace it", n.Type)
	}
	err := d.schema.Check(ctx, n.Payload)
	if err == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return invalid("payload", "does not meet the schema of the event type %s: %v", n.Type, err)
}

// example is the first in the schema of an event type, or nil.
func (c *catalogue) example(eventType string) []byte {
	var schema struct{ Examples []json.RawMessage }
	if json.Unmarshal(c.all()[eventType].text, &schema) != nil || len(schema.Examples) == 0 {
		return nil
	}
	return schema.Examples[0]
}
