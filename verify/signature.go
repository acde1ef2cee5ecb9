package verify

import (
	"crypto/sha256"
	"hash"
	"slices"
	"strings"
	"time"
)

// lane is one set of signatures with what they sign. Nearly every request has
// one; several groups of a list, several elements of a body or two spellings
// of what is signed have one each.
type lane struct {
	content *template
	items   []pair // of the signature's list that hold no signature
	first   string // the list's first item
	macs    []mac

	timestamp string // as it was signed
	time      time.Time
	timed     bool
	origin    string // scheme and host of the URL, in this spelling
	respelt   bool   // the content is that of its function's second spelling
	document  jsonDocument

	states    []hash.Hash // one a key
	streaming bool        // the states have been fed up to the body
	sum       mac         // under the first key
}

// parseSignature reads a signature's text into lanes. Items and whole lists that
// hold no well-formed signature are passed over, as long as one does.
func (p *plan) parseSignature(text string, lanes []lane) ([]lane, Reason) {
	s := &p.scheme.Signature
	if text == "" {
		return lanes, ReasonMissingSignature
	}
	if len(text) > maxSignature {
		return lanes, ReasonMalformedSignature
	}
	if s.Groups == "" {
		return p.parseList(text, lanes)
	}
	if strings.Count(text, s.Groups) >= maxGroups {
		return lanes, ReasonMalformedSignature
	}
	before, first := len(lanes), ReasonMissingSignature
	for group := range strings.SplitSeq(text, s.Groups) {
		if group = trim(group); group == "" {
			continue
		}
		var reason Reason
		if lanes, reason = p.parseList(group, lanes); reason != "" && first == ReasonMissingSignature {
			first = reason
		}
	}
	if len(lanes) == before {
		return lanes, first
	}
	return lanes, ""
}

// parseList reads one list, or the one signature that stands in its place.
func (p *plan) parseList(text string, lanes []lane) ([]lane, Reason) {
	s := &p.scheme.Signature
	text, ok := p.cutPrefix(text)
	if !ok {
		return lanes, ReasonMalformedSignature
	}
	if text == "" {
		return lanes, ReasonMissingSignature
	}
	l := lane{content: p.content, macs: p.macs(lanes)}
	if s.Separator == "" {
		m, ok := p.decodeMAC(text)
		if !ok {
			return lanes, ReasonMalformedSignature
		}
		l.macs = append(l.macs, m)
		return p.addLane(lanes, l), ""
	}
	if strings.Count(text, s.Separator) >= maxItems {
		return lanes, ReasonMalformedSignature
	}
	if p.timestamp.in == "first" {
		l.first, text, _ = strings.Cut(text, s.Separator)
		l.first = trim(l.first)
	}
	tag, reason := p.strongest(text)
	if reason != "" {
		return lanes, reason
	}
	if content := p.tagContents[tag]; content != nil {
		l.content = content
	}
	if reason := p.readItems(&l, text, tag); reason != "" {
		return lanes, reason
	}
	return p.addLane(lanes, l), ""
}

// readItems reads a list's signatures, which have this tag where there are tags, and
// keeps the items that hold none.
func (p *plan) readItems(l *lane, list, tag string) Reason {
	s := &p.scheme.Signature
	candidates := 0
	for item := range strings.SplitSeq(list, s.Separator) {
		if item = trim(item); item == "" {
			continue
		}
		value := item
		if len(s.Tags) > 0 {
			name, after, ok := strings.Cut(item, p.assign)
			if !ok {
				continue
			}
			if tag != "*" && name != tag {
				l.items = append(l.items, pair{name, after})
				continue
			}
			value = after
		}
		candidates++
		if m, ok := p.decodeMAC(value); ok && len(l.macs) < maxSignatures {
			l.macs = append(l.macs, m)
		}
	}
	switch {
	case candidates == 0:
		return ReasonMissingSignature
	case len(l.macs) == 0:
		return ReasonMalformedSignature
	}
	return ""
}

// cutPrefix drops the scheme's prefix. The name of an HTTP authentication
// scheme, alone among prefixes, may be written in either case.
func (p *plan) cutPrefix(text string) (string, bool) {
	prefix := p.scheme.Signature.Prefix
	authorization := len(p.headers) == 1 && p.headers[0] == "Authorization"
	if strings.HasPrefix(text, prefix) || authorization && hasPrefixFold(text, prefix) {
		return text[len(prefix):], true
	}
	return "", false
}

// strongest is the first of the scheme's tags that the list holds, well-formed
// or not: a weaker signature never stands in for a stronger one.
func (p *plan) strongest(list string) (tag string, reason Reason) {
	s := &p.scheme.Signature
	if len(s.Tags) == 0 {
		return "", ""
	}
	if s.Tags[0] == "*" {
		return "*", ""
	}
	best := len(s.Tags)
	for item := range strings.SplitSeq(list, s.Separator) {
		name, _, ok := strings.Cut(trim(item), p.assign)
		if i := slices.Index(s.Tags, name); ok && i >= 0 {
			best = min(best, i)
		}
	}
	if best == len(s.Tags) {
		return "", ReasonMissingSignature
	}
	return s.Tags[best], ""
}

// macs are the signatures that stand in other headers already: where nothing
// tells the lists apart, they share a lane.
func (p *plan) macs(lanes []lane) []mac {
	if p.scheme.Signature.several() && len(lanes) == 1 {
		return lanes[0].macs
	}
	if n := len(lanes); n < cap(lanes) {
		return lanes[:n+1][n].macs[:0] // the room that a check has for the usual request
	}
	return nil
}

func (p *plan) addLane(lanes []lane, l lane) []lane {
	if p.scheme.Signature.several() && len(lanes) == 1 {
		lanes[0].macs = l.macs
		return lanes
	}
	return append(lanes, l)
}

// decodeMAC decodes one signature. A token is compared by its digest.
func (p *plan) decodeMAC(text string) (mac, bool) {
	if p.scheme.Construction == "token" {
		sum := sha256.Sum256([]byte(text))
		m := mac{size: len(sum)}
		copy(m.sum[:], sum[:])
		return m, text != ""
	}
	if p.size == 0 {
		return p.encoding.decodeLong(text)
	}
	return p.encoding.decodeMAC(text, p.size)
}

// trim drops the blanks around an item.
func trim(s string) string { return strings.Trim(s, " \t") }
