package verify

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"io"
	"math/bits"
)

// verdict finds the lane and the secret that match. Every secret is tried on
// every signature, so that the time it takes doesn't show which one matched.
func (c *check) verdict() (*lane, int, Reason) {
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
func (c *check) match(l *lane) (uint32, Reason) {
	if c.v.plan.paired {
		return c.matchPublic(l)
	}
	c.take(l)
	defer c.give(l)
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
		secrets |= uint32(equal) << c.v.keys[i].of
		l.sum.size = copy(l.sum.sum[:], sum)
	}
	return secrets, ""
}

// matchPublic tries a lane's signatures with the public keys. What tells the
// message from others is the hash of what was signed, since there may be several
// signatures of it.
func (c *check) matchPublic(l *lane) (uint32, Reason) {
	if len(l.macs) > maxAsymmetric {
		return 0, ReasonMalformedSignature
	}
	content, reason := c.in.content(l)
	if reason != "" {
		return 0, reason
	}
	if c.v.plan.scheme.Construction == "ed25519" && len(c.lanes)*len(l.macs)*len(c.v.keys)*len(content) > maxHashed {
		return 0, ReasonBodyTooLarge
	}
	var secrets uint32
	digest := c.v.keys[0].digest(content) // as under any other: the content may be long
	for _, k := range c.v.keys {
		for j := range l.macs {
			if k.verify(digest, l.macs[j].bytes()) {
				secrets |= 1 << k.of
			}
		}
	}
	l.sum.sum, l.sum.size = sha512.Sum512(content), sha512.Size
	return secrets, ""
}

// feedBody gives a lane's hash states the body, where it couldn't be streamed.
func (c *check) feedBody(l *lane) Reason {
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

// message is what is known of a request that has proven itself.
func (c *check) message(l *lane, secret int) *Message {
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
	if !m.Signed.Body && !m.Signed.ID {
		m.MAC = nil // what is signed may be an id that this message doesn't have
	}
	return m
}

// replayMAC is what tells one message from another: the MAC, or the hash of
// all of them where a body holds several.
func (c *check) replayMAC(l *lane, dst []byte) []byte {
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

// checkOracle refuses what was signed if it is a string that the handshake would
// sign for anyone.
func (c *check) checkOracle(l *lane) Reason {
	h := c.v.plan.handshake
	if h == nil || h.oracle == nil || l.content.body >= 0 && c.in.size > maxChallenge {
		return ""
	}
	content, reason := c.in.content(l)
	if reason == "" && h.oracle(string(content)) {
		return ReasonBadSignature
	}
	return reason
}
