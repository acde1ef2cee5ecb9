// Package store says what a store of events and deliveries must do. Package
// sqlite is the embedded one and postgres the one that nodes share; storetest is
// the suite that each must pass.
package store

import (
	"context"
	"time"
)

// Store keeps events, subscriptions, deliveries and attempts.
//
// Every method is safe for concurrent use. A nil error from a method that
// writes means that the change is on disk and survives a crash of the process
// or of the machine; any error means that nothing of it was stored, unless
// the method says otherwise, or it is ErrUnavailable since a server's answer was
// lost. Rows that are returned belong to the caller.
//
// Times are kept to the millisecond.
//
// Deliveries are held by whoever took them, by Commit or Claim, until they
// are settled or released. When the process that holds a delivery is gone, the
// delivery is there to be claimed again.
type Store interface {
	// Identity gives this process's number among those that share the store
	// (0 where nobody does) and the greatest id that is stored.
	Identity(ctx context.Context) (node int, last ID, err error)

	// Commit stores a batch in one transaction: all of it or nothing. It sets
	// the Result of each publication. Callers gather what is waiting into one
	// batch, so that the cost of a sync is shared; concurrent calls are
	// allowed.
	Commit(ctx context.Context, b *Batch) error

	// Claim takes deliveries that are due at now and not held, per
	// subscription at most Limit of them, in the order of their due time, then
	// of their id. Together the payloads may exceed maxBytes only by the last
	// one taken. There is one answer for each want, in the same order.
	Claim(ctx context.Context, now time.Time, maxBytes int, want []Want) ([]Claimed, error)

	// Release gives up holding deliveries. They stay as they are stored, to be
	// claimed when they are due.
	Release(ctx context.Context, ids []ID) error

	// Backlogs tells, for each subscription that has pending deliveries, when
	// the first of them is due, held ones included. It reads an index and not
	// the backlog.
	Backlogs(ctx context.Context) ([]Backlog, error)

	// Requeue makes the deliveries that match due at now, whatever their
	// state, in the order of a list and at most q.Limit of them, and starts their
	// schedule anew. One that was due already keeps its place. Those of deleted
	// subscriptions don't match, nor do those whose payload was removed.
	Requeue(ctx context.Context, q Query, now time.Time) (Changed, error)

	// Replay makes deliveries of events that were published before, and returns how
	// many. An event is passed over that is gone, has no payload any more, or has a
	// delivery to the subscription; all are where that was deleted.
	Replay(ctx context.Context, r Replay) (int, error)

	// Discard takes dead letters that match off the lists of dead letters, in the
	// order of a list and at most q.Limit of them. They stay as a record until
	// their event is removed.
	Discard(ctx context.Context, q Query) (Changed, error)

	// Bury makes dead letters of pending deliveries, held ones excepted, and
	// returns them.
	Bury(ctx context.Context, b Burial) ([]*Record, error)

	// Unlogged returns the dead letters, at most limit of them, that a Batch or a
	// Burial with Log has made, in this process or in one that is gone, and that
	// Logged hasn't been told of since.
	Unlogged(ctx context.Context, limit int) ([]ID, error)
	// Logged says that they are in a log.
	Logged(ctx context.Context, ids []ID) error

	// Forget removes old events with their deliveries and attempts, and their
	// ids, or just their payloads: the oldest first, those with a pending delivery
	// never.
	Forget(ctx context.Context, f Forget) (Forgotten, error)
	// Remove removes events, likewise.
	Remove(ctx context.Context, r Removal) (Removed, error)

	// CreateSubscription stores a new subscription. ErrConflict: its ID is
	// taken.
	CreateSubscription(ctx context.Context, s *Subscription) error
	// UpdateSubscription reads a subscription, lets change edit it and stores
	// it, in one transaction. An error from change ends it with nothing
	// stored, and is returned as it is.
	UpdateSubscription(ctx context.Context, id string, change func(*Subscription) error) (*Subscription, error)
	// DeleteSubscription removes a subscription from every list and drops its
	// secrets. Its deliveries stay, and still name it and its URL; when Forget has
	// removed all that aren't younger, that is gone too.
	DeleteSubscription(ctx context.Context, id string) error
	// ForgetSubscriptions removes what is left of a tenant's deleted subscriptions,
	// of at most limit of them, and returns of how many. Their deliveries name none
	// then.
	ForgetSubscriptions(ctx context.Context, tenant string, limit int) (int, error)
	// Subscriptions returns all that are not deleted, by key.
	Subscriptions(ctx context.Context) ([]*Subscription, error)

	PutEventType(ctx context.Context, t EventType) error
	DeleteEventType(ctx context.Context, name string) error
	// EventTypes returns the catalogue by name.
	EventTypes(ctx context.Context) ([]EventType, error)

	// Event returns an event by its public id. An id is unique in its tenant
	// only.
	Event(ctx context.Context, tenant, id string) (*Event, error)
	// Events lists events, newest first unless q has After, without payloads unless
	// asked for.
	Events(ctx context.Context, q Query) ([]*Event, error)
	Delivery(ctx context.Context, id ID) (*Record, error)
	// Deliveries lists deliveries, newest first unless q has After.
	Deliveries(ctx context.Context, q Query) ([]*Record, error)
	// Attempts returns the attempts of a delivery, first to last.
	Attempts(ctx context.Context, delivery ID) ([]*Attempt, error)
	// DeliveryOf returns the delivery that an attempt belongs to.
	DeliveryOf(ctx context.Context, attempt ID) (ID, error)

	Stats(ctx context.Context) (Stats, error)

	// Close ends the store. Calls under way are finished; later ones return
	// ErrUnavailable.
	Close() error
}

// Forget says which events to remove.
type Forget struct {
	From         ID        // go on with this event
	Before       time.Time // published before
	KeepDead     bool      // leave events that have dead letters
	PayloadsOnly bool      // and all but payloads of PayloadUnit or more
	Limit        int       // look at so many events, deliveries and PayloadUnits, the last event excepted
}

// PayloadUnit is how many bytes of payload weigh as much as a row.
const PayloadUnit = 4096

// Forgotten is what a Forget has done.
type Forgotten struct {
	Events int   // that were removed, or whose payload was
	Next   ID    // the first one that there was no room to look at, 0 for none
	Used   int64 // bytes of the store that are in use, now
	Busy   bool  // another process is at it: nothing was looked at
}

// Removal says which events to remove.
type Removal struct {
	Events  []ID // by key
	Pending bool // also those with pending deliveries, unless one is held
	Limit   int  // as Forget's
}

// Removed is what a Remove has done.
type Removed struct {
	Count int  // of the events
	Kept  []ID // those that stay, since a delivery is pending
	Rest  []ID // those that there was no room to look at
}

// Replay says which deliveries to make.
type Replay struct {
	Subscription ID
	Due          time.Time
	Events       []ID // by key
	Deliveries   []ID // one for each, not taken yet
}

// Burial says which deliveries to make dead letters of.
type Burial struct {
	Subscription ID
	Delivery     ID // that one alone, if it is given
	Reason       string
	Limit        int
	Log          bool // they are to be logged
}

// Batch is what Commit stores in one transaction.
type Batch struct {
	Publications []*Publication
	Settlements  []*Settlement
	Log          bool // the dead letters among the settlements are to be logged
}

// Publication is an event to store with its deliveries.
type Publication struct {
	Event *Event
	// Chosen: the publisher chose the event's ID, which must then be unique in
	// its tenant.
	Chosen     bool
	Deliveries []NewDelivery
	// Tells is a delivery whose death the event tells of, or 0. Where what the
	// same batch settles of that is passed over, the event isn't stored.
	Tells ID

	Result PublishResult // set by Commit
}

// NewDelivery is a delivery to be made with its event.
type NewDelivery struct {
	ID           ID
	Subscription ID
	Due          time.Time
	Hold         bool // it is taken at once
	Ordered      bool // it comes behind what the subscription has, also by another process's clock
}

// PublishResult tells what became of a publication.
type PublishResult struct {
	Outcome    Outcome
	Deliveries int // of the event that is stored: new or first
}

// Outcome of a publication.
type Outcome uint8

// The outcomes of a publication. Only Stored has changed anything.
const (
	Stored    Outcome = iota
	Duplicate         // an event with that id, type and content type is there, and that payload, unless it was removed
	Reused            // an event with that id is there, and it is another one
	Untold            // what it Tells has not come about
)

// Settlement is the end of an attempt: its record, and what is next for the
// delivery, which is no longer held. Storing it twice is as good as once. It is
// passed over where another process has taken the delivery meanwhile.
type Settlement struct {
	Delivery ID
	Attempt  *Attempt
	State    State
	Due      time.Time // of the next attempt, where State is Pending
	Reason   string    // where State is Dead
	Round    int       // the delivery's from now on, where that is more than it was

	Passed bool // set by Commit: it was passed over
}

// Want asks for deliveries of one subscription.
type Want struct {
	Subscription ID
	Limit        int
	// Ahead asks for those that aren't due too, as far as they come behind After.
	Ahead bool
	After Place
}

// Place is a delivery's in the order in which they are claimed.
type Place struct {
	Due time.Time
	ID  ID
}

// Claimed answers a Want.
type Claimed struct {
	Deliveries []*Held
	// Next is when the first of those left behind and not held is due, which is
	// in the past where the limit or maxBytes cut the answer; zero where none
	// is left. It may not know of what was stored, settled or released during
	// the call.
	Next time.Time
}

// Backlog of a subscription.
type Backlog struct {
	Subscription ID
	Due          time.Time
}

// Changed tells what Requeue or Discard did.
type Changed struct {
	Count         int
	Last          ID   // the last that was looked at, the cursor for what is left
	More          bool // the limit was reached: there may be some left
	Subscriptions []ID // their subscriptions' keys
}

// Query selects rows of a list. Zero fields select everything.
type Query struct {
	Event        ID // by key
	EventID      string
	Delivery     ID
	Subscription string // its public id
	EventType    string // a name, or a prefix that ends in ".*"
	Tenant       string
	Published    bool   // none that the engine has published about itself
	Within       string // a tenant who sees these rows alone: its events, and of those the deliveries to its subscriptions
	States       []State
	Since, Until time.Time // when it was made: from Since on, before Until
	Before       ID        // the cursor: rows older than this one
	After        ID        // the cursor where rows are listed oldest first, which it asks for
	Limit        int
	Payload      bool // with payloads

	// When the last attempt was made, likewise, and what came of it. Those without one
	// don't match.
	FailedSince, FailedUntil time.Time
	Class                    string
	Status                   int
}

// Stats are figures for an operator.
type Stats struct {
	Pending int64        // deliveries waiting, held ones included
	Waiting map[ID]int64 // these by their subscription's key, where there are any
	Dead    int64        // dead letters
	DeadBy  map[ID]int64 // these likewise
	Bytes   int64        // on disk
	Path    string       // where it is, without credentials
}
