package sqlite

import (
	"context"
	"fmt"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

// Event implements store.Store.
func (s *Store) Event(ctx context.Context, tenant, id string) (e *store.Event, err error) {
	err = s.read(ctx, func(db *conn) error {
		key, err := eventKey(db, tenant, id)
		if err != nil {
			return err
		}
		if e, err = eventByKey(db, key); err != nil {
			return err
		}
		// An event with a chosen id can't be found by the id made from its key.
		if e == nil || e.Tenant != tenant || e.ID != id {
			return store.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, s.fail("reading the event "+id, err)
	}
	return e, nil
}

// eventKey returns the key of the event with a public id, if there is such an
// event.
func eventKey(db *conn, tenant, id string) (store.ID, error) {
	var key store.ID
	found, err := db.prepare(`SELECT event FROM chosen WHERE id = ? AND tenant = ?`).text(id).text(tenant).first(func(row *stmt) { key = row.readID() })
	if err == nil && !found {
		key, _ = store.ParseID(store.EventPrefix, id)
	}
	return key, err
}

// Events implements store.Store.
func (s *Store) Events(ctx context.Context, q store.Query) (events []*store.Event, err error) {
	columns := selects.Event
	if q.Payload {
		columns += payloadColumns
	}
	sql, args := dialect.Events(q, columns)
	err = s.search(ctx, q, func(db *conn) (err error) {
		events, err = collect(db, sql, args, func(row *stmt) (*store.Event, error) { return readEvent(row, q.Payload) })
		return err
	})
	return events, s.fail("listing events", err)
}

// payloadColumns follow selects.Event to read the payload too.
const payloadColumns = `, e.payload, e.digest`

// eventByKey returns an event with its payload, or nil if there is none.
func eventByKey(db *conn, key store.ID) (e *store.Event, err error) {
	st := db.prepare(`SELECT ` + selects.Event + payloadColumns + ` FROM event e WHERE e.id = ?`)
	var bad error
	if _, err := st.id(key).first(func(row *stmt) { e, bad = readEvent(row, true) }); err != nil {
		return nil, err
	}
	return e, bad
}

// readEvent reads selects.Event, and payloadColumns if payload is set.
func readEvent(row *stmt, payload bool) (*store.Event, error) {
	e := &store.Event{
		Key:    row.readID(),
		Type:   row.readText(),
		Tenant: row.readText(),
	}
	chosen := row.readText()
	e.ID = selects.EventID(chosen, e.Key)
	e.ContentType = row.readText()
	headers := row.readText()
	if err := fromJSON(headers, &e.Headers); err != nil {
		return nil, fmt.Errorf("the headers of the event %s: %w", e.ID, err)
	}
	e.TraceParent = row.readText()
	e.TraceState = row.readText()
	e.PayloadRemoved = row.readBool()
	if !payload {
		return e, nil
	}
	e.Payload = row.readBytes()
	e.Damaged = !row.readDigest(e.Key, e.Type, e.Tenant, chosen, e.ContentType, headers, e.Payload)
	return e, nil
}
