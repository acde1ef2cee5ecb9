package outbound

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Engine publishes events and delivers them. It is safe for concurrent use.
type Engine struct {
	store       store.Store
	shared      store.Shared // store, if several nodes share it; else nil
	clock       timeline
	ids         *store.IDs
	config      atomic.Pointer[config]
	lanes       lanes
	committer   *committer
	publishings publishings // events whose publishing has begun and not ended
	dispatch    dispatcher
	claims      claimer
	watches     watches
	deadLog     deadLetterLog
	heldSize    atomic.Int64   // bytes that the deliveries in all lanes take
	attemptLog  rate.Sometimes // limits what is logged of attempts that got no connection
	outageLogs  sync.Map       // limits what is logged of operations that fail: by operation, *rate.Sometimes

	applying  sync.Mutex // held by Apply
	catalogue catalogue

	// Attempts run under work, everything else under life.
	life, work   context.Context
	stop, cancel context.CancelFunc
	draining     atomic.Bool
	attempts     sync.WaitGroup
	outcomes     sync.WaitGroup // outcomes that aren't stored and reported yet
	ending       sync.RWMutex   // keeps background from starting a service once life is over
	services     sync.WaitGroup
}

// Option configures an Engine when it is opened.
type Option func(*Engine)

// WithClock makes the engine use c instead of the system's clock.
func WithClock(c Clock) Option { return func(e *Engine) { e.clock.Clock = c } }

// Open starts an engine on st, which delivers what waits there. The caller still
// owns the store, and closes it after the engine.
func Open(ctx context.Context, st store.Store, s Settings, opts ...Option) (*Engine, error) {
	c, err := newConfig(s)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		store: st, clock: timeline{Clock: systemClock{time.Now()}},
		attemptLog: rate.Sometimes{Interval: entryInterval},
	}
	e.shared, _ = st.(store.Shared)
	for _, o := range opts {
		o(e)
	}
	node, last, err := st.Identity(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the store's identity: %w", err)
	}
	e.clock = newTimeline(e.clock.Clock, last)
	e.ids = store.NewIDs(node, last, e.clock.latest)
	e.config.Store(c)
	e.life, e.stop = context.WithCancel(context.Background())
	e.work, e.cancel = context.WithCancel(context.Background())
	e.catalogue.e = e
	e.committer = newCommitter(e)
	if r, ok := st.(store.Reserver); ok {
		e.committer.full.Store(r.Full()) // before the first event is refused
	}
	e.publishings.current = new(sync.WaitGroup)
	e.dispatch.init(e)
	e.claims.init(e)
	e.deadLog.init(e)

	known, err := st.Subscriptions(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the subscriptions: %w", err)
	}
	for _, s := range known {
		e.applySubscription(s)
	}
	e.services.Go(e.committer.run)
	if err := e.resumeBacklogs(ctx, c); err != nil { // before anything can be published
		e.Close()
		return nil, err
	}
	if err := e.reconcile(ctx, c); err != nil {
		e.Close()
		return nil, err
	}
	e.services.Go(e.claims.run)
	e.services.Go(e.watchSalvages)
	e.services.Go(e.followNodes)
	e.services.Go(e.runRetention)
	e.services.Go(e.deadLog.run)
	return e, nil
}

// Apply changes the settings of a running engine. Attempts in flight finish with the
// old settings.
func (e *Engine) Apply(ctx context.Context, s Settings) error {
	c, err := newConfig(s)
	if err != nil {
		return err
	}
	e.applying.Lock()
	defer e.applying.Unlock()
	e.applyConfig(c)
	e.dispatch.resize()
	e.deadLog.wake.ring()
	return e.reconcile(ctx, c)
}

// applyConfig switches all lanes to new settings. It holds lanes.changing, because
// a subscription changed at the same time would lose either that change or the
// settings.
func (e *Engine) applyConfig(c *config) {
	e.lanes.changing.Lock()
	defer e.lanes.changing.Unlock()
	old := e.config.Load()
	if old.TenantRate == c.TenantRate {
		c.rates = old.rates
	}
	if old.sender.same(c.sender) {
		c.sender = old.sender // and its open connections
	}
	e.config.Store(c)
	if c.sender != old.sender {
		old.sender.retire()
	}
	changed := c.sender != old.sender || c.Timeout != old.Timeout || c.Sign != old.Sign || !reflect.DeepEqual(c.Schemes, old.Schemes)
	for _, l := range e.lanes.all() {
		l.setTarget(c, l.sub())
		if changed && !l.status().FailingSince.IsZero() {
			l.probe()
		}
	}
}

// Drain starts no more attempts, and waits until those in flight have ended and their
// outcomes are stored, or until ctx is done. Attempts that are still in flight then
// are aborted, and repeated after the next Open. Events can still be published.
func (e *Engine) Drain(ctx context.Context) {
	e.dispatch.halt()
	if n := e.InFlight(); n > 0 {
		args := []any{"attempts", n}
		if end, ok := ctx.Deadline(); ok {
			args = append(args, "at_most", time.Until(end).Round(time.Second))
		}
		e.logger().Info("making no more attempts; waiting for those in flight", args...)
	}
	if e.shared != nil {
		e.background(e.yield)
	}
	done := make(chan struct{})
	go func() { e.attempts.Wait(); e.outcomes.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		e.cancel()
		e.attempts.Wait()
	}
}

// Close stops the engine. It aborts attempts in flight, and stores the outcomes that
// are known. Call Drain first to let attempts finish.
func (e *Engine) Close() {
	e.dispatch.halt()
	e.cancel()
	e.attempts.Wait()
	e.ending.Lock()
	e.stop()
	e.ending.Unlock()
	e.committer.queue.close()
	e.services.Wait()
	e.deadLog.finish()
	e.config.Load().sender.retire()
}

// logger returns the present logger.
func (e *Engine) logger() *slog.Logger { return e.config.Load().Logger }

// now returns the current time of the schedule; see timeline.
func (e *Engine) now() time.Time { return e.clock.now() }

// background runs f as a service, which Close ends and waits for. It does nothing
// once the engine is closed.
func (e *Engine) background(f func(context.Context)) {
	e.ending.RLock()
	defer e.ending.RUnlock()
	if e.life.Err() == nil {
		e.services.Go(func() { f(e.life) })
	}
}

// retryStore calls do, which uses the store, until it succeeds or ctx is done. what
// says in the log what it does.
func (e *Engine) retryStore(ctx context.Context, what string, do func(context.Context) error) {
	for ctx.Err() == nil {
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		e.logOutage(what, err)
		e.sleep(ctx, storeRetryDelay)
	}
}

// storeRetryDelay is how long to wait before an operation that the store has failed
// is tried again.
const storeRetryDelay = time.Second

// entryInterval is the time between two log entries about the same trouble.
const entryInterval = 10 * time.Second

// logOutage logs that an operation has failed, which is tried again, and reports whether
// it did. what says which, in one of a few fixed texts: each has a limit of its
// own, so that none hides another.
func (e *Engine) logOutage(what string, err error) (logged bool) {
	limit, _ := e.outageLogs.LoadOrStore(what, &rate.Sometimes{Interval: entryInterval})
	limit.(*rate.Sometimes).Do(func() {
		logged = true
		e.logger().Error(what+"; trying again", "error", err)
	})
	return logged
}

// sleep waits for d, or until ctx is done.
func (e *Engine) sleep(ctx context.Context, d time.Duration) {
	select {
	case <-e.clock.after(d):
	case <-ctx.Done():
	}
}
