package api

import (
	"encoding/json"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// timestamp is a time that is written as in RFC 3339, in UTC and to the millisecond.
// The zero time is written as null.
type timestamp time.Time

func (t timestamp) MarshalJSON() ([]byte, error) {
	v := time.Time(t)
	if v.IsZero() {
		return []byte("null"), nil
	}
	return v.UTC().AppendFormat(make([]byte, 0, 26), `"2006-01-02T15:04:05.000Z07:00"`), nil
}

// duration is written as in "30s" or "2h".
type duration time.Duration

func (d duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(outbound.FormatDuration(time.Duration(d)))
}

// durations converts a list of durations. A nil list stays nil, which is null in
// JSON, and not an empty list.
func durations(ds []time.Duration) []duration {
	if ds == nil {
		return nil
	}
	out := make([]duration, len(ds))
	for i, d := range ds {
		out[i] = duration(d)
	}
	return out
}

// readDuration reads a duration, which must be positive. Null is 0.
func readDuration(field string, value []byte, to *time.Duration) error {
	*to = 0
	var s string
	if err := readString(field, value, &s); err != nil || isNull(value) {
		return err
	}
	d, err := caddy.ParseDuration(s)
	if err != nil || d <= 0 {
		return invalidField(field, `has %s, which is not a positive duration: write one as in "30s", "5m" or "2h"`, quote(s))
	}
	*to = d
	return nil
}

// readDurations reads a list of durations. Null is nil.
func readDurations(field string, value []byte, to *[]time.Duration) error {
	var list []json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return invalidField(field, `must be a list of durations, as in ["5s", "5m", "2h"]`)
	}
	if *to = nil; list == nil {
		return nil
	}
	*to = make([]time.Duration, len(list))
	for i, v := range list {
		if err := readDuration(field, v, &(*to)[i]); err != nil {
			return err
		}
	}
	return nil
}
