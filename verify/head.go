package verify

import "slices"

// readSignature reads the signatures in the headers or the URL into candidates.
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
	firstReason := ReasonMissingSignature
	for _, name := range c.v.plan.headers {
		texts := c.in.header[name]
		switch {
		case len(texts) > 1 && !c.v.plan.scheme.Signature.Repeated:
			return ReasonRepeatedHeader
		case len(texts) > maxSignatures:
			return ReasonMalformedSignature
		}
		for _, text := range texts {
			if reason := c.addSignature(text); reason != "" && firstReason == ReasonMissingSignature {
				firstReason = reason
			}
		}
	}
	if len(c.candidates) == 0 {
		return firstReason
	}
	return ""
}

// readTimestamps reads a timestamp that is outside the body, and drops the candidates
// whose timestamp is missing, malformed or outside the tolerance. It only refuses the
// request if none is left.
func (c *check) readTimestamps() Reason {
	if p := c.v.plan; p.timestamp.in == "" || p.timestamp.inBody() || len(c.candidates) == 0 {
		return ""
	}
	var firstReason Reason
	good := c.candidates[:0]
	for _, cand := range c.candidates {
		reason := c.readTimestamp(&cand)
		if reason == "" {
			reason = c.checkTimestamp(&cand)
		}
		if reason == "" {
			good = append(good, cand)
		} else if firstReason == "" {
			firstReason = reason
		}
	}
	c.candidates = good
	if len(good) > 0 {
		return ""
	}
	return firstReason
}

func (c *check) readTimestamp(cand *candidate) Reason {
	p := c.v.plan
	value, found, reason := c.in.value(p.timestamp, cand)
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
	t, ok := p.timeFormat.parse(value)
	if !ok {
		return ReasonMalformedTimestamp
	}
	cand.timestamp, cand.time, cand.hasTime = value, t, true
	return ""
}

// checkTimestamp checks a candidate's timestamp, if it has one, against the
// tolerance.
func (c *check) checkTimestamp(cand *candidate) Reason {
	if !cand.hasTime {
		return ""
	}
	return c.v.plan.scheme.Timestamp.check(cand.time, c.v.now())
}

// readHeadFields reads an id and an event type that are outside the body.
func (c *check) readHeadFields() Reason {
	for _, f := range c.in.fields() {
		if f.at.in == "" || f.at.inBody() {
			continue
		}
		value, found, reason := c.in.value(*f.at, nil)
		switch {
		case reason != "":
			return reason
		case found && value != "" && !f.at.admits(value):
			return f.malformed
		}
		*f.to = value
	}
	return ""
}

// checkContentType refuses media types that the scheme can't read, and selects the
// template for forms where the scheme has one.
func (c *check) checkContentType() Reason {
	p := c.v.plan
	typeMatters := len(p.scheme.ContentTypes) > 0 || p.formContent != nil || p.formOnly || p.scheme.JSONField != ""
	if !typeMatters && p.scheme.BodyDigest == "" {
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
		c.signsForm = true
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
