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

// setHeaders sets those that every answer has. The values share one array, and
// no two answers do: other handlers may change them in place.
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
	_, _ = w.Write(body) // the caller is gone: there is nobody to tell
}

// encode writes v as JSON, without escapes that only a browser's script
// element would need.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err // with a line's end
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

// noContent answers that it is done.
func (c *call) noContent() error {
	setHeaders(c.w.Header(), "")
	c.w.Header().Del("Content-Type")
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// orNull makes null of a zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// orEmpty makes an object of none.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
