package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// ReplayState is what the replay memory knows of a key.
type ReplayState int

const (
	// Fresh: the key is new, and is now reserved until Commit or Abort.
	Fresh ReplayState = iota
	// InFlight: a first copy is still being worked on.
	InFlight
	// Seen: a copy was committed, and its life is not over.
	Seen
	// Full: too many first copies are in flight; nothing was reserved. Ask the
	// sender to come back.
	Full
)

// String is the state as a word.
func (s ReplayState) String() string {
	switch s {
	case Fresh:
		return "fresh"
	case InFlight:
		return "in_flight"
	case Seen:
		return "seen"
	}
	return "full"
}

// Replays remembers which messages were delivered: a bounded LRU of keys that
// were committed, and, bounded apart, the keys in flight. Nothing runs in the
// background: a key whose life is over is dropped when it is met. It is safe
// for concurrent use.
type Replays struct {
	mu       sync.Mutex
	seen     *lru.Cache[[32]byte, time.Time] // key → end of its life
	inFlight map[[32]byte]time.Duration      // key → its life once committed
	capacity int
	onEvict  func()
	now      func() time.Time
}

// NewReplays makes a memory for capacity committed keys and as many in flight.
// onEvict, which may be nil, is called when a key is pushed out before its
// time: from then on its message could be replayed. now is the clock; nil is
// time.Now.
func NewReplays(capacity int, onEvict func(), now func() time.Time) *Replays {
	if now == nil {
		now = time.Now
	}
	capacity = max(capacity, 1)
	seen, err := lru.New[[32]byte, time.Time](capacity)
	if err != nil {
		panic(err) // only for a capacity below one
	}
	return &Replays{
		seen:     seen,
		inFlight: make(map[[32]byte]time.Duration),
		capacity: capacity,
		onEvict:  onEvict,
		now:      now,
	}
}

// Begin says what is known of a key, and reserves it when it is fresh. life is
// how long it will be remembered after its commit.
func (r *Replays) Begin(key [32]byte, life time.Duration) ReplayState {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.inFlight[key]; ok {
		return InFlight
	}
	// Peek, not Get: a replay must not keep its key young at the others' expense.
	if end, ok := r.seen.Peek(key); ok {
		if r.now().Before(end) {
			return Seen
		}
		r.seen.Remove(key)
	}
	if len(r.inFlight) >= r.capacity {
		return Full
	}
	r.inFlight[key] = life
	return Fresh
}

// Commit ends a reservation and remembers its key. A key that isn't reserved
// is left alone.
func (r *Replays) Commit(key [32]byte) {
	if evicted := r.commit(key); evicted && r.onEvict != nil {
		r.onEvict()
	}
}

func (r *Replays) commit(key [32]byte) (evicted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	life, ok := r.inFlight[key]
	if !ok {
		return false
	}
	delete(r.inFlight, key)
	now := r.now()
	return r.addLocked(key, now.Add(life), now)
}

// addLocked remembers a key, and says whether another one went before its time.
func (r *Replays) addLocked(key [32]byte, end, now time.Time) (evicted bool) {
	if r.seen.Len() >= r.capacity && !r.seen.Contains(key) {
		_, oldest, _ := r.seen.RemoveOldest()
		evicted = now.Before(oldest)
	}
	r.seen.Add(key, end)
	return evicted
}

// Abort ends a reservation without remembering its key, so that a retry passes.
func (r *Replays) Abort(key [32]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.inFlight, key)
}

// Len is how many committed keys are held, including those whose life is over
// and that no one has met since.
func (r *Replays) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.Len()
}

// Entries are the committed keys whose life is not over, the oldest first, with
// the end of their lives, for whoever keeps them over a restart.
func (r *Replays) Entries() iter.Seq2[[32]byte, time.Time] {
	return func(yield func([32]byte, time.Time) bool) {
		r.mu.Lock()
		keys := r.seen.Keys()
		ends := r.seen.Values()
		r.mu.Unlock()
		now := r.now()
		for i, key := range keys {
			if now.Before(ends[i]) && !yield(key, ends[i]) {
				return
			}
		}
	}
}

// Restore adds a key that was committed before a restart or in another process,
// unless its life is over.
func (r *Replays) Restore(key [32]byte, end time.Time) {
	if evicted := r.restore(key, end); evicted && r.onEvict != nil {
		r.onEvict()
	}
}

func (r *Replays) restore(key [32]byte, end time.Time) (evicted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if known, ok := r.seen.Peek(key); !now.Before(end) || ok && !known.Before(end) {
		return false
	}
	return r.addLocked(key, end, now)
}

// ReplayKey is the key by which Replays know a message on a route: a hash of the
// route, the scheme's name and the decoded MAC. The id is no part of it, since it
// may not be signed, nor is the signature's text, of which one MAC can have several.
func ReplayKey(route string, m *Message) [32]byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(route), []byte(m.Provider), m.MAC} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	var key [32]byte
	h.Sum(key[:0])
	return key
}
