package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var _ store.Shared = (*Store)(nil)

// What nodes tell each other, after the number of the session that tells. Of
// inbound messages, this is how they learn; the rest only makes things quicker:
// whoever hears nothing finds out at its next beat.
const (
	channel     = "webhooks"
	newsAsked   = "asked"   // that the receiver of the subscription that follows be tried
	newsChanged = "changed" // a subscription or an event type
	newsHere    = "here"    // that this node is there, which is for itself
	newsSeen    = "seen"    // inbound messages: the keys that follow
	newsWaits   = "waits"   // something that nobody holds, of the subscription that follows, if one does
)

const (
	tell = `SELECT pg_notify('` + channel + `', $1)`
	// tellOwners tells those who alone may deliver what waits.
	tellOwners = `SELECT pg_notify('` + channel + `', $1 || s.key) FROM webhooks.subscription s
		WHERE s.key = ANY($2) AND s.owner IS NOT NULL AND s.owner <> ALL($3) AND ` + exclusive
)

// news is what was not asked for yet.
type news struct {
	mu      sync.Mutex
	pending store.News
	waits   map[store.ID]time.Time // when the first of a subscription is due
	some    chan struct{}          // has room for one
	look    chan struct{}          // likewise, for the heart
	ended   chan struct{}
}

func (n *news) init() {
	n.some, n.look, n.ended = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
}

// wait adds what waits.
func (n *news) wait(all ...store.Backlog) {
	n.mu.Lock()
	if n.waits == nil {
		n.waits = map[store.ID]time.Time{}
	}
	for _, b := range all {
		if due, ok := n.waits[b.Subscription]; !ok || b.Due.Before(due) {
			n.waits[b.Subscription] = b.Due
		}
	}
	n.mu.Unlock()
	wake(n.some)
}

func (n *news) add(f func(*store.News)) {
	n.mu.Lock()
	f(&n.pending)
	n.mu.Unlock()
	wake(n.some)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// News implements store.Shared.
func (s *Store) News(ctx context.Context) (store.News, error) {
	select {
	case <-ctx.Done():
		return store.News{}, ctx.Err()
	case <-s.news.ended:
		return store.News{}, errClosed
	case <-s.news.some:
	}
	s.news.mu.Lock()
	defer s.news.mu.Unlock()
	told := s.news.pending
	for key, due := range s.news.waits {
		told.Waits = append(told.Waits, store.Backlog{Subscription: key, Due: due})
	}
	s.news.pending, s.news.waits = store.News{}, nil
	return told, nil
}

// Ask implements store.Shared.
func (s *Store) Ask(ctx context.Context, subscription store.ID) error {
	err := s.send(ctx, func(b *pgx.Batch) { s.notifyOwners(b, newsAsked, []int64{int64(subscription)}) })
	return s.fail("telling the other nodes", err)
}

// notifyOwners adds to a batch that there is something for some subscriptions.
func (s *Store) notifyOwners(b *pgx.Batch, what string, subscriptions []int64) {
	b.Queue(tellOwners, s.told(what+" "), subscriptions, s.sessions.own())
}

// told is what a node tells of itself.
func (s *Store) told(what string) string { return fmt.Sprintf("%d %s", s.sessions.current(), what) }

// listen hears what the others tell, on a connection of its own, until ctx is
// done.
func (s *Store) listen(ctx context.Context) {
	defer close(s.news.ended)
	for ctx.Err() == nil {
		if err := s.hear(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("webhooks store: the connection that hears of the other nodes broke; connecting again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.lease / beats):
		}
	}
}

func (s *Store) hear(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	if err := s.relearn(ctx); err != nil {
		return err
	}
	if err := s.echo(ctx, conn); err != nil {
		return err
	}
	for {
		err := s.await(ctx, conn, patience)
		switch {
		case err == nil:
		case ctx.Err() != nil, !errors.Is(err, context.DeadlineExceeded):
			return err
		default: // nothing was told: is anybody there?
			if err := ping(ctx, conn); err != nil {
				return err
			}
		}
	}
}

// echo says so where this node doesn't even hear itself.
func (s *Store) echo(ctx context.Context, conn *pgx.Conn) error {
	if _, err := s.pool.Exec(ctx, tell, s.told(newsHere)); err != nil {
		return err
	}
	err := s.await(ctx, conn, s.lease/beats)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		s.deaf.Do(func() {
			s.log.Warn("webhooks store: what the nodes tell each other doesn't get through, as behind a pooler in transaction mode: changes take seconds, and copies of inbound messages that other nodes took are not known: have a connection string that leads to the server, or to a pooler in session mode", "store", s.name)
		})
		return ping(ctx, conn)
	}
	return err
}

// await waits for what is told, for as long as that.
func (s *Store) await(ctx context.Context, conn *pgx.Conn, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	n, err := conn.WaitForNotification(ctx)
	if err == nil {
		s.heard(n.Payload)
	}
	return err
}

func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connecting)
	defer cancel()
	return conn.Ping(ctx)
}

// heard understands what was told. What isn't understood comes from a newer
// version, or from somebody else.
func (s *Store) heard(said string) {
	words := strings.Fields(said)
	if len(words) < 2 || words[0] == strconv.FormatInt(s.sessions.current(), 10) {
		return
	}
	switch words[1] {
	case newsChanged:
		s.news.add(func(n *store.News) { n.Changed = true })
	case newsSeen:
		s.learn(unspell(words[2:]))
	case newsWaits:
		if len(words) == 2 {
			wake(s.news.look)
			return
		}
		if key, ok := subscriptionOf(words); ok {
			// Due as soon as can be, whatever the clocks say.
			s.news.wait(store.Backlog{Subscription: key})
		}
	case newsAsked:
		if key, ok := subscriptionOf(words); ok {
			s.news.add(func(n *store.News) {
				if !slices.Contains(n.Asked, key) {
					n.Asked = append(n.Asked, key)
				}
			})
		}
	}
}

func subscriptionOf(words []string) (store.ID, bool) {
	if len(words) < 3 {
		return 0, false
	}
	key, err := strconv.ParseInt(words[2], 10, 64)
	return store.ID(key), err == nil
}
