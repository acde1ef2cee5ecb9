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

// Check is the verification of one request. It must not be used by several
// goroutines at once, nor after Finish.
type Check struct {
	check *check // nil after Finish: it may be in use for another request by then
}

// Reply returns the response to a handshake that needs no body, or nil. If there is
// one, send it; don't call Write or Finish.
func (c *Check) Reply() *Reply {
	if c.check == nil {
		return nil
	}
	return c.check.reply
}

// Write takes the next part of the body while it is read. It fails only after
// Finish.
func (c *Check) Write(p []byte) (int, error) {
	if c.check == nil {
		return 0, errFinished
	}
	c.check.write(p)
	return len(p), nil
}

// Finish returns the verdict. Body is the whole body, size bytes long, all of which
// must have been passed to Write. It is only read again for what can't be checked
// while hashing: values in the body, and its first and last bytes. A refusal is an
// *Error.
func (c *Check) Finish(body io.ReaderAt, size int64) (*Message, error) {
	if c.check == nil {
		return nil, errFinished
	}
	check := c.check
	c.check = nil
	defer check.recycle()
	m, reason := check.finish(body, size)
	if reason != "" {
		return nil, check.v.refuse(reason)
	}
	return m, nil
}

var errFinished = errors.New("verify: the check is already finished")

// checks has the checks that are not in use.
var checks = sync.Pool{New: func() any { return new(check) }}

// recycle returns the check to the pool.
func (c *check) recycle() {
	c.releaseAllStates()
	c.in.releaseSlot()
	*c = check{}
	checks.Put(c)
}

// check is the state of a Check, which is reused. Sign uses its input and a candidate.
type check struct {
	v             *Verifier
	in            input
	candidates    []candidate
	urlDigest     string // the body's hash in the URL, in hexadecimal
	hasURLDigest  bool
	bodyForbidden bool        // the signature would not cover a body
	signsForm     bool        // the content is the plan's formContent
	extended      bool        // the body could be a length extension of a plain hash
	headReason    Reason      // refuses the request, unless its body is a handshake
	bodyHashes    []hash.Hash // one for each of the plan's
	size          int64       // of the body so far
	reply         *Reply

	// Space for the usual request: one candidate, two signatures, two secrets.
	oneCandidate [1]candidate
	twoMACs      [2]mac
	twoStates    [2]hash.Hash
	spans        [2]jsonSpan
}

// begin makes the checks that don't need the body.
func (c *check) begin() Reason {
	if head := c.v.handshake.head; head != nil {
		var reason Reason
		if c.reply, reason = head(c); c.reply != nil || reason != "" {
			return reason
		}
	}
	if c.in.method != http.MethodPost {
		return ReasonMethodNotAllowed
	}
	if reason := c.checkHead(); reason != "" {
		if !c.mayBeChallenge() {
			return reason
		}
		// The body decides: it may be a handshake that isn't signed.
		c.releaseAllStates()
		c.candidates, c.headReason = c.candidates[:0], reason
		return ""
	}
	for _, h := range c.v.plan.bodyHashes {
		c.bodyHashes = append(c.bodyHashes, h.New())
	}
	return ""
}

// checkHead reads and checks what is in the headers and the URL.
func (c *check) checkHead() Reason {
	for _, step := range [...]func() Reason{c.readSignature, c.readTimestamps, c.readHeadFields, c.checkContentType, c.startHashing} {
		if reason := step(); reason != "" {
			return reason
		}
	}
	return ""
}

// startHashing prepares the candidates. Where the body can be hashed while it is
// read, it hashes what is signed in front of the body.
func (c *check) startHashing() Reason {
	if c.v.plan.signsURL {
		c.addURLForms()
	}
	for i := range c.candidates {
		cand := &c.candidates[i]
		if c.signsForm {
			cand.content = c.v.plan.formContent
		}
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

// addURLForms sets the URL's origin of each candidate. It adds a second candidate for
// the other form where a function has two, or where the provider may have signed the URL
// with or without its port.
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

// writeSegments writes the values of the segments to a candidate's hash states.
func (c *check) writeSegments(cand *candidate, segments []segment) Reason {
	if len(segments) == 0 {
		return ""
	}
	var text []byte
	for i, k := range c.v.keys {
		if i == 0 || cand.content.usesSecret {
			text = c.in.buffer[:0]
			for j := range segments {
				before := len(text)
				var reason Reason
				if text, reason = c.in.appendValue(text, &segments[j], cand, k.secret); reason != "" {
					return reason
				}
				if segments[j].kind != segSecret && c.canExtend(text[before:]) {
					return ReasonMalformedField
				}
			}
		}
		cand.states[i].Write(text)
	}
	return ""
}

// canExtend reports whether a part of the signed content could be a length extension:
// whoever has seen a plain hash can compute the hash of a longer content, but only with
// the hash's padding in it, which has NUL bytes.
func (c *check) canExtend(part []byte) bool {
	return c.v.plan.scheme.Construction == "hash" && bytes.IndexByte(part, 0) >= 0
}

// write hashes the next part of the body.
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
	c.extended = c.extended || c.canExtend(p)
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
	if c.extended {
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
	if reason := c.checkOracle(cand); reason != "" {
		return nil, reason
	}
	m := c.newMessage(cand, secret)
	switch h := c.v.handshake; {
	case h.signed != nil:
		m.Reply, reason = h.signed(c, m)
	case h.unsigned != nil:
		m.Reply = h.unsigned(c)
	}
	return m, reason
}

// answerUnsigned answers a handshake that isn't signed. Any other request is refused
// for what is wrong with its head.
func (c *check) answerUnsigned() (*Message, Reason) {
	reply := c.v.handshake.unsigned(c)
	if reply == nil {
		return nil, c.headReason
	}
	return c.v.unsignedMessage(reply), ""
}

// acquireStates gives a candidate a hash state for each key.
func (c *check) acquireStates(cand *candidate) {
	if cand.states == nil && cand == &c.candidates[0] {
		cand.states = c.twoStates[:0]
	}
	for _, k := range c.v.keys[len(cand.states):] {
		cand.states = append(cand.states, k.get())
	}
}

// releaseStates returns a candidate's hash states to their keys.
func (c *check) releaseStates(cand *candidate) {
	for i, h := range cand.states {
		c.v.keys[i].put(h)
	}
	cand.states = nil
}

func (c *check) releaseAllStates() {
	for i := range c.candidates {
		c.releaseStates(&c.candidates[i])
	}
}
