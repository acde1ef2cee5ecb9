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

// The messages that nodes send each other by NOTIFY: the number of the sender's
// session, one of these words, and its arguments. Only newsSeen carries what nodes
// don't find out otherwise. The others make things quicker: a node that misses one
// notices the change at its next beat.
const (
	channel     = "webhooks"
	newsAsked   = "asked"   // the receiver of a subscription (its key) should be tried
	newsChanged = "changed" // a subscription or an event type has changed
	newsHere    = "here"    // a node's message to itself
	newsSeen    = "seen"    // inbound messages (their keys) were accepted
	newsWaits   = "waits"   // a delivery waits that nobody holds, of a subscription (its key) or of any
)

const (
	notify = `SELECT pg_notify('` + channel + `', $1)`
	// notifyOwners reaches all nodes, but the message is only sent for subscriptions
	// that another node owns.
	notifyOwners = `SELECT pg_notify('` + channel + `', $1 || s.key) FROM webhooks.subscription s
		WHERE s.key = ANY($2) AND s.owner IS NOT NULL AND s.owner <> ALL($3) AND ` + exclusive
)

// news collects what the next call of News returns.
type news struct {
	mu      sync.Mutex
	pending store.News
	waits   map[store.ID]time.Time // pending.Waits, by subscription
	ready   chan struct{}          // wakes News, buffers one value
	look    chan struct{}          // wakes the heart to look for waiting deliveries, buffers one value
	ended   chan struct{}          // closed when no more comes
}

func (n *news) init() {
	n.ready, n.look, n.ended = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
}

// wait adds backlogs.
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
	wake(n.ready)
}

// add calls f to add other news.
func (n *news) add(f func(*store.News)) {
	n.mu.Lock()
	f(&n.pending)
	n.mu.Unlock()
	wake(n.ready)
}

// wake sends to a channel that buffers one value, unless a value waits there.
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
	case <-s.news.ready:
	}
	s.news.mu.Lock()
	defer s.news.mu.Unlock()
	n := s.news.pending
	for key, due := range s.news.waits {
		n.Waits = append(n.Waits, store.Backlog{Subscription: key, Due: due})
	}
	s.news.pending, s.news.waits = store.News{}, nil
	return n, nil
}

// Ask implements store.Shared.
func (s *Store) Ask(ctx context.Context, subscription store.ID) error {
	err := s.send(ctx, func(b *pgx.Batch) { s.queueNotifyOwners(b, newsAsked, []int64{int64(subscription)}) })
	return s.fail("telling the other nodes", err)
}

func (s *Store) queueNotifyOwners(b *pgx.Batch, word string, subscriptions []int64) {
	b.Queue(notifyOwners, s.message(word+" "), subscriptions, s.sessions.own())
}

// message returns a message from this node.
func (s *Store) message(words string) string {
	return fmt.Sprintf("%d %s", s.sessions.current(), words)
}

// listen receives the messages of other nodes, on a connection of its own, until
// ctx is done.
func (s *Store) listen(ctx context.Context) {
	defer close(s.news.ended)
	for ctx.Err() == nil {
		if err := s.listenOnce(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("webhooks store: the connection that receives the messages of other nodes broke; connecting again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.lease / beats):
		}
	}
}

// listenOnce connects, and receives messages until the connection breaks.
func (s *Store) listenOnce(ctx context.Context) error {
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
	if err := s.passOnAll(ctx); err != nil {
		return err
	}
	if err := s.checkEcho(ctx, conn); err != nil {
		return err
	}
	for {
		err := s.receive(ctx, conn, patience)
		switch {
		case err == nil:
		case ctx.Err() != nil, !errors.Is(err, context.DeadlineExceeded):
			return err
		default: // no message came: check that the connection still works
			if err := ping(ctx, conn); err != nil {
				return err
			}
		}
	}
}

// checkEcho warns if this node doesn't receive its own message.
func (s *Store) checkEcho(ctx context.Context, conn *pgx.Conn) error {
	if _, err := s.pool.Exec(ctx, notify, s.message(newsHere)); err != nil {
		return err
	}
	err := s.receive(ctx, conn, s.lease/beats)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		s.warnDeaf.Do(func() {
			s.log.Warn("webhooks store: messages between nodes don't get through, as behind a pooler in transaction mode: changes take seconds to arrive, and replays of inbound messages that other nodes accepted are not recognised: use a connection string that leads to the server itself, or to a pooler in session mode", "store", s.name)
		})
		return ping(ctx, conn)
	}
	return err
}

// receive waits for a message and handles it.
func (s *Store) receive(ctx context.Context, conn *pgx.Conn, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	n, err := conn.WaitForNotification(ctx)
	if err == nil {
		s.handle(n.Payload)
	}
	return err
}

func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connecting)
	defer cancel()
	return conn.Ping(ctx)
}

// handle handles a message. It ignores its own, and those that it doesn't
// understand, which come from a newer version or from somebody else.
func (s *Store) handle(message string) {
	words := strings.Fields(message)
	if len(words) < 2 || words[0] == strconv.FormatInt(s.sessions.current(), 10) {
		return
	}
	switch words[1] {
	case newsChanged:
		s.news.add(func(n *store.News) { n.Changed = true })
	case newsSeen:
		s.passOn(decodeSeen(words[2:]))
	case newsWaits:
		if len(words) == 2 {
			wake(s.news.look)
			return
		}
		if key, ok := subscriptionOf(words); ok {
			// The zero time makes it due at once, whatever the clocks say.
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

// subscriptionOf returns the key that is the argument of a message.
func subscriptionOf(words []string) (store.ID, bool) {
	if len(words) < 3 {
		return 0, false
	}
	key, err := strconv.ParseInt(words[2], 10, 64)
	return store.ID(key), err == nil
}
