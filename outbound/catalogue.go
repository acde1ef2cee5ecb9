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

// catalogue holds what is known of event types. The entries are in the store; the
// schemas of those that have one are also in memory. Events of other types need
// meet no schema, whether the type is in the catalogue or not.
type catalogue struct {
	e *Engine

	changing sync.Mutex // held over a change of the catalogue
	demands  atomic.Pointer[map[string]demand]
}

// demand is the schema that payloads of an event type must meet.
type demand struct {
	text   []byte
	schema *payload.Schema // nil if text can't be compiled: then no payload meets it
}

// EventTypes returns the entries of the catalogue, ordered by name.
func (e *Engine) EventTypes(ctx context.Context) ([]EventType, error) {
	return e.store.EventTypes(ctx)
}

// PutEventType adds an entry to the catalogue or replaces it; added says which. The
// error is ErrConflict if the type is defined in the configuration.
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

// DeleteEventType removes an entry from the catalogue. The error is ErrConflict if
// the type is defined in the configuration.
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

// find returns an entry that is to be changed, or nil if there is none. It returns
// ErrConflict if the configuration defines it.
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

// reconcile writes the event types of the configuration to the store, and removes
// those that the configuration no longer has.
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
			if err != nil && !errors.Is(err, ErrNotFound) { // another node has deleted it
				return err
			}
		}
	}
	return c.refresh(ctx)
}

func sameEventType(a, b EventType) bool {
	return a.Name == b.Name && a.Description == b.Description && bytes.Equal(a.Schema, b.Schema) && a.FromConfig == b.FromConfig
}

// refresh reads the schemas from the store. The catalogue has changed already, so
// this goes on even if ctx is done. The caller holds changing.
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
				c.e.logger().Error("the schema of an event type in the store can't be used: its events are refused until it is replaced", "event_type", t.Name, "error", err)
			}
		}
		demands[t.Name] = d
	}
	c.demands.Store(&demands)
	return nil
}

// all returns the schemas by event type. The map may be nil.
func (c *catalogue) all() map[string]demand {
	if demands := c.demands.Load(); demands != nil {
		return *demands
	}
	return nil
}

// check checks an event against the schema of its type, if there is one. The error
// is an *Invalid or that of ctx.
func (c *catalogue) check(ctx context.Context, n *NewEvent) error {
	d, ok := c.all()[n.Type]
	switch {
	case !ok:
		return nil
	case d.schema == nil:
		return invalid("payload", "can't be checked: the schema of the event type %s is not valid, so replace it", n.Type)
	}
	err := d.schema.Check(ctx, n.Tenant, n.Payload)
	if err == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return invalid("payload", "does not meet the schema of the event type %s: %v", n.Type, err)
}

// example returns the first of the examples in an event type's schema, or nil.
func (c *catalogue) example(eventType string) []byte {
	var schema struct{ Examples []json.RawMessage }
	if json.Unmarshal(c.all()[eventType].text, &schema) != nil || len(schema.Examples) == 0 {
		return nil
	}
	return schema.Examples[0]
}
