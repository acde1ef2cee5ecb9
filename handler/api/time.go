package api

import "time"

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
