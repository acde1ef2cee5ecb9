package verify

import (
	"bytes"
	"encoding/json"
	"io"
)

// text passes over a string, and shows its raw inside part by part.
func (s *jsonScanner) text(part func([]byte)) error {
	s.pos++ // "
	for {
		rest := s.window[s.pos:]
		quote := bytes.IndexByte(rest, '"')
		slash := rest
		if quote >= 0 {
			slash = rest[:quote]
		}
		if i := bytes.IndexByte(slash, '\\'); i >= 0 {
			if part != nil {
				part(rest[:i])
			}
			s.pos += i + 1
			if s.pos >= len(s.window) {
				if err := s.fill(); err != nil {
					return err
				}
			}
			if part != nil {
				part([]byte{'\\', s.window[s.pos]})
			}
			s.pos++
			continue
		}
		if part != nil {
			part(slash)
		}
		if quote >= 0 {
			s.pos += quote + 1
			return nil
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// jsonDocument is a whole document that was found valid.
type jsonDocument []byte

// parseJSON takes a body that must be one JSON document and nothing more.
func parseJSON(raw []byte) (jsonDocument, Reason) {
	if !json.Valid(raw) {
		return nil, ReasonMalformedBody
	}
	return raw, ""
}

// reader reads the document.
func (d jsonDocument) reader() (io.ReaderAt, int64) { return bytes.NewReader(d), int64(len(d)) }

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
