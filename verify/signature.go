package verify

import (
	"crypto/sha256"
	"hash"
	"slices"
	"strings"
	"time"
)

// candidate is one set of signatures with what they sign. Nearly every request has
// one; several groups of a list, several elements of a body or two spellings
// of what is signed have one each.
type candidate struct {
	content   *template
	items     []pair // of the signature's list that hold no signature
	firstItem string // the list's first item
	macs      []mac

	timestamp string // as it was signed
	time      time.Time
	hasTime   bool
	origin    string // scheme and host of the URL, in this spelling
	altForm   bool   // the content is that of its function's second spelling
	document  jsonDocument

	states    []hash.Hash // one a key
	streaming bool        // the states have been fed up to the body
	sum       mac         // under the first key
}

// parseSignature reads a signature's text into candidates. Items and whole lists that
// hold no well-formed signature are passed over, as long as one does.
func (p *plan) parseSignature(text string, candidates []candidate) ([]candidate, Reason) {
	s := &p.scheme.Signature
	if text == "" {
		return candidates, ReasonMissingSignature
	}
	if len(text) > maxSignatureText {
		return candidates, ReasonMalformedSignature
	}
	if s.Groups == "" {
		return p.parseList(text, candidates)
	}
	if strings.Count(text, s.Groups) >= maxGroups {
		return candidates, ReasonMalformedSignature
	}
	before, first := len(candidates), ReasonMissingSignature
	for group := range strings.SplitSeq(text, s.Groups) {
		if group = trim(group); group == "" {
			continue
		}
		var reason Reason
		if candidates, reason = p.parseList(group, candidates); reason != "" && first == ReasonMissingSignature {
			first = reason
		}
	}
	if len(candidates) == before {
		return candidates, first
	}
	return candidates, ""
}

// parseList reads one list, or the one signature that stands in its place.
func (p *plan) parseList(text string, candidates []candidate) ([]candidate, Reason) {
	s := &p.scheme.Signature
	text, ok := p.cutPrefix(text)
	if !ok {
		return candidates, ReasonMalformedSignature
	}
	if text == "" {
		return candidates, ReasonMissingSignature
	}
	cand := candidate{content: p.content, macs: p.macs(candidates)}
	if s.Separator == "" {
		m, ok := p.decodeMAC(text)
		if !ok {
			return candidates, ReasonMalformedSignature
		}
		cand.macs = append(cand.macs, m)
		return p.addCandidate(candidates, cand), ""
	}
	if strings.Count(text, s.Separator) >= maxItems {
		return candidates, ReasonMalformedSignature
	}
	if p.timestamp.in == "first" {
		cand.firstItem, text, _ = strings.Cut(text, s.Separator)
		cand.firstItem = trim(cand.firstItem)
	}
	tag, reason := p.strongest(text)
	if reason != "" {
		return candidates, reason
	}
	if content := p.tagContents[tag]; content != nil {
		cand.content = content
	}
	if reason := p.readItems(&cand, text, tag); reason != "" {
		return candidates, reason
	}
	return p.addCandidate(candidates, cand), ""
}

// readItems reads a list's signatures, which have this tag where there are tags, and
// keeps the items that hold none.
func (p *plan) readItems(cand *candidate, list, tag string) Reason {
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
				cand.items = append(cand.items, pair{name, after})
				continue
			}
			value = after
		}
		candidates++
		if m, ok := p.decodeMAC(value); ok && len(cand.macs) < maxSignatures {
			cand.macs = append(cand.macs, m)
		}
	}
	switch {
	case candidates == 0:
		return ReasonMissingSignature
	case len(cand.macs) == 0:
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
// tells the lists apart, they share a candidate.
func (p *plan) macs(candidates []candidate) []mac {
	if p.scheme.Signature.multipleHeaders() && len(candidates) == 1 {
		return candidates[0].macs
	}
	if n := len(candidates); n < cap(candidates) {
		return candidates[:n+1][n].macs[:0] // the room that a check has for the usual request
	}
	return nil
}

func (p *plan) addCandidate(candidates []candidate, cand candidate) []candidate {
	if p.scheme.Signature.multipleHeaders() && len(candidates) == 1 {
		candidates[0].macs = cand.macs
		return candidates
	}
	return append(candidates, cand)
}

// decodeMAC decodes one signature. A token is compared by its digest.
func (p *plan) decodeMAC(text string) (mac, bool) {
	if p.scheme.Construction == "token" {
		sum := sha256.Sum256([]byte(text))
		m := mac{size: len(sum)}
		copy(m.sum[:], sum[:])
		return m, text != ""
	}
	if p.macSize == 0 {
		return p.encoding.decodeLong(text)
	}
	return p.encoding.decodeMAC(text, p.macSize)
}

// trim drops the blanks around an item.
func trim(s string) string { return strings.Trim(s, " \t") }
