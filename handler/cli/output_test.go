package cli

import (
	"strings"
	"testing"
	"time"
)

func TestWhen(t *testing.T) {
	tool := &tool{now: func() time.Time { return now }, zone: time.FixedZone("", 3600)}
	for ago, want := range map[time.Duration]string{
		0:                       "2026-01-31 16:04:05 (now)",
		400 * time.Millisecond:  "2026-01-31 16:04:04 (now)",
		-400 * time.Millisecond: "2026-01-31 16:04:05 (now)",
		59 * time.Second:        "2026-01-31 16:03:06 (59s ago)",
		90 * time.Minute:        "2026-01-31 14:34:05 (1h ago)",
		47 * time.Hour:          "2026-01-29 17:04:05 (47h ago)",
		72 * time.Hour:          "2026-01-28 16:04:05 (3d ago)",
		-5 * time.Minute:        "2026-01-31 16:09:05 (in 5m)",
		-24*time.Hour + 1:       "2026-02-01 16:04:04 (in 24h)",
	} {
		if got := tool.when(now.Add(-ago)); got != want {
			t.Errorf("%v ago: got %q, want %q", ago, got, want)
		}
	}
	if got := tool.when(time.Time{}); got != nothing {
		t.Errorf("no time: got %q", got)
	}
}

func TestCell(t *testing.T) {
	for text, want := range map[string]string{
		"":               nothing,
		" \t":            nothing,
		"plain":          "plain",
		"exactly ten":    "exactly t…",
		"1234567890":     "1234567890",
		"ünïcödé ☃ snow": "ünïcödé ☃…",
		"a\nb\tc":        "a b c",
		"a\x1b[31mb":     "a\uFFFD[31mb",
		"\u202egnp":      "\uFFFDgnp", // a control character that reverses the direction of text
		"a\xffb":         "a\uFFFDb",
	} {
		if got := cell(text, 10); got != want {
			t.Errorf("cell(%q): got %q, want %q", text, got, want)
		}
	}
}

// Columns are aligned where text is wider, or narrower, than it has characters.
func TestTableOfWideText(t *testing.T) {
	table := newTable("NAME", "#")
	for _, name := range []string{"受注", "🎉", "cafe\u0301"} {
		table.row(name, "1")
	}
	var out strings.Builder
	if err := table.flush(&out); err != nil {
		t.Fatal(err)
	}
	if want := "NAME  #\n受注  1\n🎉    1\ncafe\u0301  1\n"; out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 events", 1: "1 event", 999: "999 events", 1000: "1,000 events", 1234567: "1,234,567 events"} {
		if got := count(n, "event", "events"); got != want {
			t.Errorf("count(%d): got %q, want %q", n, got, want)
		}
	}
}

func TestProgressKeepsToItsPace(t *testing.T) {
	var out strings.Builder
	at := now
	c := &call{tool: &tool{now: func() time.Time { return at }, progressInterval: 2 * time.Second}, err: &out}
	p := c.progress("exported")
	for i := range 10 {
		at = at.Add(time.Second)
		p.at((i + 1) * 1000)
	}
	if want := "2,000 exported so far\n4,000 exported so far\n6,000 exported so far\n8,000 exported so far\n10,000 exported so far\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
}
