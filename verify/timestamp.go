package verify

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// defaultTolerance is how far off a timestamp may be if the scheme doesn't say.
const defaultTolerance = 5 * time.Minute

// maxTolerance is the largest tolerance of a scheme, so that durations made from it
// don't overflow.
const maxTolerance = 3650 * 24 * Duration(time.Hour)

// timeFormat parses and formats a timestamp. Parsing is strict: a timestamp has a known
// form, so that no digit can move between it and what is next to it in the signed
// content.
type timeFormat struct {
	parse  func(string) (time.Time, bool)
	format func(time.Time) string
}

var timeFormats = map[string]timeFormat{
	"":           unixFormat,
	"unix":       unixFormat,
	"unix_ms":    {parse: parseMillis, format: func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }},
	"unix_or_ms": {parse: parseUnixOrMillis, format: unixFormat.format},
	"rfc3339":    {parse: parseRFC3339, format: func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }},
	"http_date":  {parse: parseHTTPDate, format: func(t time.Time) string { return t.UTC().Format(http.TimeFormat) }},
}

var unixFormat = timeFormat{
	parse:  parseUnix,
	format: func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) },
}

func (p *plan) compileTimestamp() (err error) {
	t := p.scheme.Timestamp
	if err := checkOptional(t.Format, sortedKeys(timeFormats)); err != nil {
		return fmt.Errorf("format: %w", err)
	}
	p.timeFormat = timeFormats[t.Format]
	switch t.In {
	case "":
		if t.Name != "" {
			return errors.New("it has a name but no place; say whether it is in a header, field, query, json or form")
		}
	case "first", "field":
		p.timestamp = place{in: t.In, name: t.Name}
		err = p.checkListTimestamp()
	default:
		p.timestamp, err = compilePlace(t.In, t.Name, "")
	}
	p.timestamp.fixedLength = t.Format != "unix_or_ms" && !t.Optional
	return err
}

func (p *plan) checkListTimestamp() error {
	s, t := p.scheme.Signature, p.scheme.Timestamp
	switch {
	case s.Separator == "":
		return fmt.Errorf("%s is an item of the signature's list; set the signature's separator", t.In)
	case t.In == "field" && len(s.Tags) == 0:
		return errors.New("field is an item with a tag; set the signature's tags too")
	case t.In == "field" && t.Name == "":
		return errors.New("no name; give the tag of the item, such as t")
	}
	return nil
}

func (t Timestamp) checkTolerance() error {
	if max(t.Past, t.Future) > maxTolerance {
		return fmt.Errorf("it is over %d days; to accept any age, turn it off", int(maxTolerance/hours(24)))
	}
	if t.In == "" && (t.Past > 0 || t.Future > 0) { // it would promise a protection that isn't there
		return errors.New("it needs a signed timestamp, and the scheme has none: leave it out; replay ack 24h remembers the messages that were seen")
	}
	for _, d := range []Duration{t.Past, t.Future} {
		if d > 0 && d < seconds(1) {
			return fmt.Errorf("it is under a second, %s, which hardly any message meets: write a duration such as \"5m\"; a plain number is in nanoseconds", time.Duration(d))
		}
	}
	return nil
}

// parseUnix parses seconds: ten digits, for the years 2001 to 2286.
func parseUnix(s string) (time.Time, bool) {
	n, ok := parseDigits(s, 10)
	return time.Unix(n, 0), ok
}

// parseMillis parses milliseconds: thirteen digits, for the same years.
func parseMillis(s string) (time.Time, bool) {
	n, ok := parseDigits(s, 13)
	return time.UnixMilli(n), ok
}

func parseUnixOrMillis(s string) (time.Time, bool) {
	if len(s) == 13 {
		return parseMillis(s)
	}
	return parseUnix(s)
}

func parseDigits(s string, digits int) (int64, bool) {
	if len(s) != digits || s[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 63) // unlike ParseInt, it refuses a sign
	return int64(n), err == nil
}

// parseRFC3339 parses "2006-01-02T15:04:05", up to nine digits of a fraction, and "Z"
// or "±15:04". time.Parse alone is more lenient than the RFC.
func parseRFC3339(s string) (time.Time, bool) {
	const form = "0000-00-00T00:00:00"
	if len(s) <= len(form) || !matchesForm(s[:len(form)], form) {
		return time.Time{}, false
	}
	zone := s[len(form):]
	if zone[0] == '.' {
		digits := 1
		for digits < len(zone) && isDigit(zone[digits]) {
			digits++
		}
		if digits < 2 || digits > 10 {
			return time.Time{}, false
		}
		zone = zone[digits:]
	}
	if zone != "Z" && !matchesForm(zone, "+00:00") && !matchesForm(zone, "-00:00") {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}

// matchesForm reports whether s is form, with any digit in place of each 0.
func matchesForm(s, form string) bool {
	if len(s) != len(form) {
		return false
	}
	for i := range len(s) {
		if s[i] != form[i] && (form[i] != '0' || !isDigit(s[i])) {
			return false
		}
	}
	return true
}

// parseHTTPDate parses the only form of date that HTTP allows a sender to generate.
func parseHTTPDate(s string) (time.Time, bool) {
	t, err := time.Parse(http.TimeFormat, s)
	if err != nil || t.UTC().Format(http.TimeFormat) != s {
		return time.Time{}, false
	}
	return t, true
}

// Tolerance returns how far off the timestamp may be, with the defaults filled in.
// Negative values allow any time. Their sum is how long one message can be accepted.
func (t Timestamp) Tolerance() (past, future time.Duration) {
	past = cmp.Or(time.Duration(t.Past), defaultTolerance)
	return past, cmp.Or(time.Duration(t.Future), past)
}

// check returns a reason if a message was signed at a time that is outside the
// tolerance. time.Time.Sub saturates, so the age can't overflow.
func (t Timestamp) check(signed, now time.Time) Reason {
	past, future := t.Tolerance()
	age := now.Sub(signed)
	switch {
	case past >= 0 && age > past:
		return ReasonStaleTimestamp
	case future >= 0 && age < -future:
		return ReasonFutureTimestamp
	}
	return ""
}
