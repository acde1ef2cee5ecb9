package selects

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Millis is how the stores keep a time, and 0 the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromMillis reads it.
func FromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// Given is the size for JSON of a list that may be empty, and 0 where there is none.
func Given(delays []time.Duration) int {
	if delays == nil {
		return 0
	}
	return 1
}

// JSON is how they keep a map or list, and "" an empty one.
func JSON(v any, size int) string {
	if size == 0 {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only maps and lists of strings and numbers come here
	}
	return string(b)
}

// NotNil keeps bytes from being NULL.
func NotNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// EventID is the public id of an event: what its publisher chose, or its key.
func EventID(chosen string, key store.ID) string {
	return cmp.Or(chosen, key.With(store.EventPrefix))
}
