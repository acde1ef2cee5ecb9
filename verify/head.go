package verify

import "slices"

// readSignature reads the signatures that stand outside the body into lanes.
func (c *check) readSignature() Reason {
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

func (c *check) readSignatureHeaders() Reason {
	first := ReasonMissingSignature
	for _, name := range c.v.plan.headers {
		texts := c.in.header[name]
		switch {
		case len(texts) > 1 && !c.v.plan.scheme.Signature.Repeated:
			return ReasonRepeatedHeader
		case len(texts) > maxSignatures:
			return ReasonMalformedSignature
		}
		for _, text := range texts {
			if reason := c.addSignature(text); reason != "" && first == ReasonMissingSignature {
				first = reason
			}
		}
	}
	if len(c.lanes) == 0 {
		return first
	}
	return ""
}

// addSignature adds the lanes of one signature's text, or none.
func (c *check) addSignature(text string) Reason {
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
func (c *check) readTimes() Reason {
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
func (c *check) readTime(l *lane) Reason {
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

func (c *check) judgeTime(l *lane) Reason {
	if !l.timed {
		return ""
	}
	return c.v.tolerance.judge(l.time, c.v.now())
}

// readHeaders reads the id and the event type that stand outside the body.
func (c *check) readHeaders() (reason Reason) {
	p := c.v.plan
	if c.in.id, reason = c.readOutside(p.id, ReasonMalformedID); reason != "" {
		return reason
	}
	c.in.eventType, reason = c.readOutside(p.eventType, ReasonMalformedField)
	return reason
}

func (c *check) readOutside(at place, malformed Reason) (string, Reason) {
	if at.in == "" || at.late() {
		return "", ""
	}
	value, found, reason := c.in.value(at, nil)
	if found && value != "" && !at.admits(value) {
		return "", malformed
	}
	return value, reason
}

// checkContentType refuses bodies that the scheme can't read, and chooses the
// content that goes with the others.
func (c *check) checkContentType() Reason {
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
