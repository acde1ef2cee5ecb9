package verify

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that is a string such as "5m0s" in JSON. It is read from
// such a string, which may have days ("1d12h"), or from a number of nanoseconds.
type Duration time.Duration

func seconds(n int) Duration { return Duration(time.Duration(n) * time.Second) }

func minutes(n int) Duration { return 60 * seconds(n) }

func hours(n int) Duration { return 60 * minutes(n) }

// days matches the days in a duration string.
var days = regexp.MustCompile(`[0-9.]+d`)

// MarshalJSON writes the duration as a string.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// UnmarshalJSON reads a duration string or a number of nanoseconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var n int64
	if err := json.Unmarshal(b, &n); err == nil {
		*d = Duration(n)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("reading a duration: want a string such as \"5m\" or nanoseconds, not %s", b)
	}
	v, err := time.ParseDuration(days.ReplaceAllStringFunc(s, func(n string) string {
		f, err := strconv.ParseFloat(strings.TrimSuffix(n, "d"), 64)
		if err != nil {
			return n // for time.ParseDuration to refuse
		}
		return strconv.FormatFloat(24*f, 'f', -1, 64) + "h"
	}))
	if err != nil {
		return fmt.Errorf("reading a duration: %w; write it as 5m, 1h30m or 2d", err)
	}
	*d = Duration(v)
	return nil
}
