package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// problem is an error as RFC 9457 writes it. Its detail says what to do.
type problem struct {
	Type   string `json:"type"`  // problemType and the code
	Title  string `json:"title"` // the same for every problem of the type
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"` // of the body or the query, where one is at fault

	header http.Header // to be sent with it
	cause  error       // for the log alone
}

func (p *problem) Error() string { return p.Detail }

// problemType begins the type of each problem. They are names, to be compared
// and not to be fetched.
const problemType = "urn:caddy-webhooks:problem:"

// kind is what problems with one code have in common.
type kind struct {
	status int
	title  string
}

// The codes of problems.
const (
	codeInvalidJSON      = "invalid_json"
	codeIncomplete       = "body_incomplete"
	codeInvalidParameter = "invalid_parameter"
	codeMissingToken     = "missing_token"
	codeInvalidToken     = "invalid_token"
	codeScope            = "insufficient_scope"
	codeCrossOrigin      = "cross_origin"
	codeNoTenant         = "no_tenant"
	codeOtherTenant      = "other_tenant"
	codeNoRoute          = "no_such_route"
	codeNotFound         = "not_found"
	codeMethod           = "method_not_allowed"
	codeTooSlow          = "body_too_slow"
	codeConflict         = "conflict"
	codeReused           = "event_id_reused"
	codeTooLarge         = "too_large"
	codeMediaType        = "unsupported_media_type"
	codeUnknownField     = "unknown_field"
	codeRepeatedField    = "repeated_field"
	codeMissingField     = "missing_field"
	codeInvalidField     = "invalid_field"
	codeInternal         = "internal_error"
	codeRateLimited      = "rate_limited"
	codeUnavailable      = "unavailable"
	codeFull             = "store_full"
)

var kinds = map[string]kind{
	codeInvalidJSON:      {http.StatusBadRequest, "The body is not valid JSON"},
	codeIncomplete:       {http.StatusBadRequest, "The body broke off"},
	codeInvalidParameter: {http.StatusBadRequest, "The query is not valid"},
	codeMissingToken:     {http.StatusUnauthorized, "A token is needed"},
	codeInvalidToken:     {http.StatusUnauthorized, "The token is not valid"},
	codeScope:            {http.StatusForbidden, "The token does not allow this"},
	codeCrossOrigin:      {http.StatusForbidden, "Another site's page may not do this"},
	codeNoTenant:         {http.StatusForbidden, "It is not known whose request this is"},
	codeOtherTenant:      {http.StatusForbidden, "It is not this tenant's"},
	codeNoRoute:          {http.StatusNotFound, "There is no such path"},
	codeNotFound:         {http.StatusNotFound, "Not found"},
	codeMethod:           {http.StatusMethodNotAllowed, "The path does not take this method"},
	codeTooSlow:          {http.StatusRequestTimeout, "The body comes too slowly"},
	codeConflict:         {http.StatusConflict, "It contradicts what is stored"},
	codeReused:           {http.StatusConflict, "The event id is taken"},
	codeTooLarge:         {http.StatusRequestEntityTooLarge, "The body is too large"},
	codeMediaType:        {http.StatusUnsupportedMediaType, "The content type is not supported"},
	codeUnknownField:     {http.StatusUnprocessableEntity, "A field is unknown"},
	codeRepeatedField:    {http.StatusUnprocessableEntity, "A field is given twice"},
	codeMissingField:     {http.StatusUnprocessableEntity, "A field is missing"},
	codeInvalidField:     {http.StatusUnprocessableEntity, "A field is not valid"},
	codeInternal:         {http.StatusInternalServerError, "Something went wrong"},
	codeRateLimited:      {http.StatusTooManyRequests, "The tenant publishes too fast"},
	codeUnavailable:      {http.StatusServiceUnavailable, "Not available for the moment"},
	codeFull:             {http.StatusServiceUnavailable, "The store is full"},
}

func refuse(code, format string, args ...any) *problem {
	k := kinds[code]
	return &problem{Type: problemType + code, Title: k.title, Status: k.status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// at names the field that is at fault, whose name may be the caller's.
func (p *problem) at(field string) *problem {
	const most = 128
	p.Field = strings.ToValidUTF8(field[:min(len(field), most)], "")
	return p
}

// with adds a header of the answer.
func (p *problem) with(name, value string) *problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

// because keeps the cause for the log.
func (p *problem) because(err error) *problem {
	p.cause = err
	return p
}

// retryAfter says when to try again, in whole seconds.
func (p *problem) retryAfter(d time.Duration) *problem {
	return p.with("Retry-After", strconv.Itoa(int(d/time.Second)))
}

// How long those who are refused for now should wait: the store reopens and
// queues shrink within a second; a disk has to be cleaned up by somebody.
const (
	soon  = time.Second
	later = 30 * time.Second
)

// problemOf says any error in the words of the API. Those of the caller's
// making keep their text; the others' text goes to the log alone, since it may
// name paths and servers.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*syntaxError](err); ok {
		return refuse(codeInvalidJSON, "the body is not valid JSON: %v", e)
	}
	if e, ok := errors.AsType[*outbound.Invalid](err); ok {
		code := codeInvalidField
		if e.Missing {
			code = codeMissingField
		}
		return refuse(code, "%v", e).at(e.Field)
	}
	if e, ok := errors.AsType[*outbound.TooLarge](err); ok {
		return refuse(codeTooLarge, "%v", e).at("payload")
	}
	if e, ok := errors.AsType[*outbound.Reused](err); ok {
		return refuse(codeReused, "%v", e).at("event_id")
	}
	if e, ok := errors.AsType[*outbound.Limited](err); ok {
		return refuse(codeRateLimited, "%v", e).with("Retry-After", e.RetryAfter())
	}
	switch {
	case errors.Is(err, outbound.ErrConflict):
		return refuse(codeConflict, "%s", strings.TrimPrefix(err.Error(), outbound.ErrConflict.Error()+": "))
	case errors.Is(err, outbound.ErrNotFound):
		return refuse(codeNotFound, "nothing here has this id")
	case errors.Is(err, outbound.ErrFull):
		return refuse(codeFull, "the store has no room left: whoever runs this server must free some space on its disk; send the request again then").retryAfter(later).because(err)
	case errors.Is(err, outbound.ErrUnavailable), errors.Is(err, outbound.ErrDamaged):
		return refuse(codeUnavailable, "the store is not available for the moment: try again in a second; an event with an event_id is stored once, however often it is sent").retryAfter(soon).because(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return refuse(codeUnavailable, "the request was ended before it was done: send it again").retryAfter(soon)
	}
	return refuse(codeInternal, "the server could not do this; its log says why").because(err)
}

// notFound says which kind of thing is missing; other errors stay.
func notFound(err error, what, id, list string) error {
	if errors.Is(err, outbound.ErrNotFound) {
		return refuse(codeNotFound, "there is no %s %s: see GET %s", what, quote(id), list)
	}
	return err
}

// quote repeats what a caller wrote, within bounds.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.Quote(strings.ToValidUTF8(s[:most], "")) + "…"
	}
	return strconv.Quote(s)
}

// write answers with the problem.
func (p *problem) write(w http.ResponseWriter) {
	body, err := encode(p)
	if err != nil {
		panic(err) // strings and a number: it can't be
	}
	h := w.Header()
	for name, values := range p.header {
		h[name] = values
	}
	writeBody(w, p.Status, "application/problem+json", body)
}
