package payload

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	// readingRoom is how many bytes of payloads are read into values at the same
	// time. The values take some twenty times as much memory.
	readingRoom = 8 << 20
	// tenantRoom is how much of that one tenant may take. Its payloads wait for one
	// another, so that its slow filters leave the rest to others.
	tenantRoom = readingRoom / 2
	// smallPayload is the size, in bytes, up to which a payload needs no room.
	smallPayload = 16 << 10
)

var (
	reading = semaphore.NewWeighted(readingRoom)
	shares  = tenantShares{of: map[string]*share{}}
)

// tenantShares has the shares of the room that are in use, by tenant.
type tenantShares struct {
	mu sync.Mutex
	of map[string]*share
}

// share is the room of one tenant.
type share struct {
	*semaphore.Weighted
	users int // that are in it or wait for it
}

// enter waits until there is room to read a tenant's payload of size bytes: first in
// the tenant's share, so that what waits for that isn't in the way of others. The
// caller calls leave when the values are no longer needed. It returns ctx's error.
func enter(ctx context.Context, tenant string, size int) (leave func(), err error) {
	if size <= smallPayload {
		return func() {}, nil
	}
	own, all := min(int64(size), tenantRoom), min(int64(size), readingRoom)
	s := shares.join(tenant)
	if err := s.Acquire(ctx, own); err != nil {
		shares.leave(tenant, s)
		return nil, err
	}
	if err := reading.Acquire(ctx, all); err != nil {
		s.Release(own)
		shares.leave(tenant, s)
		return nil, err
	}
	return func() {
		reading.Release(all)
		s.Release(own)
		shares.leave(tenant, s)
	}, nil
}

// join returns the share of a tenant, which it keeps until leave.
func (t *tenantShares) join(tenant string) *share {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of[tenant]
	if s == nil {
		s = &share{Weighted: semaphore.NewWeighted(tenantRoom)}
		t.of[tenant] = s
	}
	s.users++
	return s
}

func (t *tenantShares) leave(tenant string, s *share) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(t.of, tenant)
	}
}

// processors is how many transforms are applied at the same time. More would use up
// each other's time, and each takes many times its payload's memory.
var processors = int64(runtime.GOMAXPROCS(0))

var transforming = semaphore.NewWeighted(processors)
