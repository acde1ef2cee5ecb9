package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// ReplayState is the state of a key in the replay memory.
type ReplayState int

const (
	// Fresh: the key is new, and is now reserved until Commit or Abort.
	Fresh ReplayState = iota
	// InFlight: the first copy is still being handled.
	InFlight
	// Seen: a copy was committed and has not expired.
	Seen
	// Full: too many first copies are in flight, so nothing was reserved. The sender
	// should retry later.
	Full
)

// String returns the state as a word.
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

// Replays remembers which messages were delivered: a bounded LRU of committed
// keys and, with a bound of its own, the keys in flight. Nothing runs in the
// background: an expired key is dropped when it is looked up or evicted.
// Replays is safe for concurrent use.
type Replays struct {
	mu       sync.Mutex
	seen     *lru.Cache[[32]byte, time.Time] // key → when it expires
	inFlight map[[32]byte]time.Duration      // key → its life once committed
	capacity int
	onEvict  func()
	now      func() time.Time
}

// NewReplays returns a memory for capacity committed keys and as many keys in
// flight. onEvict, which may be nil, is called when a key is evicted before it
// expires: from then on its message could be replayed. now returns the current
// time; if nil, it is time.Now.
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

// Begin returns the state of a key, and reserves the key if it is fresh. life is
// how long the key will be remembered after Commit.
func (r *Replays) Begin(key [32]byte, life time.Duration) ReplayState {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.inFlight[key]; ok {
		return InFlight
	}
	// Peek, not Get: a replay must not keep its own key alive at the others' expense.
	if end, ok := r.seen.Peek(key); ok {
		if isBefore(r.now(), end) {
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

// addLocked remembers a key, and reports whether another one was evicted before it
// expired.
func (r *Replays) addLocked(key [32]byte, end, now time.Time) (evicted bool) {
	if r.seen.Len() >= r.capacity && !r.seen.Contains(key) {
		_, oldest, _ := r.seen.RemoveOldest()
		evicted = isBefore(now, oldest)
	}
	r.seen.Add(key, end)
	return evicted
}

// isBefore reports whether a key has not expired yet, by the monotonic clock or by the
// wall clock. If the latter is set forward, a key must be kept for as long as before; if it
// is set back, its message may be within the tolerance again.
func isBefore(now, end time.Time) bool {
	return now.Before(end) || now.Round(0).Before(end.Round(0))
}

// Abort ends a reservation without remembering its key, so that a retry passes.
func (r *Replays) Abort(key [32]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.inFlight, key)
}

// Len returns the number of committed keys, including expired ones that have not
// been dropped yet.
func (r *Replays) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.Len()
}

// Entries returns the committed keys that have not expired, the oldest first, with
// the time when each expires, so that they can be kept across a restart.
func (r *Replays) Entries() iter.Seq2[[32]byte, time.Time] {
	return func(yield func([32]byte, time.Time) bool) {
		r.mu.Lock()
		keys := r.seen.Keys()
		ends := r.seen.Values()
		r.mu.Unlock()
		now := r.now()
		for i, key := range keys {
			if isBefore(now, ends[i]) && !yield(key, ends[i]) {
				return
			}
		}
	}
}

// Restore adds a key that was committed before a restart or in another process,
// unless it has expired.
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

// ReplayKey returns the key of a message for Replays: a hash of the route, the
// scheme's name and the decoded MAC. It doesn't include the id, which may not be
// signed, nor the text of the signature, since one MAC can have several texts.
func ReplayKey(route string, m *Message) [32]byte {
	var text []byte
	for _, part := range [...][]byte{[]byte(route), []byte(m.Provider), m.MAC} {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	return sha256.Sum256(text)
}
