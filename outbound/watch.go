package outbound

import (
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// maxWatches is how many may follow an engine at once.
	maxWatches = 64
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
	feed   chan *Record
	missed atomic.Int64
}

// Watch begins to follow the attempts, until Stop. Too many at once get
// ErrUnavailable.
func (e *Engine) Watch() (*Watch, error) {
	feed := make(chan *Record, watchRoom)
	w := &Watch{Attempts: feed, Done: e.life.Done(), engine: e, feed: feed}
	if !e.watches.add(w) {
		return nil, ErrUnavailable
	}
	return w, nil
}

// Stop ends it. What was not read yet can still be read.
func (w *Watch) Stop() { w.engine.watches.remove(w) }

// Missed returns how many attempts were left out since it was asked before.
func (w *Watch) Missed() int64 { return w.missed.Swap(0) }

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
	all := ws.all()
	if len(all) >= maxWatches {
		return false
	}
	all = append(slices.Clone(all), w)
	ws.list.Store(&all)
	return true
}

func (ws *watches) remove(w *Watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(ws.all()), func(other *Watch) bool { return other == w })
	ws.list.Store(&all)
}

// tell shows an attempt to all who follow. It doesn't wait for them.
func (ws *watches) tell(a *AttemptDone) {
	all := ws.all()
	if len(all) == 0 {
		return
	}
	attempt := a.Attempt
	attempt.ResponseBody, attempt.ResponseHeaders = nil, nil // which would take the memory of many
	r := a.Record()
	r.Last = &attempt
	for _, w := range all {
		select {
		case w.feed <- r:
		default:
			w.missed.Add(1)
		}
	}
}
