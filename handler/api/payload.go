package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// encodeWith is encode for an object, to which it adds a payload that isn't nil: byte
// for byte as payload, if it is JSON and its content type says so; as payload_text, if
// it is other text; else as payload_base64.
func encodeWith(v any, contentType string, payload []byte) ([]byte, error) {
	object, err := encode(v)
	if err != nil || payload == nil {
		return object, err
	}
	object = append(bytes.TrimSuffix(object, []byte("}\n")), ',')
	if isJSON(contentType, payload) {
		object = append(append(object, `"payload":`...), payload...)
		return append(object, "}\n"...), nil
	}
	name, text := "payload_text", string(payload)
	if !utf8.Valid(payload) {
		name, text = "payload_base64", base64.StdEncoding.EncodeToString(payload)
	}
	rest, err := encode(map[string]string{name: text})
	return append(object, bytes.TrimPrefix(rest, []byte("{"))...), err
}

// answerWith answers with an object and a payload, as encodeWith writes them.
func (c *call) answerWith(v any, contentType string, payload []byte) error {
	body, err := encodeWith(v, contentType, payload)
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, body)
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
