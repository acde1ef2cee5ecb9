package verify

import (
	"crypto/sha256"
	"hash"
	"slices"
	"strings"
	"time"
)

// candidate is a set of signatures and the content that one of them should have
// signed. Nearly every request has one. There are several if the signature has
// several groups, if the elements of the body are signed separately, or if the signed
// content can have two forms.
type candidate struct {
	content   *template
	items     []pair // of the signature's list, except the signatures
	firstItem string // of the signature's list, where that is the timestamp
	macs      []mac

	timestamp string // as it was signed
	time      time.Time
	hasTime   bool
	origin    string        // the URL's scheme and host, with or without the port
	altForm   bool          // the content's function uses its second form
	document  *jsonDocument // the element, where elements are signed separately

	states    []hash.Hash // one for each key
	streaming bool        // the states have hashed all that comes before the body
	sum       mac         // the computed MAC under the first key
}

// parseSignature appends the candidates that a signature's text has. Items and groups
// without a well-formed signature are ignored, as long as one has one.
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
	before, firstReason := len(candidates), ReasonMissingSignature
	for group := range strings.SplitSeq(text, s.Groups) {
		if group = trim(group); group == "" {
			continue
		}
		var reason Reason
		if candidates, reason = p.parseList(group, candidates); reason != "" && firstReason == ReasonMissingSignature {
			firstReason = reason
		}
	}
	if len(candidates) == before {
		return candidates, firstReason
	}
	return candidates, ""
}

// parseList appends the candidate that one list, or a single signature, has.
func (p *plan) parseList(text string, candidates []candidate) ([]candidate, Reason) {
	s := &p.scheme.Signature
	text, ok := p.cutPrefix(text)
	if !ok {
		return candidates, ReasonMalformedSignature
	}
	if text == "" {
		return candidates, ReasonMissingSignature
	}
	cand := candidate{content: p.content, macs: p.initialMACs(candidates)}
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
	tag, reason := p.strongestTag(text)
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

// readItems reads a list's signatures, which have the given tag where the scheme has
// tags, and keeps the other items.
func (p *plan) readItems(cand *candidate, list, tag string) Reason {
	s := &p.scheme.Signature
	signatures := 0
	for item := range strings.SplitSeq(list, s.Separator) {
		if item = trim(item); item == "" {
			continue
		}
		value := item
		if len(s.Tags) > 0 {
			name, after, ok := strings.Cut(item, s.assign())
			if !ok {
				continue
			}
			if tag != "*" && name != tag {
				cand.items = append(cand.items, pair{name, after})
				continue
			}
			value = after
		}
		signatures++
		if m, ok := p.decodeMAC(value); ok && len(cand.macs) < maxSignatures {
			cand.macs = append(cand.macs, m)
		}
	}
	switch {
	case signatures == 0:
		return ReasonMissingSignature
	case len(cand.macs) == 0:
		return ReasonMalformedSignature
	}
	return ""
}

// cutPrefix removes the scheme's prefix. Its case only doesn't matter in an
// Authorization header, where it is the name of an HTTP authentication scheme.
func (p *plan) cutPrefix(text string) (string, bool) {
	prefix := p.scheme.Signature.Prefix
	authorization := len(p.headers) == 1 && p.headers[0] == "Authorization"
	if strings.HasPrefix(text, prefix) || authorization && hasPrefixFold(text, prefix) {
		return text[len(prefix):], true
	}
	return "", false
}

// strongestTag returns the first of the scheme's tags that is in the list, even if
// its signature is malformed: a weaker one never replaces a stronger one.
func (p *plan) strongestTag(list string) (tag string, reason Reason) {
	s := &p.scheme.Signature
	if len(s.Tags) == 0 {
		return "", ""
	}
	if s.Tags[0] == "*" {
		return "*", ""
	}
	best := len(s.Tags)
	for item := range strings.SplitSeq(list, s.Separator) {
		name, _, ok := strings.Cut(trim(item), s.assign())
		if i := slices.Index(s.Tags, name); ok && i >= 0 {
			best = min(best, i)
		}
	}
	if best == len(s.Tags) {
		return "", ReasonMissingSignature
	}
	return s.Tags[best], ""
}

// initialMACs returns the signatures to which those of the next list are appended.
// Signatures from several headers share one candidate.
func (p *plan) initialMACs(candidates []candidate) []mac {
	if p.scheme.Signature.multipleHeaders() && len(candidates) == 1 {
		return candidates[0].macs
	}
	if n := len(candidates); n < cap(candidates) {
		return candidates[:n+1][n].macs[:0] // the space that a check has for the usual request
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

// decodeMAC decodes one signature. Of a token it takes the SHA-256, by which tokens
// are compared.
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

// trim removes the spaces and tabs around an item.
func trim(s string) string { return strings.Trim(s, " \t") }
