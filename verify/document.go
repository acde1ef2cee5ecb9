package verify

import (
	"bytes"
	"encoding/json"
)

// jsonDocument is a whole JSON document that is known to be valid. The values at its
// paths, which are those of the scheme, are found together when the first of them is
// needed: anyone can send a large document.
type jsonDocument struct {
	bytes []byte
	paths []jsonPath
	spans []jsonSpan // one for each path; nil before the values are found
	err   error      // why they weren't
}

// parseJSON checks that a body is one JSON document and nothing more.
func parseJSON(raw []byte, paths []jsonPath) (*jsonDocument, Reason) {
	if !json.Valid(raw) {
		return nil, ReasonMalformedBody
	}
	return &jsonDocument{bytes: raw, paths: paths}, ""
}

// raw returns the value at a path, undecoded. A path through an object that has its key
// twice, even in another case, is refused: different parsers would see different values.
func (d *jsonDocument) raw(path jsonPath) (raw []byte, found bool, reason Reason) {
	i := path.index(d.paths)
	if i < 0 {
		return (&jsonDocument{bytes: d.bytes, paths: []jsonPath{path}}).raw(path)
	}
	if d.spans == nil {
		d.spans = make([]jsonSpan, len(d.paths))
		s := jsonScanner{source: bytes.NewReader(d.bytes), size: int64(len(d.bytes)), paths: d.paths, spans: d.spans, toEnd: true, foldCase: true}
		d.err = s.find()
	}
	switch span := d.spans[i]; {
	case d.err != nil:
		return nil, false, ReasonMalformedBody
	case span.repeated:
		return nil, false, ReasonRepeatedField
	case !span.found:
		return nil, false, ""
	default:
		return d.bytes[span.start:span.end], true, ""
	}
}

// text returns the text of the scalar at a path. null counts as absent.
func (d *jsonDocument) text(path jsonPath) (text string, found bool, reason Reason) {
	raw, found, reason := d.raw(path)
	if !found || reason != "" || string(raw) == "null" {
		return "", false, reason
	}
	text, ok := jsonText(raw)
	if !ok {
		return "", false, ReasonMalformedField
	}
	return text, true, ""
}

// elements returns the elements of the array at a path, and stops after maxElements and
// one more: anyone can send a body with millions.
func (d *jsonDocument) elements(path jsonPath) ([]*jsonDocument, Reason) {
	raw, found, reason := d.raw(path)
	if reason != "" {
		return nil, reason
	}
	if !found || raw[0] != '[' {
		return nil, ReasonMalformedBody
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	_, err := decoder.Token() // [
	var list []*jsonDocument
	for err == nil && decoder.More() && len(list) <= maxElements {
		var element json.RawMessage
		err = decoder.Decode(&element)
		list = append(list, &jsonDocument{bytes: element, paths: d.paths})
	}
	if err != nil {
		return nil, ReasonMalformedBody
	}
	return list, ""
}
