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
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
	eastasian "golang.org/x/text/width"
)

// nothing is printed in place of a missing value.
const nothing = "-"

// clean makes text from elsewhere safe for a terminal: what a receiver or a
// publisher wrote must not move the cursor or pass for another line.
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

// widest is the maximum width of a table's last cells. They can be this wide since
// no others follow, and should be, since the cause is often at the end of an error.
const widest = 200

// cell makes text fit for a table cell of at most n characters.
func cell(s string, n int) string {
	if s = cut(clean(s), n); strings.TrimSpace(s) == "" {
		return nothing
	}
	return s
}

// table prints rows with aligned columns, to a terminal and a pipe alike.
type table struct{ rows [][]string }

func newTable(head ...string) *table { return &table{rows: [][]string{head}} }

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// flush prints the rows added so far, and removes them. Each has a cell for every
// column.
func (t *table) flush(w io.Writer) error {
	var text strings.Builder
	widths := map[int]int{}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], width(cell))
		}
	}
	for _, row := range t.rows {
		for i, cell := range row {
			text.WriteString(cell + strings.Repeat(" ", widths[i]-width(cell)+2))
		}
		text.WriteByte('\n')
	}
	t.rows = t.rows[:0]
	return printTrimmed(w, text.String())
}

// width returns how wide a terminal shows text: East Asian characters and emoji take
// two places, and accents that are characters of their own none.
func width(s string) (n int) {
	for _, r := range s {
		switch kind := eastasian.LookupRune(r).Kind(); {
		case kind == eastasian.EastAsianWide, kind == eastasian.EastAsianFullwidth:
			n += 2
		case !unicode.Is(unicode.Mn, r):
			n++
		}
	}
	return n
}

// fields prints names with values, one per line.
type fields struct{ table }

func (f *fields) add(name, value string) { f.row(name+":", value) }

// addText adds a value from elsewhere, unless it is empty.
func (f *fields) addText(name, value string) {
	if value != "" {
		f.add(name, clean(value))
	}
}

// addAll adds the entries of a map, all under the same name.
func (f *fields) addAll(name string, values map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		f.addText(name, key+": "+values[key])
	}
}

// printTrimmed prints text without the blanks at the ends of its lines.
func printTrimmed(w io.Writer, text string) error {
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// when formats a time both ways: absolute and relative to now.
func (t *tool) when(at time.Time) string {
	if at.IsZero() {
		return nothing
	}
	return at.In(t.zone).Format("2006-01-02 15:04:05") + " (" + ago(t.now().Sub(at)) + ")"
}

// ago formats how long ago something was or, if d is negative, how far ahead it is.
func ago(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < 0:
		return "in " + span(-d)
	case d == 0:
		return "now"
	}
	return span(d) + " ago"
}

// span formats a duration in its largest unit.
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

// count formats a number with its noun, as in "1 delivery" or "1,200 deliveries".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

func thousands(n int) string { return humanize.Comma(int64(n)) }

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// shellWord quotes text for a POSIX shell.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@=,+"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// printJSON prints a response of the API, indented.
func printJSON(w io.Writer, text []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(text), "", "  "); err != nil {
		return fmt.Errorf("reading the response: %w", err)
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}

// printValue prints a value as indented JSON.
func printValue(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printError prints an error for people, or as JSON: the API's own document if it
// has one.
func printError(w io.Writer, command string, err error, asJSON bool) {
	usage := isUsage(err)
	if !asJSON {
		fmt.Fprintln(w, "Error: "+cleanLines(err.Error()))
		if usage {
			fmt.Fprintf(w, "Run '%s --help' for flags and examples.\n", command)
		}
		return
	}
	if p, ok := errors.AsType[*problem](err); ok && printJSON(w, p.document) == nil {
		return
	}
	title := "The command failed"
	if usage {
		title = "The command line is wrong"
	}
	_ = printValue(w, struct { // if this fails, there is no other place to report it
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

// progress counts the steps of a long operation on standard error.
type progress struct {
	*call
	done string // such as "exported"
	last time.Time
}

func (c *call) progress(done string) *progress {
	return &progress{call: c, done: done, last: c.now()}
}

func (p *progress) at(n int) {
	if now := p.now(); now.Sub(p.last) >= p.progressInterval {
		p.last = now
		fmt.Fprintf(p.err, "%s %s so far\n", thousands(n), p.done)
	}
}
