package store

import (
	"context"
	"time"
)

// Memory is an optional interface of a store: it keeps the keys of inbound
// messages across restarts, so that a replay is still recognised.
type Memory interface {
	// Remember stores keys, and drops those that have expired at now.
	Remember(ctx context.Context, now time.Time, keys []Remembered) error
	// Remembered returns the keys that haven't expired at now, ordered by expiry.
	// If there are more than most, it returns those that expire last.
	Remembered(ctx context.Context, now time.Time, most int) ([]Remembered, error)
}

// SharedMemory is the Memory of a store that several nodes share.
type SharedMemory interface {
	Memory
	// Follow calls f, until the store is closed, with the keys that other nodes
	// store, as soon as they have stored them. Whenever some may have been missed,
	// it calls f with what Remembered returns for most. f must be quick.
	Follow(most int, f func([]Remembered))
}

// Remembered is the key of a message, and when it expires.
type Remembered struct {
	Key   [32]byte
	Until time.Time
}
