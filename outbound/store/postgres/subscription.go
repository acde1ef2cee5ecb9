package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	insertSubscription = `INSERT INTO webhooks.subscription (` + selects.Subscription + `) VALUES ` + subscriptionValues
	updateSubscription = `UPDATE webhooks.subscription SET (` + selects.Subscription + `) = ` + subscriptionValues + ` WHERE key = $1`
	subscriptionValues = `($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`
	deleteSubscription = `UPDATE webhooks.subscription SET deleted = key, active = false, secrets = NULL, headers = NULL, oauth2 = NULL WHERE deleted = 0 AND id = $1`

	revise = `UPDATE webhooks.revision SET n = n + 1`
)

// change calls f in a transaction to change subscriptions or event types. It
// increments their revision, and tells the other nodes.
func (s *Store) change(ctx context.Context, f func(ctx context.Context, tx pgx.Tx) error) error {
	return s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		var b pgx.Batch
		b.Queue(revise)
		b.Queue(notify, s.message(newsChanged))
		return tx.SendBatch(ctx, &b).Close()
	})
}

// CreateSubscription implements store.Store.
func (s *Store) CreateSubscription(ctx context.Context, sub *store.Subscription) error {
	err := s.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertSubscription, subscriptionArgs(sub)...)
		if code(err) == codeUnique {
			return fmt.Errorf("%w: its id is taken", store.ErrConflict)
		}
		return err
	})
	return s.fail("storing the subscription "+sub.ID, err)
}

// UpdateSubscription implements store.Store.
func (s *Store) UpdateSubscription(ctx context.Context, id string, change func(*store.Subscription) error) (sub *store.Subscription, err error) {
	var refused error
	err = s.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+selects.Subscription+` FROM webhooks.subscription WHERE deleted = 0 AND id = $1 FOR NO KEY UPDATE`, text(id))
		found, err := collectSubscriptions(rows, err)
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
		_, err = tx.Exec(ctx, updateSubscription, subscriptionArgs(sub)...)
		return err
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
	err := s.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, deleteSubscription, text(id))
		if err == nil && tag.RowsAffected() == 0 {
			return store.ErrNotFound
		}
		return err
	})
	return s.fail("deleting the subscription "+id, err)
}

// Subscriptions implements store.Store.
func (s *Store) Subscriptions(ctx context.Context) (subs []*store.Subscription, err error) {
	err = s.read(ctx, func(ctx context.Context, db querier) error {
		rows, err := db.Query(ctx, `SELECT `+selects.Subscription+` FROM webhooks.subscription WHERE deleted = 0 ORDER BY key`)
		subs, err = collectSubscriptions(rows, err)
		return err
	})
	return subs, s.fail("listing the subscriptions", err)
}

// subscriptionArgs returns the arguments for selects.Subscription.
func subscriptionArgs(sub *store.Subscription) []any {
	failing := selects.Millis(sub.FailingSince)
	return []any{
		int64(sub.Key), text(sub.ID), text(sub.Tenant), text(sub.URL), text(sub.Description),
		asJSON(sub.EventTypes, true), asJSON(sub.Headers, len(sub.Headers) > 0), text(sub.Scheme), asJSON(sub.Secrets, len(sub.Secrets) > 0),
		sub.RateLimit, sub.Ordered, text(sub.Filter), sub.FromConfig, sub.Active, text(sub.Reason), selects.Millis(sub.Updated),
		pgtype.Int8{Int64: failing, Valid: failing != 0},
		asJSON(sub.OAuth2, sub.OAuth2.TokenURL != ""),
		int64(sub.Timeout), asJSON(sub.Retry, sub.Retry != nil), asJSON(sub.Metadata, len(sub.Metadata) > 0), text(sub.Transform), text(sub.Handshake),
	}
}

// collectSubscriptions reads selects.Subscription.
func collectSubscriptions(rows pgx.Rows, err error) ([]*store.Subscription, error) {
	return collectBy(rows, err, func(row pgx.CollectableRow) (*store.Subscription, error) {
		sub := &store.Subscription{}
		var oauth2 *store.OAuth2
		err := row.Scan(
			&sub.Key, &sub.ID, &sub.Tenant, &sub.URL, &sub.Description, &sub.EventTypes, &sub.Headers, &sub.Scheme, &sub.Secrets,
			&sub.RateLimit, &sub.Ordered, &sub.Filter, &sub.FromConfig, &sub.Active, &sub.Reason, (*millis)(&sub.Updated), (*millis)(&sub.FailingSince), &oauth2,
			&sub.Timeout, &sub.Retry, &sub.Metadata, &sub.Transform, &sub.Handshake,
		)
		if oauth2 != nil {
			sub.OAuth2 = *oauth2
		}
		return sub, err
	})
}
