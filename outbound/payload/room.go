package payload

import (
	"context"
	"runtime"

	"golang.org/x/sync/semaphore"
)

const (
	// readingRoom is how many bytes of payloads are read into values at the same
	// time. The values take some twenty times as much memory.
	readingRoom = 8 << 20
	// smallPayload is the size, in bytes, up to which a payload needs no room.
	smallPayload = 16 << 10
)

var reading = semaphore.NewWeighted(readingRoom)

// enter waits until there is room to read a payload of size bytes. The caller
// calls leave when the values are no longer needed. It returns ctx's error.
func enter(ctx context.Context, size int) (leave func(), err error) {
	if size <= smallPayload {
		return func() {}, nil
	}
	n := min(int64(size), readingRoom)
	if err := reading.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { reading.Release(n) }, nil
}

// processors is how many transforms are applied at the same time. More would use up
// each other's time, and each takes many times its payload's memory.
var processors = int64(runtime.GOMAXPROCS(0))

var transforming = semaphore.NewWeighted(processors)
