package verify

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"encoding/hex"
	"io"
)

// checkBodyDigest completes the hashes of the body, and compares the one in the URL,
// if there is one.
func (c *check) checkBodyDigest() Reason {
	for i, h := range c.v.plan.bodyHashes {
		c.in.hashes[h] = c.bodyHashes[i].Sum(nil)
	}
	if c.bodyForbidden && c.in.size > 0 {
		return ReasonUnboundBody
	}
	if !c.hasURLDigest {
		return ""
	}
	want, err := hex.DecodeString(c.urlDigest)
	if err != nil || subtle.ConstantTimeCompare(want, c.in.hashes[crypto.SHA256]) != 1 {
		return ReasonBadSignature
	}
	return ""
}

// readBody reads the values in the body that are needed to verify the signatures.
func (c *check) readBody() Reason {
	p := c.v.plan
	if p.signature.inBody() {
		if reason := c.readBodySignatures(); reason != "" {
			return reason
		}
	}
	for i := range c.candidates {
		cand := &c.candidates[i]
		if p.timestamp.inBody() && cand.content.has(segTimestamp, "") {
			if reason := c.readTimestamp(cand); reason != "" {
				return reason
			}
		}
		if cand.content.formFields && !p.scheme.UnboundBody {
			if reason := c.checkNoOtherFields(cand); reason != "" {
				return reason
			}
		}
		if reason := c.checkBodyBoundaries(cand); reason != "" {
			return reason
		}
		for _, f := range c.in.fields() {
			if reason := c.in.readSigned(f, cand); reason != "" {
				return reason
			}
		}
	}
	return ""
}

func (c *check) readBodySignatures() Reason {
	elements, reason := c.signedElements()
	if reason != "" {
		return reason
	}
	for _, element := range elements {
		text, _, reason := c.in.value(c.v.plan.signature, &candidate{document: element})
		if reason == ReasonMalformedField {
			return ReasonMalformedSignature
		}
		if reason != "" {
			return reason
		}
		if reason := c.addSignature(text); reason != "" {
			return reason
		}
		c.candidates[len(c.candidates)-1].document = element // the only new one: each and groups exclude each other
	}
	if reason := c.readTimestamps(); reason != "" {
		return reason
	}
	return c.startHashing()
}

// signedElements returns the elements that are signed separately, or one nil element if
// the scheme has none.
func (c *check) signedElements() ([]*jsonDocument, Reason) {
	path := c.v.plan.each
	if path == nil {
		return []*jsonDocument{nil}, ""
	}
	document, reason := c.in.json()
	if reason != "" {
		return nil, reason
	}
	elements, reason := document.elements(path)
	if reason == "" && (len(elements) == 0 || len(elements) > maxElements) {
		reason = ReasonMalformedBody
	}
	return elements, reason
}

// checkNoOtherFields refuses a form with fields that are not signed.
func (c *check) checkNoOtherFields(cand *candidate) Reason {
	p := c.v.plan
	pairs, reason := c.in.form()
	if reason != "" {
		return reason
	}
	for _, pair := range pairs {
		isSignature := p.signature.in == "form" && pair.name == p.signature.name
		if !isSignature && !cand.content.refersTo("form", pair.name) {
			return ReasonUnboundBody
		}
	}
	return ""
}

// checkBodyTimestamp checks a timestamp in the body, after the signature was found
// to be good.
func (c *check) checkBodyTimestamp(cand *candidate) Reason {
	if !c.v.plan.timestamp.inBody() {
		return ""
	}
	if !cand.hasTime {
		c.in.authenticated = true
		if reason := c.readTimestamp(cand); reason != "" {
			return reason
		}
	}
	for i := range c.candidates {
		if reason := c.checkTimestamp(&c.candidates[i]); reason != "" {
			return reason
		}
	}
	return ""
}

// readBodyFields reads an id and an event type that are in the body. They are for
// information only: one that is missing or not fit to be shown is left empty.
func (c *check) readBodyFields() {
	body, spans := c.findJSONFields()
	for _, f := range c.in.fields() {
		var value string
		var reason Reason
		switch f.at.in {
		case "form":
			value, _, reason = c.in.value(*f.at, nil)
		case "json":
			value, reason = readJSONText(body, spans[0])
			spans = spans[1:]
		}
		if *f.to == "" && reason == "" && f.at.admits(value) {
			*f.to = value
		}
	}
}

// findJSONFields finds the plan's jsonFields in the JSON document. What is found before
// an error counts.
func (c *check) findJSONFields() (body io.ReaderAt, spans []jsonSpan) {
	p := c.v.plan
	spans = c.spans[:len(p.jsonFields)]
	if len(spans) == 0 {
		return nil, nil
	}
	body, size := c.in.body, c.in.size
	if p.scheme.JSONField != "" {
		document, reason := c.in.json()
		if reason != "" {
			return nil, spans
		}
		body, size = bytes.NewReader(document.bytes), int64(len(document.bytes))
	}
	_ = findJSON(body, size, p.jsonFields, spans, false)
	return body, spans
}
