package verify

import "slices"

// readSignature reads the signatures that stand outside the body into candidates.
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
	if len(c.candidates) == 0 {
		return first
	}
	return ""
}

// addSignature adds the candidates of one signature's text, or none.
func (c *check) addSignature(text string) Reason {
	before := len(c.candidates)
	candidates, reason := c.v.plan.parseSignature(text, c.candidates)
	if reason != "" {
		candidates = candidates[:before]
	}
	c.candidates = candidates
	return reason
}

// readTimes reads the times that stand outside the body, and drops the candidates
// whose time is off.
func (c *check) readTimestamps() Reason {
	if p := c.v.plan; p.timestamp.in == "" || p.timestamp.inBody() || len(c.candidates) == 0 {
		return ""
	}
	var first Reason
	good := c.candidates[:0]
	for i := range c.candidates {
		cand := c.candidates[i]
		reason := c.readTimestamp(&cand)
		if reason == "" {
			reason = c.checkTimestamp(&cand)
		}
		if reason == "" {
			good = append(good, cand)
		} else if first == "" {
			first = reason
		}
	}
	c.candidates = good
	if len(good) > 0 {
		return ""
	}
	return first
}

// readTime reads a candidate's time from wherever it stands.
func (c *check) readTimestamp(cand *candidate) Reason {
	p := c.v.plan
	var value string
	var found bool
	var reason Reason
	switch p.timestamp.in {
	case "":
		return ""
	case "field":
		value, found, reason = lookup(cand.items, p.timestamp.name)
	case "first":
		value, found = cand.firstItem, true
	default:
		value, found, reason = c.in.value(p.timestamp, cand.document)
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
	cand.timestamp, cand.time, cand.hasTime = value, t, true
	return ""
}

func (c *check) checkTimestamp(cand *candidate) Reason {
	if !cand.hasTime {
		return ""
	}
	return c.v.tolerance.check(cand.time, c.v.now())
}

// readHeaders reads the id and the event type that stand outside the body.
func (c *check) readHeadFields() (reason Reason) {
	p := c.v.plan
	if c.in.id, reason = c.readHeadField(p.id, ReasonMalformedID); reason != "" {
		return reason
	}
	c.in.eventType, reason = c.readHeadField(p.eventType, ReasonMalformedField)
	return reason
}

func (c *check) readHeadField(at place, malformed Reason) (string, Reason) {
	if at.in == "" || at.inBody() {
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
	reads := len(p.scheme.ContentTypes) > 0 || p.formContent != nil || p.formOnly || p.scheme.JSONField != ""
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
		if c.urlDigest, c.hasURLDigest, reason = c.in.queryOnce(p.scheme.BodyDigest); c.hasURLDigest || reason != "" {
			return reason
		}
	}
	switch {
	case p.formContent != nil && media == typeForm:
		for i := range c.candidates {
			c.candidates[i].content = p.formContent
		}
	case p.scheme.BodyDigest != "":
		c.bodyForbidden = true
		if c.in.size > 0 {
			return ReasonUnboundBody
		}
	case p.formOnly && media != typeForm && c.in.size != 0:
		return ReasonUnsupportedContentType
	}
	return ""
}
