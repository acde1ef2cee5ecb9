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
	s := jsonScanner{source: bytes.NewReader(d), size: int64(len(d)), paths: []jsonPath{path}, spans: span[:], toEnd: true, foldCase: true}
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

// elements are those of the array at a path. Of more than maxElements, one more is
// read: anybody may send a body of millions.
func (d jsonDocument) elements(path jsonPath) ([]jsonDocument, Reason) {
	raw, found, reason := d.raw(path)
	if reason != "" {
		return nil, reason
	}
	if !found || raw[0] != '[' {
		return nil, ReasonMalformedBody
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	_, err := decoder.Token() // the bracket
	var list []jsonDocument
	for err == nil && decoder.More() && len(list) <= maxElements {
		var element json.RawMessage
		err = decoder.Decode(&element)
		list = append(list, jsonDocument(element))
	}
	if err != nil {
		return nil, ReasonMalformedBody
	}
	return list, ""
}
