package verify

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// What is signed must read one way. Where two values meet, or a literal between
// them could stand elsewhere too, a byte moves from one to the other under the
// same signature: an id grows by the body's beginning. What can be seen of that
// in the scheme is refused when it is compiled, the rest in each message.

// ends are what to mind where the body meets what is signed beside it.
type boundaries struct {
	// bracketed: a value of free length meets the body with nothing in between.
	// The body must then be a JSON object or array, whose brackets show where it
	// ends, and the value may hold none.
	needBrackets bool
	start, end   bodyEdge
	urlBeside    bool // the URL meets the body
	// urlApart are parts of the URL with the literals that part them from what is
	// beside them. Where path or query hold one too, the body must be JSON.
	urlDelimiters []urlDelimiter
	// urlPairs are those before another part of the URL, which may not hold one.
	urlSeparators []urlDelimiter
}

// shared says whether the body's ends are to be minded at all.
func (e *boundaries) ambiguous() bool {
	return e.needBrackets || len(e.urlDelimiters) > 0 || e.start != bodyEdge{} || e.end != bodyEdge{}
}

// edge is what an end of the body may not be, for it could belong to what is
// beside it.
type bodyEdge struct {
	noDigit   bool   // a digit: a time stands there that could end elsewhere
	delimiter string // a piece of this, which parts it from a value
}

// urlEdge is a part of the URL with a literal beside it.
type urlDelimiter struct {
	part *segment
	text string
}

// at is the segment at an index, an empty one beyond either end.
func (t *template) segmentAt(i int) *segment {
	if i < 0 || i >= len(t.segments) {
		return new(segment)
	}
	return &t.segments[i]
}

// literal is the text of the literal at an index, "" where there is none.
func (t *template) literalAt(i int) string {
	if s := t.segmentAt(i); s.kind == segLiteral {
		return s.text
	}
	return ""
}

// bound notes the literals beside each value.
func (t *template) setDelimiters() {
	last := len(t.segments) - 1
	for i := range t.segments {
		seg := &t.segments[i]
		// A literal at either end separates the value from nothing.
		if i > 1 {
			seg.before = t.literalAt(i - 1)
		}
		if i < last-1 {
			seg.after = t.literalAt(i + 1)
		}
		// Behind a time, which has one length, the literal that parts it from the
		// body shows where the value ends.
		if t.body >= 0 && i == t.body+3 && t.segmentAt(i-1).kind == segTimestamp {
			seg.before = t.literalAt(i - 2)
		}
		if i == t.body-3 && t.segmentAt(i+1).kind == segTimestamp {
			seg.after = t.literalAt(i + 2)
		}
	}
}

// oneWild refuses a value that may hold the separators beside another that can:
// what is signed would read two ways. The body is one, and so are parts of the URL.
func (t *template) checkUnrestricted(text string) error {
	wild, free := 0, 0
	for _, seg := range t.segments {
		if seg.unrestricted {
			wild++
		}
		if seg.unrestricted || seg.kind == segBody || seg.isURLPart() && (canOccurInURL(seg.before) || canOccurInURL(seg.after)) {
			free++
		}
	}
	if wild > 0 && free > 1 {
		return fmt.Errorf("%q: only one value may be free to hold the text beside it; drop a *", text)
	}
	return nil
}

// isFree says whether whoever sends a message chooses how long a segment's value
// is.
func (p *plan) hasVariableLength(s *segment) bool {
	switch s.kind {
	case segHeader, segQueryParam, segListItem, segJSON, segFormField:
		return true
	case segID:
		return !p.id.fixedLength
	case segEventType:
		return !p.eventType.fixedLength
	case segBodyHash:
		return s.optional
	case segTimestamp:
		return p.scheme.Timestamp.Format == "unix_or_ms" || p.scheme.Timestamp.Optional
	}
	return s.isURLPart()
}

// isPath says whether a segment is a part of the URL that its sender chooses.
func (s *segment) isURLPart() bool {
	switch s.kind {
	case segURL, segURLNoQuery, segURI, segPath, segQuery:
		return true
	}
	return false
}

// checkNeighbours refuses two values of free length with no literal between: the
// body may be empty, and a time stand in one of them. The scheme may be known to
// bind little.
func (p *plan) checkNeighbours(t *template, text string) error {
	for i := 1; i < len(t.segments) && !p.scheme.UnboundBody; i++ {
		before := i - 1
		for before > 0 && t.segments[before].kind != segLiteral && !p.hasVariableLength(&t.segments[before]) {
			before--
		}
		if p.hasVariableLength(&t.segments[before]) && p.hasVariableLength(&t.segments[i]) {
			return fmt.Errorf("%q: two values of any length stand side by side, so that nobody knows where the first one ends; put a character between them, give an id a pattern that admits one length only, such as \"[0-9a-f]{32}\", or, if you accept that, write: unbound_body allow", text)
		}
	}
	return nil
}

// partURL notes the literals beside the parts of the URL, as far as a URL can hold
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
			t.urlSeparators = append(t.urlSeparators, urlDelimiter{s, s.after})
		}
	}
}

// inURL says whether a literal can stand in a URL.
func canOccurInURL(literal string) bool {
	return literal != "" && !strings.ContainsAny(literal, "\t\r\n")
}

// joinBody notes what meets the body with nothing in between, or with a literal
// that could stand elsewhere, so that no byte can move from one to the other.
func (p *plan) setBoundaries(t *template) {
	t.setURLDelimiters()
	if t.body < 0 {
		return
	}
	for _, side := range [...]int{-1, 1} {
		next, beyond, end := t.segmentAt(t.body+side), t.segmentAt(t.body+2*side), &t.start
		if side > 0 {
			end = &t.end
		}
		switch {
		case next.kind == segTimestamp:
			p.joinTimestamp(t, end, next, beyond)
		case next.isURLPart(), next.kind == segHost, next.kind == segHostPort, next.kind == segFunc:
			t.urlBeside, t.needBrackets = true, true
		case next.kind == segJSON, next.kind == segFormField:
			// They stand in the body themselves.
		case p.hasVariableLength(next):
			p.joinVariable(t, next)
		case next.kind == segID, next.kind == segEventType:
			p.joinVariable(t, beyond) // as these have one length
		case next.kind == segLiteral && len(next.text) > 1 && (p.hasVariableLength(beyond) || beyond.kind == segFunc):
			end.delimiter = next.text
		}
	}
}

// meet notes a value of free length that nothing but values of one length part from
// the body.
func (p *plan) joinVariable(t *template, s *segment) {
	if p.hasVariableLength(s) {
		s.besideBody, t.needBrackets, t.urlBeside = true, true, t.urlBeside || s.isURLPart()
	}
}

// joinTime is about a time that meets the body: it could be a shorter or longer
// one, or none; or a value beyond it could hold it, and begin the body later.
func (p *plan) joinTimestamp(t *template, end *bodyEdge, time, beyond *segment) {
	p.joinVariable(t, beyond)
	if p.hasVariableLength(time) || p.hasVariableLength(beyond) || beyond.kind == segFunc {
		end.noDigit = true
		t.needBrackets = t.needBrackets || p.scheme.Timestamp.Format == "http_date"
	}
}

// blurs says whether a value holds what shows where it ends: the literals beside
// it, whole, or as much of one as makes a second one with what stands there.
func (s *segment) isAmbiguous(value string) bool {
	if s.besideBody && (strings.ContainsAny(value, "{}[]\"") || value != strings.Trim(value, jsonSpace)) {
		return true
	}
	return recurs(s.before, value, false) || recurs(s.after, value, true)
}

// repeats says whether a literal stands a second time in a value that it stands
// before or after, or in both together.
func recurs(literal, value string, after bool) bool {
	switch {
	case literal == "":
		return false
	case after:
		return strings.Contains(value+literal[:len(literal)-1], literal)
	}
	return strings.Contains(literal[1:]+value, literal)
}

// checkEnds refuses a body whose ends can't be told from what is signed right
// beside them.
func (c *check) checkBodyBoundaries(cand *candidate) Reason {
	t := cand.content
	held, reason := c.checkURLDelimiters(t)
	switch {
	case reason != "":
		return reason
	case c.in.size == 0 && (held || t.urlBeside && strings.ContainsAny(string(c.in.appendURI(nil)), "[]")):
		return ReasonMalformedBody
	case c.in.size == 0, !t.ambiguous():
		return ""
	}
	n := min(c.in.size, int64(len(c.buffer)/2))
	head, tail := c.buffer[:n], c.buffer[n:2*n]
	if !c.in.readAt(head, 0) || !c.in.readAt(tail, c.in.size-n) {
		return ReasonUnreadableBody
	}
	whole, half := brackets(head, tail)
	// A bracket at one end only may be that of JSON with a piece of the URL.
	bracketed := t.needBrackets || held || half && len(t.urlDelimiters) > 0
	if t.start.isAmbiguous(head, false) || t.end.isAmbiguous(tail, true) || bracketed && !whole {
		return ReasonMalformedBody
	}
	return ""
}

// literalsInURL says whether the URL holds a literal that parts it from the body.
// JSON alone then shows where the body begins, and the URL may hold no piece of it.
func (c *check) checkURLDelimiters(t *template) (held bool, reason Reason) {
	for _, edge := range t.urlDelimiters {
		text := c.in.urlPart(edge.part)
		if !strings.Contains(text, edge.text) {
			continue
		}
		if strings.ContainsAny(text, "{}[]\"") {
			return true, ReasonMalformedField
		}
		held = true
	}
	return held, ""
}

// brackets says whether a body of this beginning and this end can be a JSON object
// or array, or has a bracket of one at either end.
func brackets(head, tail []byte) (whole, half bool) {
	head, tail = bytes.TrimLeft(head, jsonSpace), bytes.TrimRight(tail, jsonSpace)
	if len(head) == 0 || len(tail) == 0 {
		return false, false
	}
	first, last := head[0], tail[len(tail)-1]
	return first == '{' && last == '}' || first == '[' && last == ']', strings.IndexByte("{[", first) >= 0 || strings.IndexByte("}]", last) >= 0
}

// chosen is the path and the query of a part of the URL: scheme and host are those
// of the site.
func (in *input) urlPart(part *segment) string {
	switch part.kind {
	case segURL, segURI:
		return string(in.appendURI(nil))
	case segQuery:
		return in.url.RawQuery
	}
	return in.path
}

// blurs says whether the body's beginning, or with after its end, could belong to
// what is beside it.
func (e bodyEdge) isAmbiguous(body []byte, after bool) bool {
	n := max(min(len(e.delimiter)-1, len(body)), 0)
	near, nearest := body[:n], body[0]
	if after {
		near, nearest = body[len(body)-n:], body[len(body)-1]
	}
	return e.noDigit && isDigit(nearest) || recurs(e.delimiter, string(near), after)
}

// jsonBlanks may stand around a JSON document. No value beside it may begin or
// end with one.
const jsonSpace = " \t\r\n"

// checkURL refuses a URL that could have swallowed an end of a JSON body, one that
// holds, unescaped, what no sender leaves so; and one whose parts could be cut
// elsewhere.
func (c *check) checkURL(cand *candidate) Reason {
	if cand.content.urlBeside && (strings.ContainsAny(c.in.url.RawQuery, "{\"") || strings.ContainsAny(c.in.path, "{\"")) {
		return ReasonMalformedField
	}
	for _, edge := range cand.content.urlSeparators {
		if recurs(edge.text, c.in.urlPart(edge.part), true) {
			return ReasonMalformedField
		}
	}
	return ""
}
