package verify

import (
	"bytes"
	"encoding/json"
)

// jsonDocument is a whole document that was found valid.
type jsonDocument []byte

// parseJSON takes a body that must be one JSON document and nothing more.
func parseJSON(raw []byte) (jsonDocument, Reason) {
	if !json.Valid(raw) {
		return nil, ReasonMalformedBody
	}
	return raw, ""
}

// raw is the value at a path. A path through an object that holds its key twice,
// in whichever case, is refused: two readers would see two values.
func (d jsonDocument) raw(path jsonPath) (raw []byte, found bool, reason Reason) {
	var span [1]jsonSpan
	s := jsonScanner{source: bytes.NewReader(d), size: int64(len(d)), paths: []jsonPath{path}, spans: span[:], all: true, strict: true}
	err := s.find()
	switch {
	case err != nil:
		return nil, false, ReasonMalformedBody
	case span[0].repeated:
		return nil, false, ReasonRepeatedField
	case !span[0].found:
		return nil, false, ""
	}
	return d[span[0].start:span[0].end], true, ""
}

// text is the scalar at a path; null counts as absent.
func (d jsonDocument) text(path jsonPath) (text string, found bool, reason Reason) {
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

// elements are the elements of the array at a path.
func (d jsonDocument) elements(path jsonPath) ([]jsonDocument, Reason) {
	raw, found, reason := d.raw(path)
	if reason != "" {
		return nil, reason
	}
	var list []json.RawMessage
	if !found || json.Unmarshal(raw, &list) != nil {
		return nil, ReasonMalformedBody
	}
	documents := make([]jsonDocument, len(list))
	for i, element := range list {
		documents[i] = jsonDocument(element)
	}
	return documents, ""
}
