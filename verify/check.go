package verify

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"io"
	"math/bits"
	"net/http"
	"slices"
)

// Check is one request under judgement. It is used by one goroutine, and not
// after Finish.
type Check struct {
	v      *Verifier
	in     input
	lanes  []lane
	digest string // what the URL says of the body,
	bound  bool   // where it says it
	bare   bool   // nothing would bind a body
	holed  bool   // a NUL byte went by
	hashes []hash.Hash
	size   int64
	reply  *Reply

	// Room for the usual request: one lane, two signatures, two secrets.
	oneLane   [1]lane
	twoMACs   [2]mac
	twoStates [2]hash.Hash
	buffer    [128]byte
	spans     [2]jsonSpan
}

// Reply is the answer to a handshake that needs no body, or nil. With one,
// there is nothing to write and nothing to finish.
func (c *Check) Reply() *Reply { return c.reply }

// begin makes the checks that need no body.
func (c *Check) begin() Reason {
	if h := c.v.handshake; h != nil && h.head != nil {
		var reason Reason
		if c.reply, reason = h.head(c); c.reply != nil || reason != "" {
			return reason
		}
	}
	if c.in.method != http.MethodPost {
		return ReasonMethodNotAllowed
	}
	for _, step := range [...]func() Reason{c.readSignature, c.readTimes, c.readHeaders, c.checkContentType, c.start} {
		if reason := step(); reason != "" {
			return reason
		}
	}
	for _, h := range c.v.plan.bodyHashes {
		c.hashes = append(c.hashes, h.New())
	}
	return ""
}

// readSignature reads the signatures that stand outside the body into lanes.
func (c *Check) readSignature() Reason {
	p := c.v.plan
	switch p.signature.in {
	case "query":
		text, _, reason := c.in.queryOnce(p.signature.name)
		if reason != "" {
			return reason
		}
		return c.addSignature(text)
	case "header":
		return c.readSignatureHeaders()
	}
	return ""
}

func (c *Check) readSignatureHeaders() Reason {
	first := ReasonMissingSignature
	for _, name := range c.v.plan.headers {
		text, found, reason := c.in.headerOnce(name)
		if reason != "" {
			return reason
		}
		if !found {
			continue
		}
		if reason := c.addSignature(text); reason != "" && first == ReasonMissingSignature {
			first = reason
		}
	}
	if len(c.lanes) == 0 {
		return first
	}
	return ""
}

// addSignature adds the lanes of one signature's text, or none.
func (c *Check) addSignature(text string) Reason {
	before := len(c.lanes)
	lanes, reason := c.v.plan.parseSignature(text, c.lanes)
	if reason != "" {
		lanes = lanes[:before]
	}
	c.lanes = lanes
	return reason
}

// readTimes reads the times that stand outside the body, and drops the lanes
// whose time is off.
func (c *Check) readTimes() Reason {
	if p := c.v.plan; p.timestamp.in == "" || p.timestamp.late() || len(c.lanes) == 0 {
		return ""
	}
	var first Reason
	good := c.lanes[:0]
	for i := range c.lanes {
		l := c.lanes[i]
		reason := c.readTime(&l)
		if reason == "" {
			reason = c.judgeTime(&l)
		}
		if reason == "" {
			good = append(good, l)
		} else if first == "" {
			first = reason
		}
	}
	c.lanes = good
	if len(good) > 0 {
		return ""
	}
	return first
}

// readTime reads a lane's time from wherever it stands.
func (c *Check) readTime(l *lane) Reason {
	p := c.v.plan
	var value string
	var found bool
	var reason Reason
	switch p.timestamp.in {
	case "":
		return ""
	case "field":
		value, found, reason = lookup(l.items, p.timestamp.name)
	case "first":
		value, found = l.first, true
	default:
		value, found, reason = c.in.value(p.timestamp, l.document)
	}
	switch {
	case reason == ReasonMalformedField:
		return ReasonMalformedTimestamp
	case reason != "":
		return reason
	case !found && p.scheme.Timestamp.Optional:
		return ""
	case !found || value == "":
		return ReasonMissingTimestamp
	}
	t, ok := p.format.parse(value)
	if !ok {
		return ReasonMalformedTimestamp
	}
	l.timestamp, l.time, l.timed = value, t, true
	return ""
}

func (c *Check) judgeTime(l *lane) Reason {
	if !l.timed {
		return ""
	}
	return c.v.tolerance.judge(l.time, c.v.now())
}

// readHeaders reads the id and the event type that stand outside the body.
func (c *Check) readHeaders() (reason Reason) {
	p := c.v.plan
	if c.in.id, reason = c.readOutside(p.id, ReasonMalformedID); reason != "" {
		return reason
	}
	c.in.eventType, reason = c.readOutside(p.eventType, ReasonMalformedField)
	return reason
}

func (c *Check) readOutside(at place, malformed Reason) (string, Reason) {
	if at.in == "" || at.late() {
		return "", ""
	}
	value, found, reason := c.in.value(at, nil)
	if found && value != "" && !at.admits(value) {
		return "", malformed
	}
	return value, reason
}

// admits says whether an id or event type has a form that can be shown and
// signed: printable, without blanks unless within an event type, of bounded
// length.
func (p place) admits(value string) bool {
	if len(value) > maxID || value != trim(value) {
		return false
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' || value[i] == ' ' && !p.blanks {
			return false
		}
	}
	return p.pattern == nil || p.pattern.MatchString(value)
}

// checkContentType refuses bodies that the scheme can't read, and chooses the
// content that goes with the others.
func (c *Check) checkContentType() Reason {
	p := c.v.plan
	reads := len(p.scheme.ContentTypes) > 0 || p.formContent != nil || p.readsForm || p.scheme.JSONField != ""
	if !reads && p.scheme.BodyDigest == "" {
		return ""
	}
	if len(c.in.header["Content-Type"]) > 1 {
		return ReasonRepeatedHeader
	}
	media := c.in.contentType()
	if len(p.scheme.ContentTypes) > 0 && !slices.Contains(p.scheme.ContentTypes, media) {
		return ReasonUnsupportedContentType
	}
	if p.scheme.BodyDigest != "" {
		var reason Reason
		if c.digest, c.bound, reason = c.in.queryOnce(p.scheme.BodyDigest); c.bound || reason != "" {
			return reason
		}
	}
	switch {
	case p.formContent != nil && media == typeForm:
		for i := range c.lanes {
			c.lanes[i].content = p.formContent
		}
	case p.scheme.BodyDigest != "":
		c.bare = true
		if c.in.size > 0 {
			return ReasonUnboundBody
		}
	case p.readsForm && media != typeForm && c.in.size != 0:
		return ReasonUnsupportedContentType
	}
	return ""
}

// start readies the lanes: their spellings of the URL, their hash states, and
// what is signed before the body.
func (c *Check) start() Reason {
	if c.v.plan.urls {
		c.spellURLs()
	}
	if c.v.plan.scheme.Construction == "ed25519" {
		return "" // the content is not hashed, but verified as a whole
	}
	for i := range c.lanes {
		l := &c.lanes[i]
		if i == 0 {
			l.states = c.twoStates[:0]
		}
		for _, k := range c.v.keys {
			l.states = append(l.states, k.get())
		}
		if !l.content.stream || c.in.body != nil {
			continue
		}
		if reason := c.feed(l, l.content.segments[:l.content.body]); reason != "" {
			return reason
		}
		l.streaming = true
	}
	return ""
}

// spellURLs gives each lane the URL's origin, and makes a second lane where it
// may be spelt with or without its default port.
func (c *Check) spellURLs() {
	for i := range c.lanes {
		c.lanes[i].origin = c.in.origin()
	}
	if c.v.plan.scheme.DefaultPort != "either" {
		return
	}
	if other, ok := c.in.otherOrigin(); ok {
		for _, l := range slices.Clone(c.lanes) {
			l.origin = other
			c.lanes = append(c.lanes, l)
		}
	}
}

// feed gives a lane's hash states what the segments stand for.
func (c *Check) feed(l *lane, segments []segment) Reason {
	if len(segments) == 0 {
		return ""
	}
	var text []byte
	for i, k := range c.v.keys {
		if i == 0 || l.content.secret {
			text = c.buffer[:0]
			for j := range segments {
				var reason Reason
				if text, reason = c.in.append(text, &segments[j], l, k.secret); reason != "" {
					return reason
				}
			}
		}
		l.states[i].Write(text)
	}
	return ""
}

// Write takes the body while it is read. It never fails.
func (c *Check) Write(p []byte) (int, error) {
	for i := range c.lanes {
		if c.lanes[i].streaming {
			for _, h := range c.lanes[i].states {
				h.Write(p)
			}
		}
	}
	for _, h := range c.hashes {
		h.Write(p)
	}
	if c.v.plan.scheme.Construction == "hash" && bytes.IndexByte(p, 0) >= 0 {
		c.holed = true
	}
	c.size += int64(len(p))
	return len(p), nil
}

// Finish gives the verdict. Body is the whole body, of which every byte was
// written; it is read only by the schemes that must parse it. A refusal is an
// *Error.
func (c *Check) Finish(body io.ReaderAt, size int64) (*Message, error) {
	defer c.release()
	m, reason := c.finish(body, size)
	if reason != "" {
		return nil, c.v.refuse(reason)
	}
	return m, nil
}

func (c *Check) finish(body io.ReaderAt, size int64) (*Message, Reason) {
	if c.size != size || c.reply != nil {
		return nil, ReasonUnreadableBody
	}
	c.in.body, c.in.size = body, size
	if c.holed {
		// A plain hash can be extended by whoever has seen it, but not without
		// the padding in between, which is full of NUL bytes.
		return nil, ReasonMalformedBody
	}
	if reason := c.checkDigest(); reason != "" {
		return nil, reason
	}
	if reason := c.readBody(); reason != "" {
		return nil, reason
	}
	l, secret, reason := c.verdict()
	if reason != "" {
		return nil, reason
	}
	if reason := c.checkLateTime(l); reason != "" {
		return nil, reason
	}
	c.readLateFields()
	m := c.message(l, secret)
	if h := c.v.plan.handshake; h != nil && h.oracle != nil && c.oracular(l, h) {
		return nil, ReasonBadSignature
	}
	if h := c.v.handshake; h != nil && h.signed != nil {
		if m.Reply, reason = h.signed(c, m); reason != "" {
			return nil, reason
		}
	}
	return m, ""
}

// checkDigest sums up the hashes of the body, and compares the one that the URL
// holds.
func (c *Check) checkDigest() Reason {
	for i, h := range c.v.plan.bodyHashes {
		c.in.hashes[hashPlace(h)] = c.hashes[i].Sum(nil)
	}
	if c.bare && c.in.size > 0 {
		return ReasonUnboundBody
	}
	if !c.bound {
		return ""
	}
	want, err := hex.DecodeString(c.digest)
	if err != nil || subtle.ConstantTimeCompare(want, c.in.hashes[hashPlace(sha256Hash)]) != 1 {
		return ReasonBadSignature
	}
	return ""
}

// readBody reads from the body what the signed content needs of it.
func (c *Check) readBody() Reason {
	p := c.v.plan
	if p.signature.late() {
		if reason := c.readBodySignatures(); reason != "" {
			return reason
		}
	}
	for i := range c.lanes {
		l := &c.lanes[i]
		if p.timestamp.late() && l.content.has(wordTimestamp, "") {
			if reason := c.readTime(l); reason != "" {
				return reason
			}
		}
		if l.content.fields && !p.scheme.UnboundBody {
			if reason := c.checkNoOtherFields(l); reason != "" {
				return reason
			}
		}
		if l.content.bracketed {
			if reason := c.checkBrackets(); reason != "" {
				return reason
			}
		}
		if reason := c.readSignedFields(l); reason != "" {
			return reason
		}
	}
	return ""
}

// readBodySignatures makes a lane for each signature that stands in the body.
func (c *Check) readBodySignatures() Reason {
	p := c.v.plan
	elements := []jsonDocument{nil}
	if p.each != nil {
		document, reason := c.in.json()
		if reason != "" {
			return reason
		}
		if elements, reason = document.elements(p.each); reason != "" {
			return reason
		}
		if len(elements) == 0 || len(elements) > maxElements {
			return ReasonMalformedBody
		}
	}
	for _, element := range elements {
		text, _, reason := c.in.value(p.signature, element)
		if reason == ReasonMalformedField {
			return ReasonMalformedSignature
		}
		if reason != "" {
			return reason
		}
		before := len(c.lanes)
		if reason := c.addSignature(text); reason != "" {
			return reason
		}
		for i := range c.lanes[before:] {
			c.lanes[before+i].document = element
		}
	}
	if reason := c.readTimes(); reason != "" {
		return reason
	}
	return c.start()
}

// checkNoOtherFields refuses a form with fields that nothing signs.
func (c *Check) checkNoOtherFields(l *lane) Reason {
	p := c.v.plan
	pairs, reason := c.in.form()
	if reason != "" {
		return reason
	}
	for _, pair := range pairs {
		signature := p.signature.in == "form" && pair.name == p.signature.name
		timestamp := p.timestamp.in == "form" && pair.name == p.timestamp.name && l.content.signed.Timestamp
		if !signature && !timestamp && !l.content.has(wordFormOf, pair.name) {
			return ReasonUnboundBody
		}
	}
	return ""
}

// checkBrackets refuses a body that is no JSON object or array.
func (c *Check) checkBrackets() Reason {
	var ends [2]byte
	if c.in.size < 2 {
		return ReasonMalformedBody
	}
	for i, offset := range [...]int64{0, c.in.size - 1} {
		if n, _ := c.in.body.ReadAt(ends[i:i+1], offset); n != 1 {
			return ReasonUnreadableBody
		}
	}
	if string(ends[:]) != "{}" && string(ends[:]) != "[]" {
		return ReasonMalformedBody
	}
	return ""
}

// readSignedFields reads an id and an event type that stand in the body and
// in the content.
func (c *Check) readSignedFields(l *lane) Reason {
	for _, field := range []struct {
		at   place
		word word
		to   *string
	}{{c.v.plan.id, wordID, &c.in.id}, {c.v.plan.eventType, wordEventType, &c.in.eventType}} {
		if !field.at.late() || !l.content.has(field.word, "") {
			continue
		}
		value, found, reason := c.in.value(field.at, l.document)
		switch {
		case reason != "":
			return reason
		case !found:
			return ReasonMissingField
		case !field.at.admits(value):
			return ReasonMalformedField
		}
		*field.to = value
	}
	return ""
}

// verdict finds the lane and the secret that match. Every secret is tried on
// every signature, so that the time it takes doesn't show which one matched.
func (c *Check) verdict() (*lane, int, Reason) {
	var found *lane
	var matched uint32 // a bit for each secret
	all := ^uint32(0)
	for i := range c.lanes {
		secrets, reason := c.match(&c.lanes[i])
		if reason != "" {
			return nil, 0, reason
		}
		all &= secrets
		if secrets != 0 && found == nil {
			found, matched = &c.lanes[i], secrets
		}
	}
	if c.v.plan.each != nil {
		matched &= all // one secret must have signed every element
	}
	if matched == 0 {
		return nil, 0, ReasonBadSignature
	}
	return found, bits.TrailingZeros32(matched), ""
}

// match completes a lane's hash states, and compares them with its signatures.
// It gives a bit for each secret that matches.
func (c *Check) match(l *lane) (uint32, Reason) {
	if c.v.plan.scheme.Construction == "ed25519" {
		return c.matchPublic(l)
	}
	rest := l.content.segments
	if l.streaming {
		rest = rest[l.content.body+1:]
	} else if i := l.content.body; i >= 0 {
		if reason := c.feed(l, rest[:i]); reason != "" {
			return 0, reason
		}
		if reason := c.feedBody(l); reason != "" {
			return 0, reason
		}
		rest = rest[i+1:]
	}
	if reason := c.feed(l, rest); reason != "" {
		return 0, reason
	}
	var secrets uint32
	for i := len(l.states) - 1; i >= 0; i-- {
		sum := l.states[i].Sum(c.buffer[:0])
		equal := 0
		for j := range l.macs {
			equal |= subtle.ConstantTimeCompare(sum, l.macs[j].bytes())
		}
		secrets |= uint32(equal) << i
		l.sum.size = copy(l.sum.sum[:], sum)
	}
	return secrets, ""
}

// feedBody gives a lane's hash states the body, where it couldn't be streamed.
func (c *Check) feedBody(l *lane) Reason {
	states := make([]io.Writer, len(l.states))
	for i, h := range l.states {
		states[i] = h
	}
	n, err := io.Copy(io.MultiWriter(states...), io.NewSectionReader(c.in.body, 0, c.in.size))
	if err != nil || n != c.in.size {
		return ReasonUnreadableBody
	}
	return ""
}

// checkLateTime judges a time that stands in the body, which is proven by now.
func (c *Check) checkLateTime(l *lane) Reason {
	if !c.v.plan.timestamp.late() {
		return ""
	}
	if !l.timed {
		c.in.trusted = true
		if reason := c.readTime(l); reason != "" {
			return reason
		}
	}
	for i := range c.lanes {
		if reason := c.judgeTime(&c.lanes[i]); reason != "" {
			return reason
		}
	}
	return ""
}

// readLateFields reads the id and the event type that stand in the body. They
// only inform: what isn't there, or has no form that can be shown, is empty.
func (c *Check) readLateFields() {
	p := c.v.plan
	c.readLateForm(p.id, &c.in.id)
	c.readLateForm(p.eventType, &c.in.eventType)
	c.readLateJSON()
}

func (c *Check) readLateForm(at place, to *string) {
	if at.in != "form" || *to != "" {
		return
	}
	if value, _, reason := c.in.value(at, nil); reason == "" && at.admits(value) {
		*to = value
	}
}

func (c *Check) readLateJSON() {
	p := c.v.plan
	if len(p.lateJSON) == 0 || c.in.size == 0 {
		return
	}
	body, size := c.in.body, c.in.size
	if p.scheme.JSONField != "" {
		document, reason := c.in.json()
		if reason != "" {
			return
		}
		body, size = document.reader()
	}
	spans := c.spans[:len(p.lateJSON)]
	findJSON(body, size, p.lateJSON, spans, false) // what it finds before an error counts
	for i, to := range [...]*string{&c.in.id, &c.in.eventType} {
		at := [...]place{p.id, p.eventType}[i]
		if at.in != "json" {
			continue
		}
		span := spans[0]
		spans = spans[1:]
		if *to != "" {
			continue
		}
		if value, ok := readJSONText(body, span); ok && at.admits(value) {
			*to = value
		}
	}
}

// message is what is known of a request that has proven itself.
func (c *Check) message(l *lane, secret int) *Message {
	held := new(struct { // the message with its MAC, in one piece
		Message
		sum [maxMAC]byte
	})
	m := &held.Message
	*m = Message{
		Provider:    c.v.plan.scheme.Name,
		ID:          c.in.id,
		EventType:   c.in.eventType,
		SecretIndex: secret,
		Signed:      l.content.signed,
		MAC:         c.replayMAC(l, held.sum[:0]),
	}
	if l.timed {
		m.Timestamp = l.time
	}
	m.Signed.ID = m.Signed.ID && m.ID != ""
	m.Signed.EventType = m.Signed.EventType && m.EventType != ""
	m.Signed.Timestamp = m.Signed.Timestamp && l.timed
	return m
}

// replayMAC is what tells one message from another: the MAC, or the hash of
// all of them where a body holds several.
func (c *Check) replayMAC(l *lane, dst []byte) []byte {
	if !c.v.plan.bounded.Message {
		return nil
	}
	if c.v.plan.each == nil {
		return append(dst, l.sum.bytes()...)
	}
	h := sha256.New()
	for i := range c.lanes {
		h.Write(c.lanes[i].sum.bytes())
	}
	return h.Sum(dst)
}

// oracular says whether what was signed is a string that the handshake would
// sign for anyone.
func (c *Check) oracular(l *lane, h *handshake) bool {
	if l.content.body >= 0 && c.in.size > maxChallenge {
		return false
	}
	content, reason := appendContent(nil, &c.in, l, nil)
	return reason != "" || h.oracle(string(content))
}

// release gives the hash states back.
func (c *Check) release() {
	for i := range c.lanes {
		l := &c.lanes[i]
		for j, h := range l.states {
			c.v.keys[j].put(h)
		}
		l.states = nil
	}
}
