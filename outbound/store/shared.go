package store

import "context"

// Shared is what a store may do besides: several processes, the nodes, have it
// open at once. Subscriptions that are ordered or have a rate limit are one
// node's at a time: to the others, Claim gives nothing of theirs.
type Shared interface {
	// News waits for something that the other nodes have done, and returns all
	// that has come up since the last call. ErrUnavailable: the store was closed.
	News(ctx context.Context) (News, error)
}

// News is what the other nodes have done.
type News struct {
	// Changed: subscriptions or event types may not be what they were.
	Changed bool
	// Waits is what waits and is held by nobody, or soon will.
	Waits []Backlog
	// Lost: what this node held may be held by others now.
	Lost bool
}
