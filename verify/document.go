package verify

import (
	"bytes"
	"encoding/json"
)

// jsonDocument is a whole JSON document that is known to be valid.
type jsonDocument []byte

// parseJSON checks that a body is one JSON document and nothing more.
func parseJSON(raw []byte) (jsonDocument, Reason) {
	if !json.Valid(raw) {
		return nil, ReasonMalformedBody
	}
	return raw, ""
}

// raw returns the value at a path, undecoded. A path through an object that has its key
// twice, even in another case, is refused: different parsers would see different values.
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

// text returns the text of the scalar at a path. null counts as absent.
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

// elements returns the elements of the array at a path, and stops after maxElements and
// one more: anyone can send a body with millions.
func (d jsonDocument) elements(path jsonPath) ([]jsonDocument, Reason) {
	raw, found, reason := d.raw(path)
	if reason != "" {
		return nil, reason
	}
	if !found || raw[0] != '[' {
		return nil, ReasonMalformedBody
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	_, err := decoder.Token() // [
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
