package outbound

import (
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// maxWatches is how many watches may follow all attempts.
	maxWatches = 64
	// maxTenantWatches is how many more may follow those of each tenant.
	maxTenantWatches = 8
	// watchRoom is how many attempts a watch buffers.
	watchRoom = 1024
)

// Watch receives the attempts of an engine as they happen.
type Watch struct {
	// Attempts receives the delivery after each attempt, in the order in which
	// outcomes are stored. Its Last is the attempt, without the response. Attempts
	// that the reader is too slow for are dropped and counted by Missed.
	Attempts <-chan *Record
	// Done is closed when the engine is closed.
	Done <-chan struct{}

	engine *Engine
	tenant string
	feed   chan *Record
	missed atomic.Int64
}

// Watch follows attempts until Stop is called: all of them, or those that a tenant may
// see, as with Within of a Query. It returns ErrUnavailable if there are too many
// watches.
func (e *Engine) Watch(tenant string) (*Watch, error) {
	feed := make(chan *Record, watchRoom)
	w := &Watch{Attempts: feed, Done: e.life.Done(), engine: e, tenant: tenant, feed: feed}
	if !e.watches.add(w) {
		return nil, ErrUnavailable
	}
	return w, nil
}

// Stop ends the watch. Attempts that are buffered can still be read.
func (w *Watch) Stop() { w.engine.watches.remove(w) }

// Missed returns how many attempts were dropped since the last call.
func (w *Watch) Missed() int64 { return w.missed.Swap(0) }

func (w *Watch) sees(a *AttemptDone) bool {
	return w.tenant == "" || w.tenant == a.Event.Tenant && w.tenant == a.Subscription.Tenant
}

// watches is the list of watches. Attempts read it without a lock.
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
	free := maxWatches
	if w.tenant != "" {
		free = maxTenantWatches
	}
	all := slices.Clone(ws.all())
	for _, other := range all {
		if other.tenant == w.tenant {
			free--
		}
	}
	if free <= 0 {
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

// send passes an attempt to all watches without waiting for any.
func (ws *watches) send(a *AttemptDone) {
	all := ws.all()
	if len(all) == 0 {
		return
	}
	attempt := *a.Attempt
	attempt.ResponseBody, attempt.ResponseHeaders = nil, nil // these could take much memory
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
