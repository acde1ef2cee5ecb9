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
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// engines are the open stores with their engines, by the key of the store's
// place. They outlive the configs that use them: a reload neither opens a file
// twice nor disturbs an attempt.
var engines = caddy.NewUsagePool()

// opened are those engines once more, for metrics: the pool makes whoever looks at
// all that it has wait while one is being opened, and the next reload for them.
var opened struct {
	sync.Mutex
	engines []*engine
}

// openEngines are the engines of the moment. Any of them may be closed meanwhile.
func openEngines() []*engine {
	opened.Lock()
	defer opened.Unlock()
	return slices.Clone(opened.engines)
}

// engine is an engine with the configs that use it. Each pushes its settings
// when it starts and takes them back when it stops; those on top rule. So both
// ends of a reload come out right: after a good one the new config's stay,
// after a failed one the old config's are there again.
type engine struct {
	*outbound.Engine
	store  store.Store
	keeper *keeper
	logger atomic.Pointer[slog.Logger] // of the config that rules

	mu    sync.Mutex
	users []*App
}

// useEngine returns the engine of a store, opening it by the settings of its
// first user; running tells whether it was open, by the settings of another.
func useEngine(ctx context.Context, p place, s outbound.Settings) (e *engine, running bool, err error) {
	v, running, err := engines.LoadOrNew(p.key, func() (caddy.Destructor, error) {
		e := new(engine)
		e.logger.Store(s.Logger)
		lasting := newLastingLog(&e.logger)
		var err error
		if e.store, err = p.open(ctx, lasting); err != nil {
			return nil, err
		}
		if e.Engine, err = outbound.Open(ctx, e.store, s); err != nil {
			return nil, errors.Join(err, e.store.Close())
		}
		if e.keeper, err = keepReplays(ctx, e.store, lasting); err != nil {
			e.Close()
			return nil, errors.Join(err, e.store.Close())
		}
		opened.Lock()
		defer opened.Unlock()
		opened.engines = append(opened.engines, e)
		return e, nil
	})
	if err != nil {
		return nil, false, err
	}
	return v.(*engine), running, nil
}

// push makes the settings of a config rule. An engine that was just opened by
// them has them already.
func (e *engine) push(ctx context.Context, a *App, running bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if running {
		if err := e.obey(ctx, a); err != nil {
			e.restore(ctx)
			return err
		}
	}
	e.users = append(e.users, a)
	return nil
}

// obey goes by the settings of a config.
func (e *engine) obey(ctx context.Context, a *App) error {
	e.logger.Store(a.logger)
	return e.Apply(ctx, a.settings)
}

// restore goes back to the settings that rule. The caller holds mu.
func (e *engine) restore(ctx context.Context) {
	if len(e.users) == 0 {
		return
	}
	top := e.users[len(e.users)-1]
	if err := e.obey(context.WithoutCancel(ctx), top); err != nil {
		top.logger.Error("going back to the settings of the config before", "error", err)
	}
}

// pop takes the settings of a config back, and reports whether it was the
// last one.
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

// Destruct closes the engine and its store, when no config uses them.
func (e *engine) Destruct() error {
	opened.Lock()
	opened.engines = slices.DeleteFunc(opened.engines, func(o *engine) bool { return o == e })
	opened.Unlock()
	err := e.keeper.close()
	e.Close()
	return errors.Join(err, e.store.Close())
}
