package api

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// timestamp is written as RFC 3339 in UTC, to the millisecond, and as null
// where there is none.
type timestamp time.Time

const timestampForm = "2006-01-02T15:04:05.000Z07:00"

func (t timestamp) MarshalJSON() ([]byte, error) {
	v := time.Time(t)
	if v.IsZero() {
		return []byte("null"), nil
	}
	return v.UTC().AppendFormat(make([]byte, 0, 26), `"`+timestampForm+`"`), nil
}

// milliseconds is a duration in whole ones.
func milliseconds(d time.Duration) int64 { return d.Round(time.Millisecond).Milliseconds() }

// duration is written as in "30s" or "2h".
type duration time.Duration

func (d duration) MarshalJSON() ([]byte, error) {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return json.Marshal(s)
}

// durations are null where there are none, which is not an empty list of them.
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

// readDuration reads a duration; null is 0.
func readDuration(field string, value []byte, to *time.Duration) error {
	var s string
	if err := readString(field, value, &s); err != nil || isNull(value) {
		return err
	}
	d, err := caddy.ParseDuration(s)
	if err != nil || d <= 0 {
		return invalidField(field, `has %s, which is no duration: write one as in "30s", "5m" or "2h"`, quote(s))
	}
	*to = d
	return nil
}

// readDurations reads a list of them; null is nil.
func readDurations(field string, value []byte, to *[]time.Duration) error {
	var list []json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return invalidField(field, `must be a list of durations, as in ["5s", "5m", "2h"]`)
	}
	if list == nil {
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
