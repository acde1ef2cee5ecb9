package store

import "context"

// Shared is an optional interface of a store that several processes, the nodes,
// have open at once. Only one node at a time, the owner, delivers to a
// subscription that is ordered, or has a rate limit or a handshake; the others'
// Claim returns nothing for it.
type Shared interface {
	// News waits until other nodes have done something, and returns all that has
	// come up since the last call. It returns ErrUnavailable when the store is
	// closed.
	News(ctx context.Context) (News, error)
	// Yield gives up the ownership of subscriptions, because this node makes no
	// more attempts. The deliveries that it holds stay with it.
	Yield(ctx context.Context) error
	// Ask tells the owner of a subscription, if that is another node, that its
	// receiver should be tried at once: see News.Asked.
	Ask(ctx context.Context, subscription ID) error
	// Nodes returns the nodes that have the store open, ordered by number.
	Nodes(ctx context.Context) ([]Node, error)
}

// Node is a process that has a shared store open.
type Node struct {
	Number int    // as in the ids that it makes
	Host   string // its name for people
	Self   bool   // it is this process
	Lapsed bool   // its lease has expired, and others are about to take what it holds
}

// News is what other nodes have done.
type News struct {
	// Changed: subscriptions or event types may have changed.
	Changed bool
	// Waits are the subscriptions with deliveries that wait and that nobody
	// holds, now or soon.
	Waits []Backlog
	// Asked are the subscriptions whose receiver should be tried at once.
	Asked []ID
	// Lost: other nodes may hold what this node held.
	Lost bool
}
