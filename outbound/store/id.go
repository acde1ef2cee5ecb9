package store

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

// ID is the key of an event, a delivery or an attempt. It grows with time, so
// that rows are appended to their tables and a span of time is a range of
// keys: 42 bits of Unix milliseconds, 13 of sequence, 8 of node.
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

// String returns 16 hexadecimal digits, which sort as the ids do.
func (id ID) String() string { return id.With("") }

// With returns the public form, as in evt_0199d3c2a4e00001.
func (id ID) With(prefix string) string {
	var b [16]byte
	const digits = "0123456789abcdef"
	for i, v := len(b)-1, uint64(id); i >= 0; i, v = i-1, v>>4 {
		b[i] = digits[v&15]
	}
	return prefix + string(b[:])
}

// Time is when the id was made, to the millisecond.
func (id ID) Time() time.Time { return time.UnixMilli(int64(id) >> timeShift) }

// IDAt is the smallest id that could have been made at t or later. Of a time
// that ids can't hold it is the first or the last one's.
func IDAt(t time.Time) ID { return ID(min(max(t.UnixMilli(), 0), lastMilli) << timeShift) }

// Younger is by how much an id is greater than all that were being made when another
// one was: those of an hour.
const Younger = ID(60*60*1000) << timeShift

// ParseID reads the public form made by With. It reports false for anything
// else, such as an event id that its publisher chose.
func ParseID(prefix, s string) (ID, bool) {
	hex, ok := strings.CutPrefix(s, prefix)
	if !ok || len(hex) != 16 || strings.ToLower(hex) != hex {
		return 0, false
	}
	v, err := strconv.ParseUint(hex, 16, 63)
	if err != nil || v == 0 { // no id is 0: it stands for any in a Query
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

// NewIDs makes ids for a node, all greater than last.
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

// Last is the newest id that there is, for all that is known here.
func (g *IDs) Last() ID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last<<nodeBits | g.node
}
