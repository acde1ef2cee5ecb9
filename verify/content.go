package verify

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// content returns the scheme's template, with its default filled in. A token is
// compared like a plain hash of the secret.
func (s Scheme) content() string {
	if s.Construction == "token" {
		return "{secret}"
	}
	return cmp.Or(s.Content, "{body}")
}

func (p *plan) compileMainContent() (err error) {
	if p.scheme.Construction == "token" && p.scheme.Content != "" {
		return errors.New("a token signs nothing; drop the content")
	}
	p.content, err = p.compileContent(p.scheme.content(), p.scheme.BodyDigest != "")
	return err
}

func (p *plan) compileFormContent() (err error) {
	if p.scheme.FormContent != "" {
		p.formContent, err = p.compileContent(p.scheme.FormContent, false)
	}
	return err
}

// compileContent compiles a template and works out what it covers. digestInURL says
// that the URL in it has the hash of the body.
func (p *plan) compileContent(text string, digestInURL bool) (*template, error) {
	t, err := compileTemplate(text)
	if err != nil {
		return nil, err
	}
	p.setPlaces(t)
	t.streamable = t.body >= 0
	t.formFields = t.has(segFormField, "") && !t.includesBody()
	p.setBoundaries(t)
	if err := cmp.Or(t.checkUnrestricted(text), p.checkNeighbours(t, text)); err != nil {
		return nil, err
	}
	for i, seg := range t.segments {
		if err := p.checkPlaceholder(&seg); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		p.readsURL = p.readsURL || seg.mayReadURL()
		if i < t.body && seg.needsBody() {
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
		Body:      digestInURL || p.coversBody(t),
	}
	return t, p.checkCoverage(t, text)
}

// setPlaces sets where {timestamp}, {id} and {event_type} are.
func (p *plan) setPlaces(t *template) {
	places := map[segmentKind]place{segTimestamp: p.timestamp, segID: p.id, segEventType: p.eventType}
	for i, s := range t.segments {
		if at, ok := places[s.kind]; ok {
			t.segments[i].at = at
		}
	}
}

// checkCoverage returns an error for a content that proves nothing, or that can't be
// signed because it includes the signature.
func (p *plan) checkCoverage(t *template, text string) error {
	unbound := !t.signed.Body && !p.scheme.UnboundBody
	switch {
	case p.scheme.Construction == "hash" && !t.usesSecret:
		return fmt.Errorf("%q has no secret, so that anyone can make this hash; add {secret}, or leave out the construction for an HMAC", text)
	case p.signature.inBody() && t.includesBody():
		return fmt.Errorf("%q signs the whole body, which includes the signature itself; sign the other fields, such as {json.data}", text)
	case p.coversSignature(t):
		return fmt.Errorf("%q includes the signature itself, so that nobody could make one; take it out", text)
	case unbound && p.scheme.Construction == "token":
		return errors.New("a token signs nothing, so that anyone who has seen it can send what they like; if you accept that, write: unbound_body allow")
	case unbound:
		return fmt.Errorf("%q leaves the body unsigned, so that anyone can change it; add {body}, or, if you accept that, write: unbound_body allow", text)
	}
	return nil
}

// checkPlaceholder returns an error for a placeholder whose value the scheme doesn't
// have.
func (p *plan) checkPlaceholder(s *segment) error {
	kind, noTags := s.kind, len(p.scheme.Signature.Tags) == 0 // nor a list, then
	switch {
	case kind == segTimestamp && s.at.in == "":
		return errors.New("{timestamp} has no place to come from; set timestamp, such as header X-Acme-Timestamp")
	case kind == segID && s.at.in == "":
		return errors.New("{id} has no place to come from; set id, such as header X-Acme-Delivery")
	case kind == segEventType && s.at.in == "":
		return errors.New("{event_type} has no place to come from; set event_type, such as header X-Acme-Event")
	case p.each != nil && (kind == segID || kind == segEventType) && s.at.in == "json":
		return errors.New("id and event_type are those of the whole body, not of an element; name the element's value by its path, such as {json.id}")
	case kind == segListItem && noTags:
		return errors.New("{field.…} is an item of the signature's list; set the signature's separator and tags")
	case kind == segFunc && s.function.item != nil && noTags:
		return fmt.Errorf("{func.%s} needs an item of the signature's list; set the signature's separator and tags", s.text)
	case kind == segSecret && p.scheme.Construction != "hash" && p.scheme.Construction != "token":
		return errors.New("{secret} is for construction hash; an HMAC has the secret as its key")
	}
	return nil
}

// needsBody reports whether the value of a segment, other than {body}, is only known
// once the body has been read.
func (s *segment) needsBody() bool {
	return s.kind == segBodyHash || s.at.inBody() || s.isWholeForm()
}

// mayReadURL reports whether the value of a segment may come from the URL to which a
// message is sent.
func (s *segment) mayReadURL() bool {
	switch s.kind {
	case segLiteral, segBody, segTimestamp, segID, segEventType:
		return false
	}
	return true
}

// includesURL reports whether a content always includes a part of the URL.
func (t *template) includesURL() bool {
	return slices.ContainsFunc(t.segments, func(s segment) bool {
		return s.isURLPart() || s.kind == segHost || s.kind == segHostPort || s.kind == segFunc && s.function.signsURL
	})
}

// isWholeForm reports whether a segment includes every field of a form.
func (s *segment) isWholeForm() bool {
	return s.kind == segFormSorted || s.kind == segFunc && s.function.coversBody
}

// covers reports whether a content covers the value at a place.
func (p *plan) covers(t *template, at place) bool {
	for _, s := range t.segments {
		if s.kind == segFunc && slices.ContainsFunc(s.function.covers, func(c place) bool { return c.in == at.in && c.name == at.name }) {
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
		// With each, {json.…} names a value of the element.
		return p.each == nil && t.has(segJSON, at.name) || p.coversBody(t)
	case "form":
		return t.has(segFormField, at.name) || p.coversBody(t)
	}
	return false
}

// coversSignature reports whether a content includes its own signature.
func (p *plan) coversSignature(t *template) bool {
	if p.signature.in == "header" {
		return slices.ContainsFunc(p.headers, func(name string) bool { return t.refersTo("header", name) })
	}
	return t.refersTo(p.signature.in, p.signature.name) || p.signature.in == "query" && p.covers(t, p.signature)
}

// refersTo reports whether a content names the value at a place, by its location, such
// as {header.<name>}, or as {timestamp}, {id} or {event_type}.
func (t *template) refersTo(in, name string) bool {
	return slices.ContainsFunc(t.segments, func(s segment) bool { return s.at.in == in && s.at.name == name })
}

// coversBody reports whether a content covers the whole body. Named fields of a form
// do, since a form with other fields is refused.
func (p *plan) coversBody(t *template) bool {
	return t.includesBody() || t.has(segFormField, "") && !p.scheme.UnboundBody
}

// includesBody reports whether a content includes all of the body, or its hash.
func (t *template) includesBody() bool {
	return slices.ContainsFunc(t.segments, func(s segment) bool {
		return s.kind == segBody || s.kind == segBodyHash || s.isWholeForm()
	})
}

// needsForm reports whether a content can only be made from a form.
func (t *template) needsForm() bool {
	return slices.ContainsFunc(t.segments, func(s segment) bool {
		return s.isWholeForm() || s.kind == segFormField || s.kind == segTimestamp && s.at.in == "form"
	})
}

func (p *plan) compileTagContents() error {
	s := p.scheme.Signature
	for _, tag := range sortedKeys(s.TagContents) {
		if !slices.Contains(s.Tags, tag) {
			return fmt.Errorf("%q is not one of the tags; add it to tags", tag)
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

func (p *plan) compileBodyDigest() error {
	if p.scheme.BodyDigest == "" {
		return nil
	}
	if !p.content.has(segURL, "") && !p.content.has(segQuery, "") && !p.content.has(segURI, "") {
		return errors.New("the digest is in the URL, which the content does not cover; add {url}")
	}
	if !slices.Contains(p.bodyHashes, crypto.SHA256) {
		p.bodyHashes = append(p.bodyHashes, crypto.SHA256)
	}
	return nil
}

// checkTimestampCovered returns an error for a timestamp that is not signed: it limits
// nothing, since anyone can replace it.
func (p *plan) checkTimestampCovered() error {
	if p.timestamp.in == "" {
		return nil
	}
	for _, t := range p.contents() {
		if !t.signed.Timestamp {
			return errors.New("the signature does not cover the timestamp, so that anyone can renew it; add {timestamp} to the content, or drop the timestamp")
		}
	}
	return nil
}

// contents returns all templates of the scheme.
func (p *plan) contents() []*template {
	list := []*template{p.content}
	if p.formContent != nil {
		list = append(list, p.formContent)
	}
	return slices.AppendSeq(list, maps.Values(p.tagContents))
}

// Bounds says what a scheme's signature protects.
type Bounds struct {
	// Time: a signed timestamp limits how old a message may be.
	Time bool
	// Body: the signature covers the whole body.
	Body bool
	// Message: the MAC tells one message from another, so that a replay can be
	// recognized by it. If false, two messages can have the same MAC, and a replay
	// memory would drop the second one.
	Message bool
}

// Replay reports whether Replays can catch every replay: messages are recognized by
// their MAC, and a key need not be kept longer than its timestamp is accepted.
func (b Bounds) Replay() bool { return b.Time && b.Message }

// Bounds returns what the scheme's signature protects, or the zero value if the scheme
// is not valid.
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
