package handler

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// engines holds the engines with their open stores, by storeLocation.key. They
// outlive the configs that use them, so a reload neither opens a file twice nor
// disturbs attempts in flight.
var engines = caddy.NewUsagePool()

// opened lists the same engines for metrics. Ranging over the pool instead would
// block while an engine is being opened, and block the next reload meanwhile.
var opened struct {
	sync.Mutex
	engines []*engine
}

// openEngines returns the engines that are open now. Any of them may be closed
// while the caller uses it.
func openEngines() []*engine {
	opened.Lock()
	defer opened.Unlock()
	return slices.Clone(opened.engines)
}

// engine is an engine shared by the configs that use its store. Each config
// pushes its settings when it starts and pops them when it stops; the topmost
// are in effect. Thus the new config's settings stay after a successful reload,
// and the old config's are back after a failed one.
type engine struct {
	*outbound.Engine
	store   openStore
	replays *replayKeeper
	logger  atomic.Pointer[slog.Logger] // of the config in effect

	mu    sync.Mutex
	users []*App
}

// acquireEngine returns the engine of a store, opening both with these settings
// unless they are open. shared reports that they were, so that the settings of
// another config are in effect. To release the engine, delete it from engines.
func acquireEngine(ctx context.Context, l storeLocation, s outbound.Settings) (e *engine, shared bool, err error) {
	v, shared, err := engines.LoadOrNew(l.key, func() (caddy.Destructor, error) { return openEngine(ctx, l, s) })
	if err != nil {
		return nil, false, err
	}
	return v.(*engine), shared, nil
}

func openEngine(ctx context.Context, l storeLocation, s outbound.Settings) (_ *engine, err error) {
	e := new(engine)
	e.logger.Store(s.Logger)
	logger := newLastingLog(&e.logger)
	if e.store, err = l.open(ctx, logger); err != nil {
		return nil, err
	}
	if e.Engine, err = outbound.Open(ctx, e.store, s); err != nil {
		return nil, errors.Join(err, e.store.Close())
	}
	if e.replays, err = keepReplays(ctx, e.store, logger); err != nil {
		e.Close()
		return nil, errors.Join(err, e.store.Close())
	}
	opened.Lock()
	defer opened.Unlock()
	opened.engines = append(opened.engines, e)
	return e, nil
}

// push puts the settings of a config into effect. If the engine isn't shared, it
// was opened with them.
func (e *engine) push(ctx context.Context, a *App, shared bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if shared {
		if err := e.use(ctx, a); err != nil {
			e.restore(ctx)
			return err
		}
	}
	e.users = append(e.users, a)
	return nil
}

// use applies the settings of a config.
func (e *engine) use(ctx context.Context, a *App) error {
	e.logger.Store(a.logger)
	return e.Apply(ctx, a.settings)
}

// restore applies the topmost settings again. The caller holds mu.
func (e *engine) restore(ctx context.Context) {
	if len(e.users) == 0 {
		return
	}
	top := e.users[len(e.users)-1]
	if err := e.use(context.WithoutCancel(ctx), top); err != nil {
		top.logger.Error("restoring the settings of the previous config", "error", err)
	}
}

// pop withdraws the settings of a config, and reports whether it was the last
// one to use the engine.
func (e *engine) pop(ctx context.Context, a *App) (last bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.Index(e.users, a)
	if i < 0 {
		return false
	}
	top := i == len(e.users)-1
	e.users = slices.Delete(e.users, i, i+1)
	if len(e.users) == 0 {
		return true
	}
	if top {
		e.restore(ctx)
	}
	return false
}

// Destruct implements caddy.Destructor: it closes the engine and its store once
// no config uses them.
func (e *engine) Destruct() error {
	opened.Lock()
	opened.engines = slices.DeleteFunc(opened.engines, func(o *engine) bool { return o == e })
	opened.Unlock()
	err := e.replays.close()
	e.Close()
	return errors.Join(err, e.store.Close())
}
