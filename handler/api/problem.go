package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// problem is an error as in RFC 9457. Its detail says what to do.
type problem struct {
	Type   string `json:"type"`  // problemType followed by the code
	Title  string `json:"title"` // the same for every problem of the type
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"` // the field, parameter or header at fault, if it is one

	header http.Header // of the answer
	cause  error       // only for the log
}

func (p *problem) Error() string { return p.Detail }

// problemType begins the type of each problem. Types are URNs, since nothing can be
// fetched there.
const problemType = "urn:caddy-webhooks:problem:"

// kind is what all problems with the same code have in common.
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
	codeCannotIssue      = "cannot_issue"
	codeOtherTenant      = "other_tenant"
	codeNoRoute          = "no_such_route"
	codeNotFound         = "not_found"
	codeMethod           = "method_not_allowed"
	codeTooSlow          = "body_too_slow"
	codeConflict         = "conflict"
	codeReused           = "event_id_reused"
	codeTaken            = "subscription_id_reused"
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
	codeIncomplete:       {http.StatusBadRequest, "The body is incomplete"},
	codeInvalidParameter: {http.StatusBadRequest, "The query is not valid"},
	codeMissingToken:     {http.StatusUnauthorized, "A token is needed"},
	codeInvalidToken:     {http.StatusUnauthorized, "The token is not valid"},
	codeScope:            {http.StatusForbidden, "The token does not allow this"},
	codeCrossOrigin:      {http.StatusForbidden, "Another site's page may not do this"},
	codeNoTenant:         {http.StatusForbidden, "The tenant of the request is not known"},
	codeCannotIssue:      {http.StatusForbidden, "This can't issue a token"},
	codeOtherTenant:      {http.StatusForbidden, "It does not belong to this tenant"},
	codeNoRoute:          {http.StatusNotFound, "There is no such path"},
	codeNotFound:         {http.StatusNotFound, "Not found"},
	codeMethod:           {http.StatusMethodNotAllowed, "The path does not allow this method"},
	codeTooSlow:          {http.StatusRequestTimeout, "The body arrives too slowly"},
	codeConflict:         {http.StatusConflict, "It contradicts what is stored"},
	codeReused:           {http.StatusConflict, "The event id is taken"},
	codeTaken:            {http.StatusConflict, "The subscription id is taken"},
	codeTooLarge:         {http.StatusRequestEntityTooLarge, "The body is too large"},
	codeMediaType:        {http.StatusUnsupportedMediaType, "The content type is not supported"},
	codeUnknownField:     {http.StatusUnprocessableEntity, "A field is unknown"},
	codeRepeatedField:    {http.StatusUnprocessableEntity, "A field is given twice"},
	codeMissingField:     {http.StatusUnprocessableEntity, "A field is missing"},
	codeInvalidField:     {http.StatusUnprocessableEntity, "A field is not valid"},
	codeInternal:         {http.StatusInternalServerError, "Something went wrong"},
	codeRateLimited:      {http.StatusTooManyRequests, "The tenant publishes too fast"},
	codeUnavailable:      {http.StatusServiceUnavailable, "Not available at the moment"},
	codeFull:             {http.StatusServiceUnavailable, "The store is full"},
}

// refuse returns the problem with the given code and detail.
func refuse(code, format string, args ...any) *problem {
	k := kinds[code]
	return &problem{Type: problemType + code, Title: k.title, Status: k.status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// at names the field that is at fault. The name may be of any length, since the
// caller may have made it up.
func (p *problem) at(field string) *problem {
	const maxField = 128
	p.Field = strings.ToValidUTF8(field[:min(len(field), maxField)], "")
	return p
}

// with sets a header of the answer.
func (p *problem) with(name, value string) *problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

// because sets the cause, which is logged and not shown to the caller.
func (p *problem) because(err error) *problem {
	p.cause = err
	return p
}

// retryAfter says how long to wait before trying again, in whole seconds.
func (p *problem) retryAfter(d time.Duration) *problem {
	return p.with("Retry-After", strconv.Itoa(int(d/time.Second)))
}

// How long a caller should wait before it tries again.
const (
	soon  = time.Second      // for the store to reopen, or queues to shrink
	later = 30 * time.Second // for somebody to free space on a disk, or to end a tail
)

// problemOf returns the problem that an error is answered with. The caller's own
// errors keep their text; that of others is only logged, since it may name paths
// and servers.
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
	if e, ok := errors.AsType[*outbound.Taken](err); ok {
		return refuse(codeTaken, "%v", e).at("subscription_id")
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
		return refuse(codeFull, "the store has no room left: whoever runs this server must free space on its disk; send the request again then").retryAfter(later).because(err)
	case errors.Is(err, outbound.ErrUnavailable), errors.Is(err, outbound.ErrDamaged):
		return refuse(codeUnavailable, "the store is not available at the moment: try again in a second").retryAfter(soon).because(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return refuse(codeUnavailable, "the request was ended before it was done: send it again").retryAfter(soon)
	}
	return refuse(codeInternal, "the server could not do this; its log says why").because(err)
}

// notPublished is problemOf for the error of an event. If the store failed, which may
// have stored it anyway, it says how the event can safely be sent again.
func notPublished(err error) *problem {
	p := problemOf(err)
	if p.Code != codeUnavailable || p.cause == nil {
		return p
	}
	again := *p
	again.Detail += "; an event with an event_id is stored once, however often it is sent"
	return &again
}

// notFound says what doesn't exist, and which list to look at, if err is
// outbound.ErrNotFound. It returns other errors as they are.
func notFound(err error, what, id, list string) error {
	if errors.Is(err, outbound.ErrNotFound) {
		return refuse(codeNotFound, "there is no %s %s: see GET %s", what, quote(id), list)
	}
	return err
}

// quote quotes what a caller sent, or the start of it if it is long.
func quote(s string) string {
	const maxQuoted = 80
	if len(s) > maxQuoted {
		return strconv.Quote(strings.ToValidUTF8(s[:maxQuoted], "")) + "…"
	}
	return strconv.Quote(s)
}

// write answers with the problem.
func (p *problem) write(w http.ResponseWriter) {
	body, err := encode(p)
	if err != nil {
		panic(err) // it has only strings and a number, which can be encoded
	}
	maps.Copy(w.Header(), p.header)
	writeBody(w, p.Status, "application/problem+json", body)
}
