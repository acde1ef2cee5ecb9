package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"strings"
	"unicode/utf8"
)

// withPayload adds a payload to a JSON object: as payload, to the byte, where
// it is JSON and says so; as payload_text where it is other text; and as
// payload_base64.
func withPayload(object []byte, contentType string, payload []byte) ([]byte, error) {
	object = bytes.TrimSuffix(bytes.TrimSpace(object), []byte{'}'})
	if isJSON(contentType, payload) {
		object = append(object, `,"payload":`...)
		object = append(object, payload...)
		return append(object, '}'), nil
	}
	name, text := "payload_base64", ""
	if utf8.Valid(payload) {
		name, text = "payload_text", string(payload)
	} else {
		text = base64.StdEncoding.EncodeToString(payload)
	}
	value, err := encode(text)
	if err != nil {
		return nil, err
	}
	object = append(object, `,"`+name+`":`...)
	object = append(object, bytes.TrimSpace(value)...)
	return append(object, '}'), nil
}

// asLine puts an object into one line, in which whitespace between tokens is
// left out.
func asLine(object []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, object); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

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
