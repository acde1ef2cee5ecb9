package outbound

import (
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// maxWatches is how many may follow an engine at once, and maxTenantWatches how
	// many of each tenant, which take nothing from the others.
	maxWatches       = 64
	maxTenantWatches = 8
	// watchRoom is how many attempts may wait for whoever follows.
	watchRoom = 1024
)

// Watch follows the attempts of an engine.
type Watch struct {
	// Attempts are deliveries as they are after each attempt, which is their
	// Last, without what the receiver answered, in the order in which outcomes
	// were stored. What whoever reads is too slow for is left out, and Missed
	// counts it.
	Attempts <-chan *Record
	// Done is closed when the engine is.
	Done <-chan struct{}

	engine *Engine
	tenant string
	feed   chan *Record
	missed atomic.Int64
}

// Watch begins to follow the attempts, until Stop: all, or those that a tenant
// sees, as by the Within of a Query. Too many at once get ErrUnavailable.
func (e *Engine) Watch(tenant string) (*Watch, error) {
	feed := make(chan *Record, watchRoom)
	w := &Watch{Attempts: feed, Done: e.life.Done(), engine: e, tenant: tenant, feed: feed}
	if !e.watches.add(w) {
		return nil, ErrUnavailable
	}
	return w, nil
}

// Stop ends it. What was not read yet can still be read.
func (w *Watch) Stop() { w.engine.watches.remove(w) }

// Missed returns how many attempts were left out since it was asked before.
func (w *Watch) Missed() int64 { return w.missed.Swap(0) }

// sees tells whether an attempt is one of those that w follows.
func (w *Watch) sees(a *AttemptDone) bool {
	return w.tenant == "" || w.tenant == a.Event.Tenant && w.tenant == a.Subscription.Tenant
}

// watches are those who follow. Attempts only load the list.
type watches struct {
	mu   sync.Mutex // held over a change of the list
	list atomic.Pointer[[]*Watch]
}

func (ws *watches) all() []*Watch {
	if list := ws.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (ws *watches) add(w *Watch) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	most := maxWatches
	if w.tenant != "" {
		most = maxTenantWatches
	}
	all := slices.Clone(ws.all())
	for _, other := range all {
		if other.tenant == w.tenant {
			most--
		}
	}
	if most <= 0 {
		return false
	}
	all = append(all, w)
	ws.list.Store(&all)
	return true
}

func (ws *watches) remove(w *Watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(ws.all()), func(other *Watch) bool { return other == w })
	ws.list.Store(&all)
}

// send shows an attempt to all who follow. It doesn't wait for them.
func (ws *watches) send(a *AttemptDone) {
	all := ws.all()
	if len(all) == 0 {
		return
	}
	attempt := a.Attempt
	attempt.ResponseBody, attempt.ResponseHeaders = nil, nil // which would take the memory of many
	r := a.Record()
	r.Last = &attempt
	for _, w := range all {
		if !w.sees(a) {
			continue
		}
		select {
		case w.feed <- r:
		default:
			w.missed.Add(1)
		}
	}
}
