// Package postgres is the store that several nodes share: one Postgres
// database, in the tables of its schema webhooks (see schema1.sql for the views
// for people).
//
// A batch is one transaction in one round trip. The row of a delivery that is held
// has the session of the node that holds it. Each node renews the lease of its
// session every few seconds, and ends the sessions of others whose lease has
// lapsed, so that the deliveries that they held can be claimed again. No
// transaction is open while a delivery is attempted.
//
// The file for each step:
//
//	store.go     opening and closing
//	  migrate.go   creating and upgrading the tables
//	transact.go  reading and writing
//	node.go      the number and the sessions of a node
//	  heart.go     renewing its session, and ending those of others
//	  news.go      what nodes tell each other
//	commit.go    storing events and outcomes, and columns.go how they are sent
//	claim.go     taking what is due, and hold.go what is held
//	queue.go     requeueing, discarding and burying deliveries by hand
//	  replay.go    creating deliveries of older events
//	  unlogged.go  which dead letters still have to be logged
//	list.go      lists, and rows.go how rows are read
//	forget.go    removing old events
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

// Config is the configuration of a store.
type Config struct {
	// DSN is a connection string, as a URL or as key=value words. It may also have
	// pgx's own parameters: pool_max_conns, default_query_exec_mode.
	DSN string

	// Host is the name of this node for people. Default: none.
	Host string

	// Lease is how long other nodes wait for a sign of life from this one before
	// they take what it holds. The node renews it three times in that time.
	// Default: 15 s.
	Lease time.Duration

	// Logger gets what no caller sees. Default: nothing is logged.
	Logger *slog.Logger
}

const (
	defaultLease = 15 * time.Second
	// leastConns is the least size of a node's connection pool. Of the pool, reads
	// leave writingConns to what must not wait: commits, claims and the lease.
	leastConns   = 8
	writingConns = 4
	// patience is how long the server may take to answer.
	patience = 30 * time.Second
	// connecting is how long the server may take to accept a connection.
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
	claiming sync.RWMutex // read-locked by each claim
	yielded  bool         // Claim returns nothing any more; guarded by claiming
	lapsed   atomic.Bool  // this node could not renew its lease in time
	follower atomic.Pointer[follower]

	warnDeaf    sync.Once
	seenExpired atomic.Int64 // when expired keys of inbound messages were last removed, in Unix milliseconds

	reads    chan struct{} // semaphore of reads
	searches chan struct{} // semaphore of reads that may take long
	mu       sync.RWMutex  // read-locked by each call
	closed   bool
	life     context.Context // ends when Close has waited long enough for calls
	stop     context.CancelFunc
	work     sync.WaitGroup // background work
}

var _ store.Store = (*Store)(nil)

// Check checks that a connection string can be parsed. The error repeats nothing
// of it.
func Check(dsn string) error {
	_, err := parse(dsn)
	return err
}

func parse(dsn string) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(dsn)
	if err != nil || strings.Contains(nameOf(c.ConnConfig), "@") {
		// pgx's own error isn't returned: if the password contains a delimiter, pgx
		// takes the rest of it for something else, and quotes that.
		return nil, errors.New("is not a connection string: write it as in postgres://user:password@host:5432/database, with all characters of the password but letters and digits as in a URL, such as %40 for @")
	}
	return c, nil
}

// nameOf returns the name of a database for people, without credentials.
func nameOf(c *pgx.ConnConfig) string {
	hosts := []string{fmt.Sprintf("%s:%d", c.Host, c.Port)}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, fmt.Sprintf("%s:%d", f.Host, f.Port))
	}
	return "postgres://" + strings.Join(slices.Compact(hosts), ",") + "/" + c.Database
}

// Open opens the store, and creates its tables if they are missing. Its errors
// wrap store.ErrForeign, store.ErrInUse or store.ErrUnavailable.
func Open(ctx context.Context, config Config) (*Store, error) {
	c, err := parse(config.DSN)
	if err != nil {
		return nil, fmt.Errorf("opening the store: the DSN %w", err)
	}
	configure(c)
	s := &Store{
		name:  nameOf(c.ConnConfig),
		host:  config.Host,
		lease: cmp.Or(config.Lease, defaultLease),
		log:   cmp.Or(config.Logger, slog.New(slog.DiscardHandler)),
		reads: make(chan struct{}, c.MaxConns-writingConns),
		// One read is left for those that are quick.
		searches: make(chan struct{}, c.MaxConns-writingConns-1),
	}
	s.news.init()
	s.holds.init()
	if s.pool, err = pgxpool.NewWithConfig(ctx, c); err != nil {
		return nil, s.fail("opening the store", err)
	}
	if err := s.join(ctx); err != nil {
		s.pool.Close()
		return nil, s.fail("opening the store", err)
	}
	s.life, s.stop = context.WithCancel(context.Background())
	s.work.Go(func() { s.runHeart(s.life) })
	s.work.Go(func() { s.listen(s.life) })
	return s, nil
}

// configure sets what we need of connections and what the DSN leaves open.
func configure(pool *pgxpool.Config) {
	pool.MaxConns = max(pool.MaxConns, leastConns)
	c := pool.ConnConfig
	c.ConnectTimeout = min(cmp.Or(c.ConnectTimeout, connecting), connecting)
	if c.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		// Unlike prepared statements, this keeps no plan from when a table was small,
		// and works behind a pooler.
		c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	c.AfterConnect = setKeepalive
	keep := c.OnPgError
	c.OnPgError = func(conn *pgconn.PgConn, e *pgconn.PgError) bool {
		return e.Code != codeReadOnly && keep(conn, e) // after a failover, a new connection may lead to the primary
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "caddy-webhooks"
	}
}

// setKeepalive makes the server notice soon if the network to this node is gone, so
// that it releases the locks of our transactions. A server that can't set this works
// just the same.
func setKeepalive(ctx context.Context, conn *pgconn.PgConn) error {
	_, err := conn.Exec(ctx, `SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3`).ReadAll()
	if code(err) != "" {
		return nil
	}
	return err
}

// join makes this process one of the nodes that share the store.
func (s *Store) join(ctx context.Context) error {
	if err := s.checkEncoding(ctx); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if err := s.checkDurability(ctx); err != nil {
		return err
	}
	return s.register(ctx)
}

// checkEncoding returns an error if the server can't take every text. A receiver could
// otherwise send one that keeps the outcomes of all attempts from being stored. UTF-8 is
// stored as it is by encodings that allow any byte, but not by EUC_JP, for example.
func (s *Store) checkEncoding(ctx context.Context) error {
	text := []rune("€ 😀")
	for r := rune(0x80); r < 0x800; r++ { // all with two bytes: WIN1252 has no character for a few bytes only
		text = append(text, r)
	}
	_, err := s.pool.Exec(ctx, `SELECT $1::text`, string(text))
	return err
}

// checkDurability warns if the server confirms transactions that it may lose. It
// doesn't change that: the settings may be what others want.
func (s *Store) checkDurability(ctx context.Context) error {
	var fsync, commit string
	if err := s.pool.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit')`).Scan(&fsync, &commit); err != nil {
		return err
	}
	if fsync == "off" || commit == "off" {
		s.log.Warn("webhooks store: the database server confirms writes before they are on its disk, so that accepted events can be lost: set fsync and synchronous_commit to on",
			"store", s.name, "fsync", fsync, "synchronous_commit", commit)
	}
	return nil
}

// Close implements store.Store. Other nodes can claim what this one holds at once,
// or when its lease lapses if the server can't be reached.
func (s *Store) Close() error {
	stop := time.AfterFunc(connecting, s.stop) // a dead network must not hold up Close
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
