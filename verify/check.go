package verify

import (
	"bytes"
	"errors"
	"hash"
	"io"
	"net/http"
	"slices"
	"sync"
)

// Check is one request under judgement. It is used by one goroutine, and not
// after Finish.
type Check struct {
	check *check // nil once it is finished: by then it may be another request's
}

// Reply is the answer to a handshake that needs no body, or nil. With one,
// there is nothing to write and nothing to finish.
func (c *Check) Reply() *Reply {
	if c.check == nil {
		return nil
	}
	return c.check.reply
}

// Write takes the body while it is read. It fails only after Finish.
func (c *Check) Write(p []byte) (int, error) {
	if c.check == nil {
		return 0, errFinished
	}
	c.check.write(p)
	return len(p), nil
}

// Finish gives the verdict. Body is the whole body, size bytes long, of which every
// byte was written; it is read again only for what its hash doesn't say: values that
// stand in it, and where it ends. A refusal is an *Error.
func (c *Check) Finish(body io.ReaderAt, size int64) (*Message, error) {
	if c.check == nil {
		return nil, errFinished
	}
	held := c.check
	c.check = nil
	defer held.recycle()
	m, reason := held.finish(body, size)
	if reason != "" {
		return nil, held.v.refuse(reason)
	}
	return m, nil
}

var errFinished = errors.New("verify: this check was finished before")

// checks are those that nobody holds any more.
var checks = sync.Pool{New: func() any { return new(check) }}

// recycle makes the check another request's.
func (c *check) recycle() {
	c.releaseAllStates()
	c.in.releaseSlot()
	*c = check{}
	checks.Put(c)
}

// check is what a Check holds.
type check struct {
	v             *Verifier
	in            input
	candidates    []candidate
	urlDigest     string // what the URL says of the body,
	hasURLDigest  bool   // where it says it
	bodyForbidden bool   // nothing would bind a body
	hasNUL        bool   // a NUL byte went by
	headReason    Reason // why the head is refused, unless the body is a handshake
	bodyHashes    []hash.Hash
	size          int64
	reply         *Reply

	// Room for the usual request: one candidate, two signatures, two secrets.
	oneCandidate [1]candidate
	twoMACs      [2]mac
	twoStates    [2]hash.Hash
	buffer       [128]byte
	spans        [2]jsonSpan
}

// begin makes the checks that need no body.
func (c *check) begin() Reason {
	if h := c.v.handshake; h != nil && h.head != nil {
		var reason Reason
		if c.reply, reason = h.head(c); c.reply != nil || reason != "" {
			return reason
		}
	}
	if c.in.method != http.MethodPost {
		return ReasonMethodNotAllowed
	}
	for _, step := range [...]func() Reason{c.readSignature, c.readTimestamps, c.readHeadFields, c.checkContentType, c.startHashing} {
		if reason := step(); reason != "" {
			if !c.mayBeChallenge() {
				return reason
			}
			c.releaseAllStates()
			c.candidates, c.headReason = c.candidates[:0], reason
			return ""
		}
	}
	for _, h := range c.v.plan.bodyHashes {
		c.bodyHashes = append(c.bodyHashes, h.New())
	}
	return ""
}

// start readies the candidates: their spellings, and where the body can
// be hashed while it comes in, what is signed before it.
func (c *check) startHashing() Reason {
	if c.v.plan.signsURL {
		c.addURLForms()
	}
	for i := range c.candidates {
		cand := &c.candidates[i]
		if reason := c.checkURL(cand); reason != "" {
			return reason
		}
		if !cand.content.streamable || c.in.body != nil || c.v.plan.asymmetric {
			continue
		}
		c.acquireStates(cand)
		if reason := c.writeSegments(cand, cand.content.segments[:cand.content.body]); reason != "" {
			return reason
		}
		cand.streaming = true
	}
	return ""
}

// spell gives each candidate the URL's origin, and makes a second candidate where that may
// be spelt with or without its default port, or a function knows two spellings.
func (c *check) addURLForms() {
	for i := range c.candidates {
		c.candidates[i].origin = c.in.origin()
	}
	if slices.ContainsFunc(c.v.plan.content.segments, func(s segment) bool { return s.kind == segFunc && s.function.hasAltForm }) {
		for _, cand := range slices.Clone(c.candidates) {
			cand.altForm = true
			c.candidates = append(c.candidates, cand)
		}
	}
	if c.v.plan.scheme.DefaultPort != "either" {
		return
	}
	if other, ok := c.in.otherOrigin(); ok {
		for _, cand := range slices.Clone(c.candidates) {
			cand.origin = other
			c.candidates = append(c.candidates, cand)
		}
	}
}

// feed gives a candidate's hash states what the segments stand for.
func (c *check) writeSegments(cand *candidate, segments []segment) Reason {
	if len(segments) == 0 {
		return ""
	}
	var text []byte
	for i, k := range c.v.keys {
		if i == 0 || cand.content.usesSecret {
			text = c.buffer[:0]
			for j := range segments {
				var reason Reason
				if text, reason = c.in.append(text, &segments[j], cand, k.secret); reason != "" {
					return reason
				}
			}
		}
		cand.states[i].Write(text)
	}
	return ""
}

// write takes a piece of the body.
func (c *check) write(p []byte) {
	for i := range c.candidates {
		if c.candidates[i].streaming {
			for _, h := range c.candidates[i].states {
				h.Write(p)
			}
		}
	}
	for _, h := range c.bodyHashes {
		h.Write(p)
	}
	if c.v.plan.scheme.Construction == "hash" && bytes.IndexByte(p, 0) >= 0 {
		c.hasNUL = true
	}
	c.size += int64(len(p))
}

func (c *check) finish(body io.ReaderAt, size int64) (*Message, Reason) {
	if c.size != size || c.reply != nil {
		return nil, ReasonUnreadableBody
	}
	c.in.body, c.in.size = body, size
	if c.headReason != "" {
		return c.answerUnsigned()
	}
	if c.hasNUL {
		// A plain hash can be extended by whoever has seen it, but not without
		// the padding in between, which is full of NUL bytes.
		return nil, ReasonMalformedBody
	}
	if reason := c.checkBodyDigest(); reason != "" {
		return nil, reason
	}
	if reason := c.readBody(); reason != "" {
		return nil, reason
	}
	cand, secret, reason := c.findMatch()
	if reason != "" {
		return nil, reason
	}
	if reason := c.checkBodyTimestamp(cand); reason != "" {
		return nil, reason
	}
	c.readBodyFields()
	m := c.newMessage(cand, secret)
	if reason := c.checkOracle(cand); reason != "" {
		return nil, reason
	}
	if h := c.v.handshake; h != nil && h.signed != nil {
		if m.Reply, reason = h.signed(c, m); reason != "" {
			return nil, reason
		}
	}
	if h := c.v.handshake; h != nil && h.unsigned != nil {
		m.Reply = h.unsigned(c)
	}
	return m, ""
}

// unsigned answers a handshake that nothing signs, and refuses anything else for
// what is wrong with its head.
func (c *check) answerUnsigned() (*Message, Reason) {
	reply := c.v.handshake.unsigned(c)
	if reply == nil {
		return nil, c.headReason
	}
	return c.v.unsignedMessage(reply), ""
}

// take gives a candidate its hash states.
func (c *check) acquireStates(cand *candidate) {
	if cand.states == nil && cand == &c.candidates[0] {
		cand.states = c.twoStates[:0]
	}
	for _, k := range c.v.keys[len(cand.states):] {
		cand.states = append(cand.states, k.get())
	}
}

// give gives a candidate's hash states back.
func (c *check) releaseStates(cand *candidate) {
	for i, h := range cand.states {
		c.v.keys[i].put(h)
	}
	cand.states = nil
}

// release gives all hash states back.
func (c *check) releaseAllStates() {
	for i := range c.candidates {
		c.releaseStates(&c.candidates[i])
	}
}
