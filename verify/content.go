package verify

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// content is the scheme's template, with its default filled in. A token is
// compared as the plain digest of the secret.
func (s Scheme) content() string {
	if s.Construction == "token" {
		return "{secret}"
	}
	return cmp.Or(s.Content, "{body}")
}

// compileContent compiles a template and finds out what it covers. With digest,
// the URL that it covers holds the body's hash.
func (p *plan) compileContent(text string, digest bool) (*template, error) {
	t, err := compileTemplate(text)
	if err != nil {
		return nil, err
	}
	t.streamable = t.body >= 0
	t.formFields = t.has(segFormField, "") && !t.includesBody()
	p.setBoundaries(t)
	if err := p.checkNeighbours(t, text); err != nil {
		return nil, err
	}
	for i, seg := range t.segments {
		if err := p.checkPlaceholder(seg.kind); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		if i < t.body && p.needsBody(&seg) {
			t.streamable = false
		}
		switch seg.kind {
		case segSecret:
			t.usesSecret = true
		case segBodyHash:
			if !slices.Contains(p.bodyHashes, seg.hash) {
				p.bodyHashes = append(p.bodyHashes, seg.hash)
			}
		case segURL, segURLNoQuery, segFunc:
			p.signsURL = true
		}
	}
	t.signed = Signed{
		ID:        t.has(segID, "") || p.covers(t, p.id),
		Timestamp: t.has(segTimestamp, "") || p.covers(t, p.timestamp),
		EventType: t.has(segEventType, "") || p.covers(t, p.eventType),
		Body:      digest || p.coversBody(t),
	}
	return t, p.checkCoverage(t, text)
}

// checkCoverage refuses a content that proves nothing, or that nobody could make.
func (p *plan) checkCoverage(t *template, text string) error {
	unbound := !t.signed.Body && !p.scheme.UnboundBody
	switch {
	case p.scheme.Construction == "hash" && !t.usesSecret:
		return fmt.Errorf("%q holds no secret, so that anyone can make this hash; add {secret}, or leave the construction out for an HMAC", text)
	case p.signature.inBody() && t.includesBody():
		return fmt.Errorf("%q signs the whole body, in which the signature itself stands; sign the fields around it, such as {json.data}", text)
	case p.coversSignature(t):
		return fmt.Errorf("%q covers the signature itself, so that nobody could make one; take that out", text)
	case unbound && p.scheme.Construction == "token":
		return errors.New("a token signs nothing, so that anyone who has seen it can send what they like; if you accept that, write: unbound_body allow")
	case unbound:
		return fmt.Errorf("%q leaves the body unsigned, so that anyone can change it; add {body}, or, if you accept that, write: unbound_body allow", text)
	}
	return nil
}

// checkWord refuses the words for which the scheme has no place.
func (p *plan) checkPlaceholder(w segmentKind) error {
	switch {
	case w == segTimestamp && p.timestamp.in == "":
		return errors.New("{timestamp} stands nowhere; set timestamp, such as header X-Acme-Timestamp")
	case w == segID && p.id.in == "":
		return errors.New("{id} stands nowhere; set id, such as header X-Acme-Delivery")
	case w == segEventType && p.eventType.in == "":
		return errors.New("{event_type} stands nowhere; set event_type, such as header X-Acme-Event")
	case w == segListItem && p.scheme.Signature.Separator == "":
		return errors.New("{field.…} is an item of the signature's list; set the signature's separator")
	case w == segSecret && p.scheme.Construction != "hash" && p.scheme.Construction != "token":
		return errors.New("{secret} is for construction hash; an HMAC has the secret as its key")
	}
	return nil
}

// late says whether a segment needs the body beside streaming it.
func (p *plan) needsBody(s *segment) bool {
	switch s.kind {
	case segBodyHash, segJSON, segFormField:
		return true
	case segTimestamp:
		return p.timestamp.inBody()
	case segID:
		return p.id.inBody()
	case segEventType:
		return p.eventType.inBody()
	}
	return s.isWholeForm()
}

// isForm says whether a segment is all of the form that the body then is.
func (s *segment) isWholeForm() bool {
	return s.kind == segFormSorted || s.kind == segFunc && s.function.coversBody
}

// covers says whether a content covers the place of a value.
func (p *plan) covers(t *template, at place) bool {
	for _, s := range t.segments {
		if s.kind == segFunc && slices.ContainsFunc(s.function.covers, func(by place) bool { return by.in == at.in && by.name == at.name }) {
			return true
		}
	}
	switch at.in {
	case "header":
		return t.has(segHeader, at.name)
	case "query":
		return t.has(segQueryParam, at.name) || t.has(segQuery, "") || t.has(segURI, "") || t.has(segURL, "")
	case "field":
		return t.has(segListItem, at.name)
	case "json":
		// An element that is signed for itself has names of its own.
		return p.each == nil && t.has(segJSON, at.name) || p.coversBody(t)
	case "form":
		return t.has(segFormField, at.name) || p.coversBody(t)
	}
	return false
}

// coversSignature says whether a content holds what it is the signature of.
func (p *plan) coversSignature(t *template) bool {
	if p.signature.in == "header" {
		return slices.ContainsFunc(p.headers, func(name string) bool { return p.refersTo(t, "header", name) })
	}
	return p.refersTo(t, p.signature.in, p.signature.name) || p.signature.in == "query" && p.covers(t, p.signature)
}

// holds says whether a content names the value of that place, by where it stands or
// by what it is.
func (p *plan) refersTo(t *template, in, name string) bool {
	is := func(w segmentKind, at place) bool { return at.in == in && at.name == name && t.has(w, "") }
	return name != "" && t.has(namedPlaceholders[in], name) || is(segTimestamp, p.timestamp) || is(segID, p.id) || is(segEventType, p.eventType)
}

// coversBody says whether a content covers the whole body. Named fields of a
// form do, since a form that holds others is then refused.
func (p *plan) coversBody(t *template) bool {
	return t.includesBody() || t.has(segFormField, "") && !p.scheme.UnboundBody
}

// whole says whether a content holds all of the body.
func (t *template) includesBody() bool {
	return slices.ContainsFunc(t.segments, func(s segment) bool {
		return s.kind == segBody || s.kind == segBodyHash || s.isWholeForm()
	})
}

// readsFormAlone says whether a content can be made of a form only.
func (p *plan) needsForm(t *template) bool {
	return slices.ContainsFunc(t.segments, func(s segment) bool {
		return s.isWholeForm() || s.kind == segFormField || s.kind == segTimestamp && p.timestamp.in == "form"
	})
}

func (p *plan) compileTagContents() error {
	s := p.scheme.Signature
	for _, tag := range sortedKeys(s.TagContents) {
		if !slices.Contains(s.Tags, tag) {
			return fmt.Errorf("%q is none of the tags; add it to tags", tag)
		}
		t, err := p.compileContent(s.TagContents[tag], false)
		if err != nil {
			return fmt.Errorf("%s: %w", tag, err)
		}
		if p.tagContents == nil {
			p.tagContents = make(map[string]*template)
		}
		p.tagContents[tag] = t
	}
	return nil
}

func (p *plan) checkBodyDigest() error {
	if p.scheme.BodyDigest == "" {
		return nil
	}
	if !p.content.has(segURL, "") && !p.content.has(segQuery, "") && !p.content.has(segURI, "") {
		return errors.New("the digest stands in the URL, which the content does not cover; add {url}")
	}
	if !slices.Contains(p.bodyHashes, crypto.SHA256) {
		p.bodyHashes = append(p.bodyHashes, crypto.SHA256)
	}
	return nil
}

// checkTimeCovered refuses a time that no signature covers: it would bound
// nothing, since anyone can write a new one.
func (p *plan) checkTimestampCovered() error {
	if p.timestamp.in == "" {
		return nil
	}
	for _, t := range p.contents() {
		if !t.signed.Timestamp {
			return errors.New("the signature does not cover the time, so that anyone can renew it; add {timestamp} to the content, or drop the timestamp")
		}
	}
	return nil
}

// contents are all templates of the scheme.
func (p *plan) contents() []*template {
	list := []*template{p.content}
	if p.formContent != nil {
		list = append(list, p.formContent)
	}
	return slices.AppendSeq(list, maps.Values(p.tagContents))
}

// Bounds are what a scheme's signature protects.
type Bounds struct {
	// Time: a signed time bounds how old a message may be.
	Time bool
	// Body: the whole body is covered.
	Body bool
	// Message: the MAC tells one message from another, so that a replay can be
	// known by it. Where it is false, two messages can have the same MAC, and a
	// replay memory would drop the second.
	Message bool
}

// Replay says whether Replays keep every second copy out: a message is known by its
// MAC, and its key need not be kept for longer than its time is accepted.
func (b Bounds) Replay() bool { return b.Time && b.Message }

// Bounds are what the scheme's signature protects; nothing where the scheme is
// not valid.
func (s Scheme) Bounds() Bounds {
	p, err := compile(s)
	if err != nil {
		return Bounds{}
	}
	return p.bounds
}

func (p *plan) computeBounds() Bounds {
	b := Bounds{Time: p.scheme.Timestamp.Past >= 0, Body: true, Message: true}
	for _, t := range p.contents() {
		b.Time = b.Time && t.signed.Timestamp
		b.Body = b.Body && t.signed.Body
		b.Message = b.Message && (t.signed.Body || t.signed.ID)
	}
	return b
}
