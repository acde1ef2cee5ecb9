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

// addSignature adds the candidates that a signature's text has, or returns why it has
// none. Items and groups without a well-formed signature are ignored, as long as one has
// one.
func (c *check) addSignature(text string) Reason {
	s := &c.v.plan.scheme.Signature
	switch {
	case text == "":
		return ReasonMissingSignature
	case len(text) > maxSignatureText:
		return ReasonMalformedSignature
	case s.Groups == "":
		return c.addList(text)
	case strings.Count(text, s.Groups) >= maxGroups:
		return ReasonMalformedSignature
	}
	before, firstReason := len(c.candidates), ReasonMissingSignature
	for group := range strings.SplitSeq(text, s.Groups) {
		if group = trim(group); group == "" {
			continue
		}
		if reason := c.addList(group); reason != "" && firstReason == ReasonMissingSignature {
			firstReason = reason
		}
	}
	if len(c.candidates) == before {
		return firstReason
	}
	return ""
}

// addList adds the candidate that one list, or a single signature, has.
func (c *check) addList(text string) Reason {
	p := c.v.plan
	s := &p.scheme.Signature
	text, ok := p.cutPrefix(text)
	switch {
	case !ok:
		return ReasonMalformedSignature
	case text == "":
		return ReasonMissingSignature
	}
	cand := candidate{content: p.content, macs: c.initialMACs()}
	if s.Separator == "" {
		m, ok := p.decodeMAC(text)
		if !ok {
			return ReasonMalformedSignature
		}
		cand.macs = append(cand.macs, m)
		c.addCandidate(cand)
		return ""
	}
	if strings.Count(text, s.Separator) >= maxItems {
		return ReasonMalformedSignature
	}
	if p.timestamp.in == "first" {
		cand.firstItem, text, _ = strings.Cut(text, s.Separator)
		cand.firstItem = trim(cand.firstItem)
	}
	tag, reason := p.strongestTag(text)
	if reason != "" {
		return reason
	}
	if content := p.tagContents[tag]; content != nil {
		cand.content = content
	}
	if reason := p.readItems(&cand, text, tag); reason != "" {
		return reason
	}
	c.addCandidate(cand)
	return ""
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
func (c *check) initialMACs() []mac {
	switch len(c.candidates) {
	case 0:
		return c.twoMACs[:0]
	case 1:
		if c.v.plan.scheme.Signature.multipleHeaders() {
			return c.candidates[0].macs
		}
	}
	return nil
}

func (c *check) addCandidate(cand candidate) {
	if c.v.plan.scheme.Signature.multipleHeaders() && len(c.candidates) == 1 {
		c.candidates[0].macs = cand.macs
		return
	}
	c.candidates = append(c.candidates, cand)
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
