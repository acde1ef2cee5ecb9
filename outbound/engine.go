package outbound

import (
	"context"
	"fmt"
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
	shared      store.Shared // the same, nil where nobody shares it
	clock       timeline
	ids         *store.IDs
	config      atomic.Pointer[config]
	lanes       lanes
	committer   *committer
	publishings publishings
	dispatch    dispatcher
	claims      claimer
	watches     watches
	deadLog     deadLetterLog
	heldSize    atomic.Int64   // bytes of what is in the lanes
	attemptLog  rate.Sometimes // bounds what the log is told of failures
	outageLog   rate.Sometimes // and of a store that fails

	applying  sync.Mutex // one Apply at a time
	catalogue catalogue

	// Attempts run under work; everything else of the engine under life.
	life, work   context.Context
	stop, cancel context.CancelFunc
	draining     atomic.Bool
	attempts     sync.WaitGroup
	outcomes     sync.WaitGroup // that are not stored and told yet
	ending       sync.RWMutex   // so that no service begins when life is over
	services     sync.WaitGroup
}

// Option of an engine.
type Option func(*Engine)

// WithClock gives the engine another clock.
func WithClock(c Clock) Option { return func(e *Engine) { e.clock.Clock = c } }

// Open makes an engine on a store and starts to deliver what waits in it.
// The store stays its caller's, to close after the engine.
func Open(ctx context.Context, st store.Store, s Settings, opts ...Option) (*Engine, error) {
	c, err := newConfig(s)
	if err != nil {
		return nil, err
	}
	e := &Engine{store: st, clock: timeline{Clock: systemClock{time.Now()}}, attemptLog: rate.Sometimes{Interval: 10 * time.Second}, outageLog: rate.Sometimes{Interval: 10 * time.Second}}
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
	if err := e.resumeBacklogs(ctx, c); err != nil { // before anything is published
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

// Apply changes the settings of a running engine. Attempts under way are not
// disturbed; everything after them goes by the new ones.
func (e *Engine) Apply(ctx context.Context, s Settings) error {
	c, err := newConfig(s)
	if err != nil {
		return err
	}
	e.applying.Lock()
	defer e.applying.Unlock()
	e.applyConfig(c)
	e.dispatch.resize()
	e.deadLog.wakeUp()
	return e.reconcile(ctx, c)
}

// applyConfig makes all lanes go by new settings. No subscription is changed
// meanwhile, since one of the two would be forgotten.
func (e *Engine) applyConfig(c *config) {
	e.lanes.changing.Lock()
	defer e.lanes.changing.Unlock()
	old := e.config.Load()
	if old.TenantRate == c.TenantRate {
		c.rates = old.rates
	}
	if old.client.same(c.client) {
		c.client = old.client // with the connections that it keeps
	}
	e.config.Store(c)
	if c.client != old.client {
		old.client.retire()
	}
	mended := c.client != old.client || c.Timeout != old.Timeout || c.Sign != old.Sign || !reflect.DeepEqual(c.Schemes, old.Schemes)
	for _, l := range e.lanes.all() {
		l.setTarget(c, l.target.Load().sub)
		if mended && !l.status().FailingSince.IsZero() {
			l.probe()
		}
	}
}

// Drain starts no more attempts and waits for those under way and for their
// outcomes to be stored, until ctx is done. Those that are left then are broken
// off, and will be repeated after the next Open. Publish goes on to store events.
func (e *Engine) Drain(ctx context.Context) {
	e.dispatch.halt()
	if n := e.InFlight(); n > 0 {
		args := []any{"attempts", n}
		if end, ok := ctx.Deadline(); ok {
			args = append(args, "at_most", time.Until(end).Round(time.Second))
		}
		e.config.Load().Logger.Info("making no more attempts; waiting for those under way", args...)
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

// Close ends the engine: attempts under way are broken off, outcomes that are
// known are stored. Call Drain first for a gentle end.
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
	e.config.Load().client.retire()
}

// now is the time by which deliveries are scheduled.
func (e *Engine) now() time.Time { return e.clock.now() }

// background runs a service until the engine is closed, and none after that.
func (e *Engine) background(f func(context.Context)) {
	e.ending.RLock()
	defer e.ending.RUnlock()
	if e.life.Err() == nil {
		e.services.Go(func() { f(e.life) })
	}
}

// retryStore does what has to be done with the store, again and again after errors,
// until ctx is done.
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

// storeRetryDelay is how long to wait after the store failed to do something.
const storeRetryDelay = time.Second

// logOutage tells the log why the store does not do something that is tried again.
func (e *Engine) logOutage(what string, err error) {
	e.outageLog.Do(func() { e.config.Load().Logger.Error(what+"; trying again", "error", err) })
}

// sleep waits, or returns early when ctx is done.
func (e *Engine) sleep(ctx context.Context, d time.Duration) {
	select {
	case <-e.clock.after(d):
	case <-ctx.Done():
	}
}
