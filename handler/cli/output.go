package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// nothing stands where there is no value.
const nothing = "-"

// clean makes text from elsewhere safe for a terminal: what a receiver or a
// publisher wrote must not move the cursor or look like another line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, s)
}

// cut shortens text to at most n characters.
func cut(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}

// widest is how wide a table's last cell may be, which no other has to make room
// for: what went wrong is at the end of an error as often as not.
const widest = 200

// cell makes text fit for a table.
func cell(s string, width int) string {
	if s = cut(clean(s), width); strings.TrimSpace(s) == "" {
		return nothing
	}
	return s
}

// table prints rows with aligned columns, as they look on a terminal and in a
// pipe alike.
type table struct{ rows [][]string }

func newTable(head ...string) *table { return &table{rows: [][]string{head}} }

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// flush prints the rows that there are, and forgets them.
func (t *table) flush(w io.Writer) error {
	var text bytes.Buffer
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range t.rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	t.rows = t.rows[:0]
	return printTrimmed(w, text.String())
}

// fields prints names with their values, one a line.
type fields struct{ table }

func (f *fields) add(name, value string) { f.row(name+":", value) }

// addText adds a value that others wrote, if it is there.
func (f *fields) addText(name, value string) {
	if value != "" {
		f.add(name, clean(value))
	}
}

func (f *fields) addHeaders(h map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		f.addText("Header", name+": "+h[name])
	}
}

// printTrimmed drops the blanks that end a line.
func printTrimmed(w io.Writer, text string) error {
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// when shows a time as a clock does and as people say it.
func (t *tool) when(at time.Time) string {
	if at.IsZero() {
		return nothing
	}
	return at.In(t.zone).Format("2006-01-02 15:04:05") + " (" + ago(t.now().Sub(at)) + ")"
}

// ago says how long ago something was, or how far ahead it is.
func ago(d time.Duration) string {
	switch {
	case d <= -time.Second:
		return "in " + span(-d)
	case d < time.Second:
		return "now"
	}
	return span(d) + " ago"
}

// span is a duration in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// count writes a number with its noun, as in "1 delivery", "1,200 deliveries".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// printJSON prints an answer of the API, indented.
func printJSON(w io.Writer, text []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(text), "", "  "); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}

// printValue prints a value of ours as JSON.
func printValue(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printError prints what went wrong.
func printError(w io.Writer, command string, err error, asJSON bool) {
	wrong := isUsage(err)
	if !asJSON {
		fmt.Fprintln(w, "Error: "+cleanLines(err.Error()))
		if wrong {
			fmt.Fprintf(w, "Run '%s --help' for flags and examples.\n", command)
		}
		return
	}
	var p *problem
	if errors.As(err, &p) && printJSON(w, p.document) == nil {
		return
	}
	title := "The command failed"
	if wrong {
		title = "The command line is wrong"
	}
	_ = printValue(w, struct { // there is no other place to say it
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}{title, err.Error()})
}

// cleanLines is clean for text of several lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// progress tells on standard error how far long work has come.
type progress struct {
	*call
	did  string // as in "exported"
	last time.Time
}

func (c *call) progress(did string) *progress {
	return &progress{call: c, did: did, last: c.now()}
}

func (p *progress) at(n int) {
	if now := p.now(); now.Sub(p.last) >= p.progressInterval {
		p.last = now
		fmt.Fprintf(p.err, "%s %s so far\n", thousands(n), p.did)
	}
}
