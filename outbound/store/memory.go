package store

import (
	"context"
	"time"
)

// Memory is what a store may do besides: it keeps the keys of inbound messages
// over a restart, so that none is taken for new again.
type Memory interface {
	// Remember stores keys, and drops those whose time was over at now.
	Remember(ctx context.Context, now time.Time, keys []Remembered) error
	// Remembered returns the keys whose time is not over at now, at most so many:
	// those that are over last, which come last.
	Remembered(ctx context.Context, now time.Time, most int) ([]Remembered, error)
}

// SharedMemory is the Memory of a store that several nodes have open.
type SharedMemory interface {
	Memory
	// Follow has f called, from now on and until the store is closed, with the
	// keys that the other nodes store, as soon as they have; with those that
	// Remembered returns whenever some may have been missed. f must be quick.
	Follow(most int, f func([]Remembered))
}

// Remembered is the key of a message, and until when it is known.
type Remembered struct {
	Key   [32]byte
	Until time.Time
}
