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
	// Remembered returns the keys whose time is not over at now, those that
	// are over first at the front.
	Remembered(ctx context.Context, now time.Time) ([]Remembered, error)
}

// Remembered is the key of a message, and until when it is known.
type Remembered struct {
	Key   [32]byte
	Until time.Time
}
