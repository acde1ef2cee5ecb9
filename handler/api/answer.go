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

const (
	// answersLimit is how much memory all answers may take together while they are
	// written, which takes as long as their callers like.
	answersLimit = 64 << 20
	// Answers up to smallAnswer don't count: a connection takes as much anyway.
	smallAnswer = 64 << 10
)

// maxTurns is how many large answers are made at a time: that takes several times their
// size. As many again are made while the store is searched, which may take long.
const maxTurns = 4

// inTurn makes an answer that may be large, or the next part of it, and holds it.
func (c *call) inTurn(turns chan struct{}, answer func() ([]byte, error)) ([]byte, error) {
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-c.r.Context().Done():
		return nil, c.r.Context().Err()
	}
	text, err := answer()
	if err != nil {
		return nil, err
	}
	return text, c.hold(text)
}

// answerInTurn answers with JSON that inTurn makes.
func (c *call) answerInTurn(turns chan struct{}, answer func() ([]byte, error)) error {
	body, err := c.inTurn(turns, answer)
	if err != nil {
		return err
	}
	writeBody(c.w, http.StatusOK, typeJSON, body)
	return nil
}

// hold takes memory for the answer, or the next part of it, until that is written. If a
// request has changed something, its answer is never refused: it is small enough.
func (c *call) hold(text []byte) error {
	c.held.Release()
	size := int64(cap(text))
	if size <= smallAnswer || c.r.Method != http.MethodGet || c.held.Grow(size) {
		return nil
	}
	return refuse(codeUnavailable, "other callers are slow to read large answers, which take up the memory for them: try again in a second, or ask for less at once").retryAfter(soon)
}

// write writes the answer.
func (c *call) write(status int, body []byte) error {
	if err := c.hold(body); err != nil {
		return err
	}
	writeBody(c.w, status, typeJSON, body)
	return nil
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
	return c.write(status, body)
}

// remove calls do, unless the request has a body, and answers with 204.
func (c *call) remove(do func() error) error {
	if err := c.noBody(); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
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
