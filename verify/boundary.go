package verify

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// The signed bytes must be readable in one way only. If two values are next to each
// other, or the literal between them can also occur in one of them, then an attacker
// can move bytes from one to the other under the same signature: the beginning of the
// body becomes a part of the id. What a scheme itself reveals of this is an error when
// it is compiled; the rest is checked in each message.

// boundaries are the checks that keep the body apart from what is signed next to it.
type boundaries struct {
	// needBrackets: a value of variable length is next to the body, with no literal
	// in between. The body must be a JSON object or array, whose brackets show where
	// it begins and ends, and the value must not contain brackets.
	needBrackets bool
	start, end   bodyEdge
	urlBeside    bool // a part of the URL is next to the body
	// urlDelimiters are parts of the URL with the literals next to them. If the path or
	// the query of a request contains such a literal, the body must be JSON.
	urlDelimiters []urlDelimiter
	// urlSeparated are parts of the URL before another part of it. They must not contain
	// the literal after them.
	urlSeparated []*segment
}

// needed reports whether the first and last bytes of the body must be checked.
func (b *boundaries) needed() bool {
	return b.needBrackets || len(b.urlDelimiters) > 0 || b.start != bodyEdge{} || b.end != bodyEdge{}
}

// bodyEdge is what must not be at one end of the body, since it could belong to the
// value next to the body.
type bodyEdge struct {
	noDigit   bool   // no digit: the timestamp next to it could end elsewhere
	delimiter string // no piece of the literal that separates it from a value
}

// urlDelimiter is a part of the URL with a literal next to it.
type urlDelimiter struct {
	part *segment
	text string
}

// segmentAt returns the segment at an index, or an empty one out of range.
func (t *template) segmentAt(i int) *segment {
	if i < 0 || i >= len(t.segments) {
		return new(segment)
	}
	return &t.segments[i]
}

// setDelimiters sets the literals before and after each value.
func (t *template) setDelimiters() {
	for i := range t.segments {
		s := &t.segments[i]
		s.before, s.after = t.delimiter(i, -1), t.delimiter(i, 1)
	}
}

// delimiter returns the literal that shows where a value ends on one side. If there are
// values of fixed length in between, that is its nearest byte: they may contain the others.
func (t *template) delimiter(i, side int) string {
	at := t.skipFixed(i+side, side)
	switch next := t.segmentAt(at); {
	case next.kind != segLiteral, at <= 0, at >= len(t.segments)-1: // at the start or end, it separates nothing
		return ""
	case at == i+side:
		return next.text
	case side < 0:
		return next.text[len(next.text)-1:]
	default:
		return next.text[:1]
	}
}

// skipFixed returns the index of the next segment on one side, from i on, whose value the
// sender can make longer. Values of fixed length don't separate those on either side of them:
// a value could contain what looks like them.
func (t *template) skipFixed(i, side int) int {
	for t.segmentAt(i).hasFixedLength() {
		i += side
	}
	return i
}

func (s *segment) hasFixedLength() bool {
	return s.at.fixedLength || s.kind == segMethod || s.kind == segHost || s.kind == segHostPort
}

// checkUnrestricted returns an error if an unrestricted value is not the only one that
// may contain delimiters. The body may, and so may parts of the URL.
func (t *template) checkUnrestricted(text string) error {
	unrestricted, mayContain := false, 0
	for _, seg := range t.segments {
		unrestricted = unrestricted || seg.unrestricted
		if seg.unrestricted || seg.kind == segBody || seg.isURLPart() && (canOccurInURL(seg.before) || canOccurInURL(seg.after)) {
			mayContain++
		}
	}
	if unrestricted && mayContain > 1 {
		return fmt.Errorf("%q: only one value may contain the text next to it; drop a *", text)
	}
	return nil
}

// hasVariableLength reports whether the sender of a message chooses the length of a
// segment's value.
func (s *segment) hasVariableLength() bool {
	switch s.kind {
	case segTimestamp, segID, segEventType, segHeader, segQueryParam, segListItem, segJSON, segFormField:
		return !s.at.fixedLength
	case segBodyHash:
		return s.optional
	}
	return s.isURLPart()
}

// isURLPart reports whether a segment is a part of the URL that the sender chooses.
func (s *segment) isURLPart() bool {
	switch s.kind {
	case segURL, segURLNoQuery, segURI, segPath, segQuery:
		return true
	}
	return false
}

// touchesWord reports whether the delimiter on either side has a letter or digit next to
// the value. Only those can be at the ends of a timestamp.
func (s *segment) touchesWord() bool {
	before, after := s.before, s.after
	return before != "" && isAlphanumeric(before[len(before)-1]) || after != "" && isAlphanumeric(after[0])
}

// checkNeighbours returns an error for two values of variable length without a literal
// between them, or with one that could be a piece of a timestamp next to it. Values of
// fixed length and the body don't separate them: a value could contain what looks like
// a timestamp, and the body may be empty. A scheme with UnboundBody is exempt.
func (p *plan) checkNeighbours(t *template, text string) error {
	if p.scheme.UnboundBody {
		return nil
	}
	for i := range t.segments {
		if s := &t.segments[i]; s.kind == segTimestamp && s.hasVariableLength() && s.touchesWord() {
			return fmt.Errorf("%q: the timestamp can be absent or have more digits, and the letter or digit next to it could be a piece of it; put another character there, such as a dot", text)
		}
	}
	for i := 1; i < len(t.segments); i++ {
		before := i - 1
		for before > 0 && t.segments[before].kind != segLiteral && !t.segments[before].hasVariableLength() {
			before--
		}
		if t.segments[before].hasVariableLength() && t.segments[i].hasVariableLength() {
			return fmt.Errorf("%q: two values of any length are side by side, so that it isn't clear where the first one ends; put a character between them, give an id a pattern with a fixed length, such as \"[0-9a-f]{32}\", or, if you accept that, write: unbound_body allow", text)
		}
	}
	return nil
}

// setURLDelimiters sets the literals next to parts of the URL, if a URL can contain
// them.
func (t *template) setURLDelimiters() {
	for i := range t.segments {
		s := &t.segments[i]
		for _, literal := range [...]string{s.before, s.after} {
			if s.isURLPart() && t.body >= 0 && canOccurInURL(literal) {
				t.urlDelimiters = append(t.urlDelimiters, urlDelimiter{s, literal})
			}
		}
		if s.isURLPart() && canOccurInURL(s.after) && slices.ContainsFunc(t.segments[i+1:], func(s segment) bool { return s.isURLPart() }) {
			t.urlSeparated = append(t.urlSeparated, s)
		}
	}
}

// canOccurInURL reports whether a URL can contain a literal.
func canOccurInURL(literal string) bool {
	return literal != "" && !strings.ContainsAny(literal, "\t\r\n")
}

// setBoundaries works out the checks for what is next to the body on either side, with
// or without a literal in between.
func (p *plan) setBoundaries(t *template) {
	t.setDelimiters()
	t.setURLDelimiters()
	if t.body < 0 {
		return
	}
	for _, side := range [...]int{-1, 1} {
		edge := &t.start
		if side > 0 {
			edge = &t.end
		}
		next, beyond := t.segmentAt(t.body+side), t.segmentAt(t.skipFixed(t.body+2*side, side))
		switch next.kind {
		case segTimestamp:
			p.joinTimestamp(t, edge, next, beyond)
		case segJSON, segFormField:
			// Their values are in the body themselves.
		case segLiteral:
			if len(next.text) > 1 && (beyond.hasVariableLength() || beyond.kind == segFunc) {
				edge.delimiter = next.text
			}
		default:
			t.join(next)
			if next.hasFixedLength() && t.join(beyond) {
				// Without a body, its brackets could be in the values in between.
				for i := t.body + side; t.segmentAt(i).hasFixedLength(); i += side {
					t.segments[i].besideBody = true
				}
			}
		}
	}
}

// join notes that a segment is next to the body, or only separated from it by values of
// fixed length. If it has a fixed length itself, it doesn't matter, and join returns false.
func (t *template) join(s *segment) bool {
	switch {
	case s.isURLPart(), s.kind == segHost, s.kind == segHostPort, s.kind == segFunc:
		t.urlBeside, t.needBrackets = true, true
	case s.hasVariableLength():
		s.besideBody, t.needBrackets = true, true
	default:
		return false
	}
	return true
}

// joinTimestamp notes a timestamp next to the body. It may be shorter, longer or
// absent; or the value beyond it could contain it, so that the body begins later.
func (p *plan) joinTimestamp(t *template, edge *bodyEdge, timestamp, beyond *segment) {
	t.join(beyond)
	if timestamp.hasVariableLength() || beyond.hasVariableLength() || beyond.kind == segFunc {
		edge.noDigit = true
		format := p.scheme.Timestamp.Format // these two don't begin and end with a digit
		t.needBrackets = t.needBrackets || format == "http_date" || format == "rfc3339"
	}
	if p.scheme.Timestamp.Optional && beyond.kind == segLiteral {
		edge.delimiter = beyond.text
	}
}

// isAmbiguous reports whether a value hides where it ends: it contains one of its
// delimiters, or a piece of one that makes a second delimiter together with the first.
func (s *segment) isAmbiguous(value string) bool {
	if s.besideBody && (strings.ContainsAny(value, "{}[]\"") || value != strings.Trim(value, jsonSpace)) {
		return true
	}
	return recurs(s.before, value, false) || recurs(s.after, value, true)
}

// recurs reports whether a literal that comes before a value, or after it if after is
// set, occurs a second time: in the value, or overlapping with its first occurrence.
func recurs(literal, value string, after bool) bool {
	switch {
	case literal == "":
		return false
	case after:
		return strings.Contains(value+literal[:len(literal)-1], literal)
	}
	return strings.Contains(literal[1:]+value, literal)
}

// checkBodyBoundaries refuses a body whose first or last bytes could belong to what is
// signed next to it.
func (c *check) checkBodyBoundaries(cand *candidate) Reason {
	t := cand.content
	delimiterInURL, reason := c.checkURLDelimiters(t)
	switch {
	case reason != "":
		return reason
	case c.in.size == 0 && (delimiterInURL || t.urlBeside && strings.ContainsAny(string(c.in.appendURI(nil)), "[]")):
		return ReasonMalformedBody
	case c.in.size == 0, !t.needed():
		return ""
	}
	n := min(c.in.size, int64(len(c.in.buffer)/2))
	head, tail := c.in.buffer[:n], c.in.buffer[n:2*n]
	if !c.in.readAt(head, 0) || !c.in.readAt(tail, c.in.size-n) {
		return ReasonUnreadableBody
	}
	both, either := brackets(head, tail)
	// A bracket at one end only may be JSON together with a piece of the URL.
	needBrackets := t.needBrackets || delimiterInURL || either && len(t.urlDelimiters) > 0
	if t.start.isAmbiguous(head, false) || t.end.isAmbiguous(tail, true) || needBrackets && !both {
		return ReasonMalformedBody
	}
	return ""
}

// checkURLDelimiters reports whether the URL contains a literal that separates it from
// the body. Only JSON then shows where the body begins, so it refuses a URL that could
// contain a piece of JSON as well.
func (c *check) checkURLDelimiters(t *template) (found bool, reason Reason) {
	for _, delimiter := range t.urlDelimiters {
		part := c.in.urlPart(delimiter.part)
		// Without a body, what is on its other side is next to the literal.
		overlaps := c.in.size == 0 && t.needBrackets && (recurs(delimiter.text, part, true) || recurs(delimiter.text, part, false))
		if !overlaps && !strings.Contains(part, delimiter.text) {
			continue
		}
		if strings.ContainsAny(part, "{}[]\"") {
			return true, ReasonMalformedField
		}
		found = true
	}
	return found, ""
}

// brackets reports whether a body with these first and last bytes can be a JSON object
// or array, and whether it has a bracket of one at either end.
func brackets(head, tail []byte) (both, either bool) {
	head, tail = bytes.TrimLeft(head, jsonSpace), bytes.TrimRight(tail, jsonSpace)
	if len(head) == 0 || len(tail) == 0 {
		return false, false
	}
	first, last := head[0], tail[len(tail)-1]
	both = first == '{' && last == '}' || first == '[' && last == ']'
	return both, first == '{' || first == '[' || last == '}' || last == ']'
}

// urlPart returns what the sender chooses of a part of the URL: its path and query, since
// scheme and host are the site's.
func (in *input) urlPart(part *segment) string {
	switch part.kind {
	case segURL, segURI:
		return string(in.appendURI(nil))
	case segQuery:
		return in.url.RawQuery
	}
	return in.path
}

// isAmbiguous reports whether the start of the body, or its end if after is set, could
// belong to what is next to it.
func (e bodyEdge) isAmbiguous(body []byte, after bool) bool {
	n := max(min(len(e.delimiter)-1, len(body)), 0)
	near, nearest := body[:n], body[0]
	if after {
		near, nearest = body[len(body)-n:], body[len(body)-1]
	}
	return e.noDigit && isDigit(nearest) || recurs(e.delimiter, string(near), after)
}

// jsonSpace is the white space that may surround a JSON document. A value next to it
// must not begin or end with it.
const jsonSpace = " \t\r\n"

// checkURL refuses a URL that could include an end of a JSON body, since it has
// characters that every sender escapes, and a URL whose parts could be separated
// elsewhere.
func (c *check) checkURL(cand *candidate) Reason {
	if cand.content.urlBeside && (strings.ContainsAny(c.in.url.RawQuery, "{\"") || strings.ContainsAny(c.in.path, "{\"")) {
		return ReasonMalformedField
	}
	for _, part := range cand.content.urlSeparated {
		if recurs(part.after, c.in.urlPart(part), true) {
			return ReasonMalformedField
		}
	}
	return ""
}
