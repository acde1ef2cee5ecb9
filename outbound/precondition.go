package outbound

import (
	"context"
	"sync/atomic"
	"time"
)

// precondition is what the attempts of a subscription need before they can be made,
// such as an access token. One request at a time is made for it, and the result of the
// last one is cached.
type precondition[T any] struct {
	last atomic.Pointer[result[T]]
	sem  chan struct{} // held over a request
}

// result is what came of a request.
type result[T any] struct {
	value T
	until time.Time // when to make the next request; zero if this one failed
	outcome
}

func (r *result[T]) valid(at time.Time) bool { return r != nil && at.Before(r.until) }

func newPrecondition[T any]() precondition[T] {
	return precondition[T]{sem: make(chan struct{}, 1)}
}

// get returns the cached result if it is valid at that time, or else that of a request.
// Everyone who waited for a request gets its result, even a failure: if each made a
// request of its own, a slow server would get as many as there are attempts.
func (p *precondition[T]) get(ctx context.Context, at time.Time, request func() *result[T]) *result[T] {
	cached := p.last.Load()
	if cached.valid(at) {
		return cached
	}
	select {
	case p.sem <- struct{}{}:
		defer func() { <-p.sem }()
	case <-ctx.Done():
		return &result[T]{outcome: failure(ctx.Err())}
	}
	if came := p.last.Load(); came != nil && came != cached {
		return came
	}
	r := request()
	p.last.Store(r)
	return r
}
