package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"strings"
	"unicode/utf8"
)

// withPayload adds a payload to a JSON object: byte for byte as payload, if it is
// JSON and its content type says so; as payload_text, if it is other text; else as
// payload_base64.
func withPayload(object []byte, contentType string, payload []byte) ([]byte, error) {
	object = bytes.TrimSuffix(bytes.TrimSpace(object), []byte{'}'})
	if isJSON(contentType, payload) {
		object = append(object, `,"payload":`...)
		object = append(object, payload...)
		return append(object, '}'), nil
	}
	name, text := "payload_text", string(payload)
	if !utf8.Valid(payload) {
		name, text = "payload_base64", base64.StdEncoding.EncodeToString(payload)
	}
	value, err := encode(text)
	if err != nil {
		return nil, err
	}
	object = append(object, `,"`+name+`":`...)
	object = append(object, bytes.TrimSpace(value)...)
	return append(object, '}'), nil
}

// asLine returns the object on one line, without white space between tokens.
func asLine(object []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, object); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// isJSON reports whether the payload is JSON by its content type and in fact.
func isJSON(contentType string, payload []byte) bool {
	if contentType != typeJSON {
		t, _, err := mime.ParseMediaType(contentType)
		if err != nil || t != typeJSON && !strings.HasSuffix(t, "+json") {
			return false
		}
	}
	s := scanner{data: payload}
	return utf8.Valid(payload) && s.value() == nil && s.end() == nil
}
