package store

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

// ID is the key of an event, a delivery, an attempt or a subscription: 42 bits
// of Unix milliseconds, 13 of sequence, 8 of node. Ids grow with time, so that
// rows are appended to their tables and a span of time is a range of keys.
type ID int64

const (
	nodeBits     = 8
	sequenceBits = 13
	timeShift    = nodeBits + sequenceBits
	lastMilli    = 1<<(63-timeShift) - 1 // in the year 2109

	// MaxNodes is how many nodes can share a store.
	MaxNodes = 1 << nodeBits
)

// The prefixes of public ids.
const (
	EventPrefix        = "evt_"
	SubscriptionPrefix = "sub_"
	DeliveryPrefix     = "dlv_"
	AttemptPrefix      = "att_"
)

// String returns 16 hexadecimal digits, which sort like the ids.
func (id ID) String() string { return id.With("") }

// With returns the public form of an id, such as evt_0199d3c2a4e00001.
func (id ID) With(prefix string) string {
	var b [16]byte
	const digits = "0123456789abcdef"
	for i, v := len(b)-1, uint64(id); i >= 0; i, v = i-1, v>>4 {
		b[i] = digits[v&15]
	}
	return prefix + string(b[:])
}

// Time returns when the id was made, to the millisecond.
func (id ID) Time() time.Time { return time.UnixMilli(int64(id) >> timeShift) }

// IDAt returns the smallest id that could have been made at t or later. A time
// outside the range of ids counts as the nearest one inside.
func IDAt(t time.Time) ID { return ID(min(max(t.UnixMilli(), 0), lastMilli) << timeShift) }

// Younger is a margin, the ids of an hour: an id plus Younger is greater than any
// that was being made at the same time, on whatever node.
const Younger = ID(60*60*1000) << timeShift

// ParseID parses the public form that With returns. It reports false for
// anything else, such as an event id that the publisher chose.
func ParseID(prefix, s string) (ID, bool) {
	hex, ok := strings.CutPrefix(s, prefix)
	if !ok || len(hex) != 16 || strings.ToLower(hex) != hex {
		return 0, false
	}
	v, err := strconv.ParseUint(hex, 16, 63)
	if err != nil || v == 0 { // no id is 0, which in a Query means any
		return 0, false
	}
	return ID(v), true
}

// IDs makes the ids of one node. They only ever grow, even when the clock is
// set back. It is safe for concurrent use.
type IDs struct {
	node ID
	now  func() time.Time

	mu   sync.Mutex
	last ID
}

// NewIDs returns a generator of ids for a node, all greater than last.
func NewIDs(node int, last ID, now func() time.Time) *IDs {
	return &IDs{node: ID(node) & (MaxNodes - 1), last: last >> nodeBits, now: now}
}

// Next returns a new id.
func (g *IDs) Next() ID {
	at := ID(g.now().UnixMilli()) << sequenceBits
	g.mu.Lock()
	g.last = max(g.last+1, at)
	id := g.last
	g.mu.Unlock()
	return id<<nodeBits | g.node
}

// Last returns the newest id that this generator knows of.
func (g *IDs) Last() ID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last<<nodeBits | g.node
}
