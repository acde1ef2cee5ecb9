// Package store defines what a store of events and deliveries must do. Package
// sqlite is the embedded store, postgres the one that several nodes share, and
// storetest the suite that both must pass.
package store

import (
	"context"
	"time"
)

// Store keeps events, subscriptions, deliveries and attempts.
//
// Every method is safe for concurrent use. When a method that writes returns
// nil, the change is on disk and survives a crash of the process or of the
// machine. When it returns an error, nothing was stored, unless the method says
// otherwise. The exception is ErrUnavailable from a store on a server: if the
// server's answer was lost, the change may have been stored. Callers may keep
// and modify the rows that are returned.
//
// Times are kept to the millisecond.
//
// Whoever takes a delivery, by Commit or Claim, holds it until it is settled or
// released. When the process that holds a delivery is gone, the delivery can be
// claimed again.
type Store interface {
	// Identity returns the number of this process among those that share the
	// store (0 if it isn't shared) and the greatest id that is stored.
	Identity(ctx context.Context) (node int, last ID, err error)

	// Commit stores a batch in one transaction, all of it or nothing, and sets
	// the Result of each publication. Callers should gather what is waiting into
	// one batch, to share the cost of a sync. Concurrent calls are allowed.
	Commit(ctx context.Context, b *Batch) error

	// Claim takes deliveries that are due at now and not held: for each
	// subscription at most Limit of them, ordered by due time, then by id. Only
	// the last one taken may bring the payloads of all to more than maxBytes. The
	// result has one answer for each want, in the same order.
	Claim(ctx context.Context, now time.Time, maxBytes int, want []Want) ([]Claimed, error)

	// Release gives up deliveries that the caller holds. They stay as they are
	// stored, and can be claimed when they are due.
	Release(ctx context.Context, ids []ID) error

	// Backlogs returns, for each subscription that has pending deliveries, when
	// the first of them is due, counting those that are held. It reads an index,
	// not the whole backlog.
	Backlogs(ctx context.Context) ([]Backlog, error)

	// Requeue makes matching deliveries due at now, whatever their state, and
	// restarts their retry schedule. It goes through them in the order of a list,
	// and changes at most q.Limit. A delivery that was due already keeps its
	// place. Deliveries of deleted subscriptions don't match, nor do those whose
	// payload was removed.
	Requeue(ctx context.Context, q Query, now time.Time) (Changed, error)

	// Replay creates deliveries of events that were published before, and returns
	// how many. It skips an event that is gone, that has lost its payload, or that
	// already has a delivery to the subscription, and all of them if the
	// subscription was deleted.
	Replay(ctx context.Context, r Replay) (int, error)

	// Discard takes matching dead letters off the lists of dead letters, in the
	// order of a list and at most q.Limit of them. Their records stay until the
	// event is removed.
	Discard(ctx context.Context, q Query) (Changed, error)

	// Bury turns pending deliveries into dead letters, except those that are
	// held, and returns them.
	Bury(ctx context.Context, b Burial) ([]*Record, error)

	// Unlogged returns at most limit dead letters that still have to be logged:
	// they come from a Batch or a Burial with Log set, of this process or one
	// that is gone, and haven't been passed to Logged.
	Unlogged(ctx context.Context, limit int) ([]ID, error)
	// Logged records that dead letters are in a log.
	Logged(ctx context.Context, ids []ID) error

	// Forget removes old events, the oldest first, with their deliveries,
	// attempts and ids, or only their payloads. It never removes an event that
	// has a pending delivery.
	Forget(ctx context.Context, f Forget) (Forgotten, error)
	// Remove removes the given events in the same way.
	Remove(ctx context.Context, r Removal) (Removed, error)

	// CreateSubscription stores a new subscription. It returns ErrConflict if its
	// ID is taken.
	CreateSubscription(ctx context.Context, s *Subscription) error
	// UpdateSubscription reads a subscription, lets change edit it and stores
	// the result, all in one transaction. If change returns an error, nothing is
	// stored, and that very error is returned.
	UpdateSubscription(ctx context.Context, id string, change func(*Subscription) error) (*Subscription, error)
	// DeleteSubscription removes a subscription from every list and erases its
	// secrets. Its deliveries stay, and still show its id and URL. What is left of
	// it goes when Forget has removed every delivery from before its deletion.
	DeleteSubscription(ctx context.Context, id string) error
	// ForgetSubscriptions removes what is left of at most limit deleted
	// subscriptions of a tenant, and returns of how many. Their deliveries then
	// name no subscription.
	ForgetSubscriptions(ctx context.Context, tenant string, limit int) (int, error)
	// Subscriptions returns all subscriptions that aren't deleted, ordered by key.
	Subscriptions(ctx context.Context) ([]*Subscription, error)

	PutEventType(ctx context.Context, t EventType) error
	DeleteEventType(ctx context.Context, name string) error
	// EventTypes returns the catalogue, ordered by name.
	EventTypes(ctx context.Context) ([]EventType, error)

	// Event returns an event by its public id, which is unique only within its
	// tenant.
	Event(ctx context.Context, tenant, id string) (*Event, error)
	// Events lists events, newest first unless q.After is set, and with payloads
	// only if q asks for them.
	Events(ctx context.Context, q Query) ([]*Event, error)
	Delivery(ctx context.Context, id ID) (*Record, error)
	// Deliveries lists deliveries, newest first unless q.After is set.
	Deliveries(ctx context.Context, q Query) ([]*Record, error)
	// Attempts returns the attempts of a delivery, from the first to the last.
	Attempts(ctx context.Context, delivery ID) ([]*Attempt, error)
	// DeliveryOf returns the delivery that an attempt belongs to.
	DeliveryOf(ctx context.Context, attempt ID) (ID, error)

	Stats(ctx context.Context) (Stats, error)

	// Close closes the store. It waits for calls that are under way; later calls
	// return ErrUnavailable.
	Close() error
}

// Forget says which events to remove.
type Forget struct {
	From         ID        // the first event to look at
	Before       time.Time // only events published before this
	KeepDead     bool      // keep events that have dead letters
	PayloadsOnly bool      // remove only payloads, and only those of PayloadUnit or more
	Limit        int       // how many events, deliveries and PayloadUnits to look at; the last event may exceed it
}

// PayloadUnit is how many bytes of payload count as much as a row.
const PayloadUnit = 4096

// Forgotten is the result of a Forget.
type Forgotten struct {
	Events int   // how many were removed, or lost their payload
	Next   ID    // the first event that was beyond the limit, 0 if there is none
	Used   int64 // bytes of the store that are in use now
	Busy   bool  // another process is removing events, and this call did nothing
}

// Removal says which events to remove.
type Removal struct {
	Events  []ID // by key
	Pending bool // remove events with pending deliveries too, unless one of them is held
	Limit   int  // as in Forget
}

// Removed is the result of a Remove.
type Removed struct {
	Count int  // how many events were removed
	Kept  []ID // events that stay because a delivery is pending
	Rest  []ID // events that were beyond the limit
}

// Replay says which deliveries to create.
type Replay struct {
	Subscription ID
	Due          time.Time
	Events       []ID // by key
	Deliveries   []ID // unused ids, one for each event
}

// Burial says which deliveries to turn into dead letters.
type Burial struct {
	Subscription ID
	Delivery     ID // if set, only this one
	Reason       string
	Limit        int
	Log          bool // the dead letters are to be logged
}

// Batch is what Commit stores in one transaction.
type Batch struct {
	Publications []*Publication
	Settlements  []*Settlement
	Log          bool // dead letters among the settlements are to be logged
}

// Publication is an event to store with its deliveries.
type Publication struct {
	Event *Event
	// Chosen: the publisher chose the event's ID, which must then be unique
	// within its tenant.
	Chosen     bool
	Deliveries []NewDelivery
	// Tells is the delivery whose death this event announces, or 0. If the
	// settlement of that delivery in the same batch is skipped, the event isn't
	// stored.
	Tells ID

	Result PublishResult // set by Commit
}

// NewDelivery is a delivery to create together with its event.
type NewDelivery struct {
	ID           ID
	Subscription ID
	Due          time.Time
	Hold         bool // the caller takes it at once
	Ordered      bool // it comes after everything the subscription has, even if another process's clock is ahead
}

// PublishResult is what became of a publication.
type PublishResult struct {
	Outcome    Outcome
	Deliveries int // of the stored event, whether it is this one or an earlier one
}

// Outcome is what Commit did with a publication.
type Outcome uint8

// The outcomes of a publication. Only Stored has changed anything.
const (
	Stored    Outcome = iota
	Duplicate         // the same event is stored already: same id, type, content type, and payload unless that was removed
	Reused            // a different event with that id is stored already
	Untold            // the death that it Tells did not happen
)

// Settlement is the end of an attempt: its record, and what comes next for the
// delivery, which is no longer held. Storing it twice has the same effect as
// once. It is skipped if another process has taken the delivery meanwhile.
type Settlement struct {
	Delivery ID
	Attempt  *Attempt
	State    State
	Due      time.Time // of the next attempt, if State is Pending
	Reason   string    // if State is Dead
	Round    int       // the delivery's new Round, if that is greater than the stored one

	Passed bool // set by Commit: it was skipped
}

// Want asks for deliveries of one subscription.
type Want struct {
	Subscription ID
	Limit        int
	// Ahead also asks for deliveries that aren't due yet, and only for those
	// behind After.
	Ahead bool
	After Place
}

// Place is a position in the order in which deliveries are claimed.
type Place struct {
	Due time.Time
	ID  ID
}

// Claimed is the answer to a Want.
type Claimed struct {
	Deliveries []*Held
	// Next is when the first delivery that was left behind, and that nobody
	// holds, is due. It is in the past if the limit or maxBytes cut the answer
	// short, and zero if nothing is left. It may miss what was stored, settled or
	// released during the call.
	Next time.Time
}

// Backlog is when the first pending delivery of a subscription is due.
type Backlog struct {
	Subscription ID
	Due          time.Time
}

// Changed is the result of Requeue or Discard.
type Changed struct {
	Count         int
	Last          ID   // the last delivery looked at, the cursor to continue from
	More          bool // the limit was reached: there may be more
	Subscriptions []ID // the keys of the deliveries' subscriptions
}

// Query selects rows of a list. Zero fields select everything.
type Query struct {
	Event        ID // by key
	EventID      string
	Delivery     ID
	Subscription string // its public id
	EventType    string // a name, or a prefix that ends in ".*"
	Tenant       string
	Published    bool   // leave out the events that the engine publishes about itself
	Within       string // limit to what this tenant may see: its events, and of their deliveries those to its own subscriptions
	States       []State
	Since, Until time.Time // when the row was made: from Since on, before Until
	Before       ID        // cursor: only rows older than this one
	After        ID        // cursor for a list that is oldest first, which setting it asks for
	Limit        int
	Payload      bool // with payloads

	// When the last attempt was made (from FailedSince on, before FailedUntil),
	// and its class and status. Deliveries without an attempt don't match.
	FailedSince, FailedUntil time.Time
	Class                    string
	Status                   int
}

// Stats are figures for an operator.
type Stats struct {
	Pending int64        // pending deliveries, counting those that are held
	Waiting map[ID]int64 // Pending by subscription key, without zeros
	Dead    int64        // dead letters
	DeadBy  map[ID]int64 // Dead by subscription key, without zeros
	Bytes   int64        // on disk
	Path    string       // where the store is, without credentials
}
