package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
)

// setHeaders sets the headers that every answer has. Their values share one array
// to save allocations, but not with other answers: other handlers may change them
// in place.
func setHeaders(h http.Header, contentType string) {
	v := [...]string{contentType, "no-store", "nosniff"}
	h["Content-Type"] = v[0:1:1]
	h["Cache-Control"] = v[1:2:2]
	h["X-Content-Type-Options"] = v[2:3:3]
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	setHeaders(w.Header(), contentType)
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the caller is gone
}

// encode returns v as JSON, with a line break at its end, and without the escapes
// that are only needed inside a script element of HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// answer writes v as the answer.
func (c *call) answer(status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	writeBody(c.w, status, typeJSON, body)
	return nil
}

// noContent answers with 204.
func (c *call) noContent() error {
	setHeaders(c.w.Header(), "")
	c.w.Header().Del("Content-Type") // there is no body
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// orNull returns a pointer to v, or nil, which is null in JSON, for the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// orEmpty returns an empty map for nil, so that JSON has {} and not null.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
