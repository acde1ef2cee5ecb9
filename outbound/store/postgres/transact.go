package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// The server ends a transaction of several steps if the next step doesn't come,
// whatever has happened to this node. Transactions that write use indexes and no
// JIT: for a batch of keys, the planner wrongly takes reading a whole table, or
// compiling the statement, for cheaper.
const (
	begin         = `BEGIN` + idleTimeout + `; ` + byKeys
	beginSnapshot = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY` + idleTimeout
	idleTimeout   = `; SET LOCAL idle_in_transaction_session_timeout = '10s'`
	byKeys        = `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`
)

// startCall begins a call, and returns its context and the function that ends it.
// The end of ctx doesn't break off a call that writes, so that its result says what
// is in the database.
func (s *Store) startCall(ctx context.Context, writes bool) (_ context.Context, end func(), err error) {
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, nil, errClosed
	}
	if err := ctx.Err(); err != nil {
		s.mu.RUnlock()
		return nil, nil, err
	}
	if writes {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel(); s.mu.RUnlock() }, nil
}

// read calls f to run queries, each on its own.
func (s *Store) read(ctx context.Context, f func(ctx context.Context, db querier) error) error {
	ctx, end, err := s.startCall(ctx, false)
	if err != nil {
		return err
	}
	defer end()
	return within(ctx, s.reads, func() error { return f(ctx, s.pool) })
}

// within calls f when there is a place in a semaphore.
func within(ctx context.Context, semaphore chan struct{}, f func() error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case semaphore <- struct{}{}:
	}
	defer func() { <-semaphore }()
	return f()
}

// search is snapshot for a query that may go through whole tables, which q does
// unless it is for a single delivery. However many searches there are, they leave
// connections for what must not wait.
func (s *Store) search(ctx context.Context, q store.Query, f func(ctx context.Context, db querier) error) error {
	if q.Delivery != 0 {
		return s.snapshot(ctx, f)
	}
	return within(ctx, s.searches, func() error { return s.snapshot(ctx, f) })
}

// snapshot calls f to run queries that all see the same state of the database.
func (s *Store) snapshot(ctx context.Context, f func(ctx context.Context, db querier) error) error {
	ctx, end, err := s.startCall(ctx, false)
	if err != nil {
		return err
	}
	defer end()
	return within(ctx, s.reads, func() error {
		return s.transact(ctx, beginSnapshot, func(ctx context.Context, tx pgx.Tx) error { return f(ctx, tx) })
	})
}

// write calls f in a transaction, and again if the server breaks that off.
func (s *Store) write(ctx context.Context, f func(ctx context.Context, tx pgx.Tx) error) error {
	ctx, end, err := s.startCall(ctx, true)
	if err != nil {
		return err
	}
	defer end()
	return withRetries(func() error { return s.transact(ctx, begin, f) })
}

func (s *Store) transact(ctx context.Context, begin string, f func(ctx context.Context, tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error { return f(ctx, tx) })
}

// send runs the statements that fill adds to a batch, in one transaction and one
// round trip. It calls fill again if the server breaks that off.
func (s *Store) send(ctx context.Context, fill func(*pgx.Batch)) error {
	ctx, end, err := s.startCall(ctx, true)
	if err != nil {
		return err
	}
	defer end()
	return withRetries(func() error {
		var b pgx.Batch
		fill(&b)
		return s.pool.SendBatch(ctx, &b).Close()
	})
}

// maxTries is how often a transaction is tried that the server breaks off because
// of a conflict with another one.
const maxTries = 5

// withRetries calls f, and again after such a conflict.
func withRetries(f func() error) (err error) {
	for range maxTries {
		err = f()
		if c := code(err); c != codeSerialization && c != codeDeadlock {
			return err
		}
	}
	return err
}

// querier is a connection pool or a transaction, for queries.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}
