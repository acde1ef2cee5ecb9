package store

import "context"

// Shared is what a store may do besides: several processes, the nodes, have it
// open at once. Subscriptions that are ordered or have a rate limit are one
// node's at a time: to the others, Claim gives nothing of theirs.
type Shared interface {
	// News waits for something that the other nodes have done, and returns all
	// that has come up since the last call. ErrUnavailable: the store was closed.
	News(ctx context.Context) (News, error)
	// Yield gives subscriptions that are this node's alone to the others, since it
	// makes no more attempts. What it holds stays with it.
	Yield(ctx context.Context) error
	// Ask tells the node that alone may deliver to a subscription, if that is
	// another one, that somebody asks for it: see News.Asked.
	Ask(ctx context.Context, subscription ID) error
	// Nodes returns those that have the store open, by number.
	Nodes(ctx context.Context) ([]Node, error)
}

// Node is a process that has a shared store open.
type Node struct {
	Number int    // in its ids
	Host   string // as people know it
	Self   bool   // it is this process
	Lapsed bool   // it was not heard of for as long as its lease: others are about to take what it holds
}

// News is what the other nodes have done.
type News struct {
	// Changed: subscriptions or event types may not be what they were.
	Changed bool
	// Waits is what waits and is held by nobody, or soon will.
	Waits []Backlog
	// Asked are the subscriptions whose receiver somebody wants tried at once.
	Asked []ID
	// Lost: what this node held may be held by others now.
	Lost bool
}
