package verify

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"encoding/hex"
	"io"
)

// checkDigest sums up the hashes of the body, and compares the one that the URL
// holds.
func (c *check) checkDigest() Reason {
	for i, h := range c.v.plan.bodyHashes {
		c.in.hashes[h] = c.hashes[i].Sum(nil)
	}
	if c.bare && c.in.size > 0 {
		return ReasonUnboundBody
	}
	if !c.bound {
		return ""
	}
	want, err := hex.DecodeString(c.digest)
	if err != nil || subtle.ConstantTimeCompare(want, c.in.hashes[crypto.SHA256]) != 1 {
		return ReasonBadSignature
	}
	return ""
}

// readBody reads from the body what the signed content needs of it.
func (c *check) readBody() Reason {
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
		if reason := c.checkEnds(l); reason != "" {
			return reason
		}
		if reason := c.readSignedFields(l); reason != "" {
			return reason
		}
	}
	return ""
}

// readBodySignatures makes a lane for each signature that stands in the body.
func (c *check) readBodySignatures() Reason {
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
func (c *check) checkNoOtherFields(l *lane) Reason {
	p := c.v.plan
	pairs, reason := c.in.form()
	if reason != "" {
		return reason
	}
	for _, pair := range pairs {
		signature := p.signature.in == "form" && pair.name == p.signature.name
		if !signature && !p.holds(l.content, "form", pair.name) {
			return ReasonUnboundBody
		}
	}
	return ""
}

// readSignedFields reads an id and an event type that stand in the body and
// in the content.
func (c *check) readSignedFields(l *lane) Reason {
	for _, field := range []struct {
		at                 place
		word               word
		to                 *string
		missing, malformed Reason
	}{
		{c.v.plan.id, wordID, &c.in.id, ReasonMissingID, ReasonMalformedID},
		{c.v.plan.eventType, wordEventType, &c.in.eventType, ReasonMissingField, ReasonMalformedField},
	} {
		if !field.at.late() || !l.content.has(field.word, "") {
			continue
		}
		value, found, reason := c.in.value(field.at, l.document)
		switch {
		case reason != "":
			return reason
		case !found:
			return field.missing
		case !field.at.admits(value):
			return field.malformed
		}
		*field.to = value
	}
	return ""
}

// checkLateTime judges a time that stands in the body, which is proven by now.
func (c *check) checkLateTime(l *lane) Reason {
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
func (c *check) readLateFields() {
	p := c.v.plan
	c.readLateForm(p.id, &c.in.id)
	c.readLateForm(p.eventType, &c.in.eventType)
	c.readLateJSON()
}

func (c *check) readLateForm(at place, to *string) {
	if at.in != "form" || *to != "" {
		return
	}
	if value, _, reason := c.in.value(at, nil); reason == "" && at.admits(value) {
		*to = value
	}
}

func (c *check) readLateJSON() {
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
		body, size = bytes.NewReader(document), int64(len(document))
	}
	spans := c.spans[:len(p.lateJSON)]
	_ = findJSON(body, size, p.lateJSON, spans, false) // what it finds before an error counts
	if p.id.in == "json" {
		readLateText(body, spans[0], &p.id, &c.in.id)
		spans = spans[1:]
	}
	if p.eventType.in == "json" {
		readLateText(body, spans[0], &p.eventType, &c.in.eventType)
	}
}

func readLateText(body io.ReaderAt, span jsonSpan, at *place, to *string) {
	if *to != "" {
		return
	}
	if value, reason := readJSONText(body, span); reason == "" && at.admits(value) {
		*to = value
	}
}
