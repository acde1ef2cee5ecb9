package verify

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"io"
	"math/bits"
)

// findMatch returns the candidate whose signature matches, and the index of its
// secret. Every secret is tried on every signature, so that the time it takes
// doesn't reveal which one matched.
func (c *check) findMatch() (*candidate, int, Reason) {
	var found *candidate
	var matched uint32 // a bit for each secret
	all := ^uint32(0)  // the secrets that match every candidate
	for i := range c.candidates {
		secrets, reason := c.match(&c.candidates[i])
		if reason != "" {
			return nil, 0, reason
		}
		all &= secrets
		if secrets != 0 && found == nil {
			found, matched = &c.candidates[i], secrets
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

// match completes a candidate's hash states and compares them with its signatures.
// It returns a bit for each secret that matches, and sets the candidate's sum.
func (c *check) match(cand *candidate) (uint32, Reason) {
	if c.v.plan.asymmetric {
		return c.matchAsymmetric(cand)
	}
	c.acquireStates(cand)
	defer c.releaseStates(cand)
	rest := cand.content.segments
	if cand.streaming {
		rest = rest[cand.content.body+1:]
	} else if i := cand.content.body; i >= 0 {
		if reason := c.writeSegments(cand, rest[:i]); reason != "" {
			return 0, reason
		}
		if reason := c.writeBody(cand); reason != "" {
			return 0, reason
		}
		rest = rest[i+1:]
	}
	if reason := c.writeSegments(cand, rest); reason != "" {
		return 0, reason
	}
	var secrets uint32
	for i := len(cand.states) - 1; i >= 0; i-- { // the first key last, for the sum
		sum := cand.states[i].Sum(c.in.buffer[:0])
		equal := 0
		for j := range cand.macs {
			equal |= subtle.ConstantTimeCompare(sum, cand.macs[j].bytes())
		}
		secrets |= uint32(equal) << c.v.keys[i].index
		cand.sum.size = copy(cand.sum.sum[:], sum)
	}
	return secrets, ""
}

// matchAsymmetric verifies a candidate's signatures with the public keys. It sets
// the candidate's sum to a hash of the content, since the same content can have
// several valid signatures.
func (c *check) matchAsymmetric(cand *candidate) (uint32, Reason) {
	if len(cand.macs) > maxAsymmetric {
		return 0, ReasonMalformedSignature
	}
	content, reason := c.in.content(cand)
	if reason != "" {
		return 0, reason
	}
	if c.v.plan.scheme.Construction == "ed25519" && len(c.candidates)*len(cand.macs)*len(c.v.keys)*len(content) > maxEd25519Bytes {
		return 0, ReasonBodyTooLarge
	}
	var secrets uint32
	digest := c.v.keys[0].digest(content) // the same for every key; the content may be long
	for _, k := range c.v.keys {
		for j := range cand.macs {
			if k.verify(digest, cand.macs[j].bytes()) {
				secrets |= 1 << k.index
			}
		}
	}
	cand.sum.sum, cand.sum.size = sha512.Sum512(content), sha512.Size
	return secrets, ""
}

// writeBody writes the body to a candidate's hash states, where it couldn't be hashed
// while it was read.
func (c *check) writeBody(cand *candidate) Reason {
	states := make([]io.Writer, len(cand.states))
	for i, h := range cand.states {
		states[i] = h
	}
	n, err := io.Copy(io.MultiWriter(states...), io.NewSectionReader(c.in.body, 0, c.in.size))
	if err != nil || n != c.in.size {
		return ReasonUnreadableBody
	}
	return ""
}

// newMessage returns the message of a verified request.
func (c *check) newMessage(cand *candidate, secret int) *Message {
	alloc := new(struct { // the message and its MAC in one allocation
		Message
		sum [maxMAC]byte
	})
	m := &alloc.Message
	*m = Message{
		Provider:    c.v.plan.scheme.Name,
		ID:          c.in.id,
		EventType:   c.in.eventType,
		SecretIndex: secret,
		Signed:      cand.content.signed,
		MAC:         c.replayMAC(cand, alloc.sum[:0]),
	}
	if cand.hasTime {
		m.Timestamp = cand.time
	}
	m.Signed.ID = m.Signed.ID && m.ID != ""
	m.Signed.EventType = m.Signed.EventType && m.EventType != ""
	m.Signed.Timestamp = m.Signed.Timestamp && cand.hasTime
	if !m.Signed.Body && !m.Signed.ID {
		m.MAC = nil // only a signed id tells messages apart, and this one has none
	}
	return m
}

// replayMAC appends what tells one message from another: the MAC, or a hash of all
// MACs where the elements of a body are signed separately.
func (c *check) replayMAC(cand *candidate, dst []byte) []byte {
	if !c.v.plan.bounds.Message {
		return nil
	}
	if c.v.plan.each == nil {
		return append(dst, cand.sum.bytes()...)
	}
	h := sha256.New()
	for i := range c.candidates {
		h.Write(c.candidates[i].sum.bytes())
	}
	return h.Sum(dst)
}

// checkOracle refuses a signed content that the handshake would sign for anyone.
func (c *check) checkOracle(cand *candidate) Reason {
	oracle := c.v.plan.handshake.oracle
	if oracle == nil || cand.content.body >= 0 && c.in.size > maxChallenge {
		return ""
	}
	content, reason := c.in.content(cand)
	if reason == "" && oracle(string(content)) {
		return ReasonBadSignature
	}
	return reason
}
