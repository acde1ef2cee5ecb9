package outbound

import (
	"bytes"
	"context"
	"fmt"
)

// EventTypes returns the catalogue by name.
func (e *Engine) EventTypes(ctx context.Context) ([]EventType, error) {
	return e.store.EventTypes(ctx)
}

// PutEventType adds an entry to the catalogue or replaces it, and tells which.
// ErrConflict: it is defined in the configuration.
func (e *Engine) PutEventType(ctx context.Context, t EventType) (added bool, err error) {
	if err := checkType("event_type", t.Name); err != nil {
		return false, err
	}
	if err := checkDescription(t.Description); err != nil {
		return false, err
	}
	e.catalogue.Lock()
	defer e.catalogue.Unlock()
	old, err := e.eventType(ctx, t.Name)
	if err != nil {
		return false, err
	}
	t.FromConfig = false
	return old == nil, e.store.PutEventType(ctx, t)
}

// DeleteEventType removes an entry from the catalogue. ErrConflict: it is
// defined in the configuration.
func (e *Engine) DeleteEventType(ctx context.Context, name string) error {
	e.catalogue.Lock()
	defer e.catalogue.Unlock()
	if old, err := e.eventType(ctx, name); err != nil {
		return err
	} else if old == nil {
		return ErrNotFound
	}
	return e.store.DeleteEventType(ctx, name)
}

// eventType finds an entry to be changed, or nil.
func (e *Engine) eventType(ctx context.Context, name string) (*EventType, error) {
	known, err := e.store.EventTypes(ctx)
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

func sameEventType(a, b EventType) bool {
	return a.Name == b.Name && a.Description == b.Description && bytes.Equal(a.Schema, b.Schema) && a.FromConfig == b.FromConfig
}
