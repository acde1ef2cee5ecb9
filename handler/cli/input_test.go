package cli

import (
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	tool := &tool{now: func() time.Time { return now }, zone: time.FixedZone("", 3600)}
	for text, want := range map[string]time.Time{
		"2026-01-31T15:04:05Z":         now,
		"2026-01-31T15:04:05.5+00:00":  now.Add(500 * time.Millisecond),
		"2026-01-31 16:04:05":          now,
		"2026-01-31 16:04":             now.Add(-5 * time.Second),
		"2026-01-31T16:04":             now.Add(-5 * time.Second),
		"2026-01-31":                   time.Date(2026, 1, 30, 23, 0, 0, 0, time.UTC),
		"1769871845":                   now,
		"90m":                          now.Add(-90 * time.Minute),
		"7d":                           now.Add(-7 * 24 * time.Hour),
		"noon":                         {},
		"":                             {},
		"2026-13-31":                   {},
		strings.Repeat("9", 100) + "x": {},
	} {
		got, err := tool.parseTime(text)
		if (err != nil) != want.IsZero() || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
}
