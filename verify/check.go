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
	c.release()
	c.in.done()
	*c = check{}
	checks.Put(c)
}

// check is what a Check holds.
type check struct {
	v      *Verifier
	in     input
	lanes  []lane
	digest string // what the URL says of the body,
	bound  bool   // where it says it
	bare   bool   // nothing would bind a body
	holed  bool   // a NUL byte went by
	faulty Reason // why the head is refused, unless the body is a handshake
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
	for _, step := range [...]func() Reason{c.readSignature, c.readTimes, c.readHeaders, c.checkContentType, c.start} {
		if reason := step(); reason != "" {
			if !c.mayBeChallenge() {
				return reason
			}
			c.release()
			c.lanes, c.faulty = c.lanes[:0], reason
			return ""
		}
	}
	for _, h := range c.v.plan.bodyHashes {
		c.hashes = append(c.hashes, h.New())
	}
	return ""
}

// start readies the lanes: their spellings, and where the body can
// be hashed while it comes in, what is signed before it.
func (c *check) start() Reason {
	if c.v.plan.urls {
		c.spell()
	}
	for i := range c.lanes {
		l := &c.lanes[i]
		if reason := c.checkURL(l); reason != "" {
			return reason
		}
		if !l.content.stream || c.in.body != nil || c.v.plan.paired {
			continue
		}
		c.take(l)
		if reason := c.feed(l, l.content.segments[:l.content.body]); reason != "" {
			return reason
		}
		l.streaming = true
	}
	return ""
}

// spell gives each lane the URL's origin, and makes a second lane where that may
// be spelt with or without its default port, or a function knows two spellings.
func (c *check) spell() {
	for i := range c.lanes {
		c.lanes[i].origin = c.in.origin()
	}
	if slices.ContainsFunc(c.v.plan.content.segments, func(s segment) bool { return s.word == wordFunc && s.function.twoWays }) {
		for _, l := range slices.Clone(c.lanes) {
			l.respelt = true
			c.lanes = append(c.lanes, l)
		}
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
func (c *check) feed(l *lane, segments []segment) Reason {
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

// write takes a piece of the body.
func (c *check) write(p []byte) {
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
}

func (c *check) finish(body io.ReaderAt, size int64) (*Message, Reason) {
	if c.size != size || c.reply != nil {
		return nil, ReasonUnreadableBody
	}
	c.in.body, c.in.size = body, size
	if c.faulty != "" {
		return c.unsigned()
	}
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
	if reason := c.checkOracle(l); reason != "" {
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
func (c *check) unsigned() (*Message, Reason) {
	reply := c.v.handshake.unsigned(c)
	if reply == nil {
		return nil, c.faulty
	}
	return c.v.unsigned(reply), ""
}

// take gives a lane its hash states.
func (c *check) take(l *lane) {
	if l.states == nil && l == &c.lanes[0] {
		l.states = c.twoStates[:0]
	}
	for _, k := range c.v.keys[len(l.states):] {
		l.states = append(l.states, k.get())
	}
}

// give gives a lane's hash states back.
func (c *check) give(l *lane) {
	for i, h := range l.states {
		c.v.keys[i].put(h)
	}
	l.states = nil
}

// release gives all hash states back.
func (c *check) release() {
	for i := range c.lanes {
		c.give(&c.lanes[i])
	}
}
