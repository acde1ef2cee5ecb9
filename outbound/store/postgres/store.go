// Package postgres is the store that several nodes share: one Postgres
// database, in the tables of its schema webhooks (see schema1.sql for the views
// that are for people).
//
// A batch is one transaction in one round trip. What a node holds says so in its
// row, by the number of the node's session; whoever is alive renews its session
// every few seconds, and ends those that are not renewed, so that what they held
// is there to be claimed again. No transaction is open while a delivery is made.
//
// The file for each step:
//
//	store.go     opening and closing, reading and writing
//	  migrate.go   the tables come to this format
//	node.go      a node has a number and a session
//	  heart.go     which it renews, and ends those of others
//	  news.go      what nodes tell each other
//	commit.go    events and outcomes are stored, and columns.go sends them
//	claim.go     what is due is taken, and hold.go knows what is
//	queue.go     deliveries are queued again or given up by hand
//	  replay.go    or made of older events
//	  unlogged.go  which dead letters are still to be logged
//	list.go      what lists show, and rows.go how it is read
//	forget.go    in the end it is removed
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Config says where the store is.
type Config struct {
	// DSN is a connection string, as a URL or as words, with what pgx knows
	// besides: pool_max_conns, default_query_exec_mode.
	DSN string

	// Host is how people know this node. Default: nothing.
	Host string

	// Lease is how long the others wait, when they no longer hear of this node,
	// before they take what it holds; it is renewed three times in that time.
	// Default: 15 s.
	Lease time.Duration

	// Logger for what no caller sees. Default: nothing is logged.
	Logger *slog.Logger
}

const (
	defaultLease = 15 * time.Second
	// leastConns are the connections of a node's pool, writingConns those that
	// lists leave to what must not wait: commits, claims and the lease.
	leastConns   = 8
	writingConns = 4
	// patience is how long the server may take to answer.
	patience = 30 * time.Second
	// connecting is how long it may take to accept a connection.
	connecting = 5 * time.Second
)

// Store is a store in a database.
type Store struct {
	pool  *pgxpool.Pool
	name  string // see nameOf
	host  string
	lease time.Duration
	log   *slog.Logger

	number   int
	sessions sessions
	holds    holds
	news     news
	claiming sync.RWMutex // for reading by each claim
	yielded  bool         // there are no more claims
	away     atomic.Bool  // the session was not renewed for as long as the lease
	follower atomic.Pointer[follower]
	deaf     sync.Once    // for the warning
	forgot   atomic.Int64 // when inbound messages were last forgotten, in milliseconds

	reads    chan struct{} // has room for those that may be under way
	searches chan struct{} // likewise, for those that may take long
	mu       sync.RWMutex  // held for reading by each call
	closed   bool
	life     context.Context // over when Close has given calls their time
	stop     context.CancelFunc
	work     sync.WaitGroup // in the background
}

var _ store.Store = (*Store)(nil)

// Check tells whether a connection string can be read, without a word of it in
// the error.
func Check(dsn string) error {
	_, err := parse(dsn)
	return err
}

func parse(dsn string) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(dsn)
	if err != nil || strings.Contains(nameOf(c.ConnConfig), "@") {
		// Not the error's own words: where a password has characters that end it,
		// what follows is taken for something else, and told.
		return nil, errors.New("is not a connection string: write it as in postgres://user:password@host:5432/database, with all characters of the password but letters and digits as in a URL, such as %40 for @")
	}
	return c, nil
}

// nameOf is what people know a database by, without credentials.
func nameOf(c *pgx.ConnConfig) string {
	hosts := []string{fmt.Sprintf("%s:%d", c.Host, c.Port)}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, fmt.Sprintf("%s:%d", f.Host, f.Port))
	}
	return "postgres://" + strings.Join(slices.Compact(hosts), ",") + "/" + c.Database
}

// Open opens the store, and makes its tables where they are missing. Its errors
// wrap store.ErrForeign, store.ErrInUse or store.ErrUnavailable.
func Open(ctx context.Context, config Config) (*Store, error) {
	c, err := parse(config.DSN)
	if err != nil {
		return nil, fmt.Errorf("opening the store: the DSN %w", err)
	}
	c.ConnConfig.ConnectTimeout = min(cmp.Or(c.ConnConfig.ConnectTimeout, connecting), connecting)
	c.MaxConns = max(c.MaxConns, leastConns)
	if c.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		// A plan that was made when a table was small isn't kept, and a pooler
		// between us and the server does no harm.
		c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	c.ConnConfig.AfterConnect = watchNetwork
	goesOn := c.ConnConfig.OnPgError
	c.ConnConfig.OnPgError = func(conn *pgconn.PgConn, e *pgconn.PgError) bool {
		return e.Code != codeReadOnly && goesOn(conn, e) // another connection may lead to the primary
	}
	if c.ConnConfig.RuntimeParams["application_name"] == "" {
		c.ConnConfig.RuntimeParams["application_name"] = "caddy-webhooks"
	}
	s := &Store{
		name:  nameOf(c.ConnConfig),
		host:  config.Host,
		lease: cmp.Or(config.Lease, defaultLease),
		log:   config.Logger,
		reads: make(chan struct{}, c.MaxConns-writingConns),
		// One read is left for what must not wait.
		searches: make(chan struct{}, c.MaxConns-writingConns-1),
	}
	s.news.init()
	s.holds.init()
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, c); err != nil {
		return nil, s.fail("opening the store", err)
	}
	if err := s.enter(ctx); err != nil {
		s.pool.Close()
		return nil, s.fail("opening the store", err)
	}
	s.life, s.stop = context.WithCancel(context.Background())
	s.work.Go(func() { s.keep(s.life) })
	s.work.Go(func() { s.listen(s.life) })
	return s, nil
}

// watchNetwork has the server notice soon that the network to us is gone, and
// with it what our transactions lock. One that can't is none the worse.
func watchNetwork(ctx context.Context, conn *pgconn.PgConn) error {
	_, err := conn.Exec(ctx, `SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3`).ReadAll()
	if code(err) != "" {
		return nil
	}
	return err
}

// Transactions of several steps end when we don't go on, whatever has become of
// us. Those that write go by keys: to read a whole table for a batch of them, or to
// compile the statement, only seems cheaper to the planner.
const (
	begin         = `BEGIN` + orEnd + `; ` + byKeys
	beginSnapshot = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY` + orEnd
	orEnd         = `; SET LOCAL idle_in_transaction_session_timeout = '10s'`
	byKeys        = `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`
)

// enter makes the node one of those that share the store.
func (s *Store) enter(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if err := s.judge(ctx); err != nil {
		return err
	}
	return s.register(ctx)
}

// judge says so where the server confirms what it may lose. It isn't ours to
// change: others may use the server as it is.
func (s *Store) judge(ctx context.Context) error {
	var fsync, commit string
	if err := s.pool.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit')`).Scan(&fsync, &commit); err != nil {
		return err
	}
	if fsync == "off" || commit == "off" {
		s.log.Warn("webhooks store: the database server confirms what isn't on its disk yet, so that accepted events can be lost: set fsync and synchronous_commit to on",
			"store", s.name, "fsync", fsync, "synchronous_commit", commit)
	}
	return nil
}

// Close implements store.Store. What this node holds is there for others at
// once; where the server can't be told, when its lease is over.
func (s *Store) Close() error {
	stop := time.AfterFunc(connecting, s.stop) // a dead network must not hold up the end
	defer stop.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("closing the store %s: %w", s.name, errClosed)
	}
	s.closed = true
	s.stop()
	s.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), connecting)
	defer cancel()
	err := s.leave(ctx)
	s.pool.Close()
	return s.fail("closing the store", err)
}

// use begins a call, and returns what ends it. Nothing that is written is broken
// off by the end of ctx, so that the result is what is in the database.
func (s *Store) use(ctx context.Context, writes bool) (context.Context, func(), error) {
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

// read calls f with a connection.
func (s *Store) read(ctx context.Context, f func(ctx context.Context, db querier) error) error {
	ctx, done, err := s.use(ctx, false)
	if err != nil {
		return err
	}
	defer done()
	return within(ctx, s.reads, func() error { return f(ctx, s.pool) })
}

// within calls f when there is room for it.
func within(ctx context.Context, room chan struct{}, f func() error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case room <- struct{}{}:
	}
	defer func() { <-room }()
	return f()
}

// search is snapshot for what may go through all that there is, unless q is about one
// delivery. However many are asked for, they leave room for what must not wait.
func (s *Store) search(ctx context.Context, q store.Query, f func(ctx context.Context, db querier) error) error {
	if q.Delivery != 0 {
		return s.snapshot(ctx, f)
	}
	return within(ctx, s.searches, func() error { return s.snapshot(ctx, f) })
}

// snapshot calls f with one view of the database for all that it asks.
func (s *Store) snapshot(ctx context.Context, f func(ctx context.Context, db querier) error) error {
	ctx, done, err := s.use(ctx, false)
	if err != nil {
		return err
	}
	defer done()
	return within(ctx, s.reads, func() error {
		return s.transact(ctx, beginSnapshot, func(ctx context.Context, tx pgx.Tx) error { return f(ctx, tx) })
	})
}

// write calls f in a transaction.
func (s *Store) write(ctx context.Context, f func(ctx context.Context, tx pgx.Tx) error) error {
	ctx, done, err := s.use(ctx, true)
	if err != nil {
		return err
	}
	defer done()
	return again(func() error { return s.transact(ctx, begin, f) })
}

func (s *Store) transact(ctx context.Context, begin string, f func(ctx context.Context, tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error { return f(ctx, tx) })
}

// send runs statements in one transaction and one round trip.
func (s *Store) send(ctx context.Context, fill func(*pgx.Batch)) error {
	ctx, done, err := s.use(ctx, true)
	if err != nil {
		return err
	}
	defer done()
	return again(func() error {
		var b pgx.Batch
		fill(&b)
		return s.pool.SendBatch(ctx, &b).Close()
	})
}

// tries is how often a transaction is begun that the server broke off for the
// sake of another one.
const tries = 5

// again calls f until it isn't broken off.
func again(f func() error) (err error) {
	for range tries {
		err = f()
		if c := code(err); c != codeSerialization && c != codeDeadlock {
			return err
		}
	}
	return err
}

// querier is what reads need of a connection.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}
