package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	insertSubscription  = `INSERT` + intoSubscription
	replaceSubscription = `INSERT OR REPLACE` + intoSubscription
	intoSubscription    = ` INTO subscription (` + selects.Subscription + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	deleteSubscription = `UPDATE subscription SET deleted = key, active = 0, secrets = NULL, headers = NULL, oauth2 = NULL WHERE deleted = 0 AND id = ?`
)

// CreateSubscription implements store.Store.
func (s *Store) CreateSubscription(ctx context.Context, sub *store.Subscription) error {
	err := s.write(ctx, func(w *writer) error {
		err := w.conn.prepare(insertSubscription).subscription(sub).exec()
		if isConstraint(err) {
			return fmt.Errorf("%w: its id is taken", store.ErrConflict)
		}
		return err
	})
	return s.fail("storing the subscription "+sub.ID, err)
}

// UpdateSubscription implements store.Store.
func (s *Store) UpdateSubscription(ctx context.Context, id string, change func(*store.Subscription) error) (sub *store.Subscription, err error) {
	var refused error
	err = s.write(ctx, func(w *writer) error {
		found, err := collect(w.conn, `SELECT `+selects.Subscription+` FROM subscription WHERE deleted = 0 AND id = ?`, []any{id}, readSubscription)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return store.ErrNotFound
		}
		sub = found[0]
		key := sub.Key
		if refused = change(sub); refused != nil {
			return refused
		}
		sub.Key, sub.ID = key, id
		return w.secureDelete(func() error {
			return w.conn.prepare(replaceSubscription).subscription(sub).exec()
		})
	})
	switch {
	case refused != nil:
		return nil, refused
	case err != nil:
		return nil, s.fail("changing the subscription "+id, err)
	}
	return sub, nil
}

// DeleteSubscription implements store.Store.
func (s *Store) DeleteSubscription(ctx context.Context, id string) error {
	err := s.write(ctx, func(w *writer) error {
		return w.secureDelete(func() error {
			if err := w.conn.run(deleteSubscription, id); err != nil {
				return err
			}
			if w.conn.changes() == 0 {
				return store.ErrNotFound
			}
			return nil
		})
	})
	return s.fail("deleting the subscription "+id, err)
}

// secureDelete calls f while SQLite overwrites what it deletes with zeros, so that
// a deleted secret can't be read in the unused parts of the file.
func (w *writer) secureDelete(f func() error) error {
	if err := w.conn.run("PRAGMA secure_delete = 1"); err != nil {
		return err
	}
	return errors.Join(f(), w.conn.run("PRAGMA secure_delete = 0"))
}

// Subscriptions implements store.Store.
func (s *Store) Subscriptions(ctx context.Context) (subs []*store.Subscription, err error) {
	err = s.read(ctx, func(db *conn) (err error) {
		subs, err = collect(db, `SELECT `+selects.Subscription+` FROM subscription WHERE deleted = 0 ORDER BY key`, nil, readSubscription)
		return err
	})
	return subs, s.fail("listing the subscriptions", err)
}

// subscription binds selects.Subscription.
func (s *stmt) subscription(sub *store.Subscription) *stmt {
	return s.id(sub.Key).text(sub.ID).text(sub.Tenant).text(sub.URL).text(sub.Description).
		json(sub.EventTypes, true).json(sub.Headers, len(sub.Headers) > 0).
		text(sub.Scheme).json(sub.Secrets, len(sub.Secrets) > 0).
		float(sub.RateLimit).bool(sub.Ordered).text(sub.Filter).bool(sub.FromConfig).
		bool(sub.Active).text(sub.Reason).time(sub.Updated).optionalTime(sub.FailingSince).
		json(sub.OAuth2, sub.OAuth2.TokenURL != "").
		int(int64(sub.Timeout)).json(sub.Retry, sub.Retry != nil).json(sub.Metadata, len(sub.Metadata) > 0).text(sub.Transform).text(sub.Handshake)
}

// readSubscription reads selects.Subscription.
func readSubscription(row *stmt) (*store.Subscription, error) {
	sub := &store.Subscription{
		Key:         row.readID(),
		ID:          row.readText(),
		Tenant:      row.readText(),
		URL:         row.readText(),
		Description: row.readText(),
	}
	err := errors.Join(row.readJSON(&sub.EventTypes), row.readJSON(&sub.Headers))
	sub.Scheme = row.readText()
	err = errors.Join(err, row.readJSON(&sub.Secrets))
	sub.RateLimit = row.readFloat()
	sub.Ordered = row.readBool()
	sub.Filter = row.readText()
	sub.FromConfig = row.readBool()
	sub.Active = row.readBool()
	sub.Reason = row.readText()
	sub.Updated = row.readTime()
	sub.FailingSince = row.readTime()
	err = errors.Join(err, row.readJSON(&sub.OAuth2))
	sub.Timeout = time.Duration(row.readInt())
	err = errors.Join(err, row.readJSON(&sub.Retry), row.readJSON(&sub.Metadata))
	sub.Transform = row.readText()
	sub.Handshake = row.readText()
	if err != nil {
		return nil, fmt.Errorf("the subscription %s: %w", sub.ID, err)
	}
	return sub, nil
}
