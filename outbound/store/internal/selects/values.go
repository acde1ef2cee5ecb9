package selects

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Millis converts a time to what the stores keep, Unix milliseconds, with 0 for
// the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromMillis is the inverse of Millis.
func FromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// JSON encodes v for a column, or returns "" if it is not set.
func JSON(v any, set bool) string {
	if !set {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it's made of strings, numbers and times only
	}
	return string(b)
}

// NotNil returns b, or an empty slice for nil, which would be stored as NULL.
func NotNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// EventID returns the public id of an event: the one that its publisher chose,
// or else its key's.
func EventID(chosen string, key store.ID) string {
	return cmp.Or(chosen, key.With(store.EventPrefix))
}
