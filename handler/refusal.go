package handler

import (
	"errors"
	"math/rand/v2"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Reasons in addition to those of package verify.
const (
	// reasonSlowBody: the body arrives too slowly.
	reasonSlowBody verify.Reason = "body_too_slow"
	// reasonNoRoom: there is no space for the body while it is being verified.
	reasonNoRoom verify.Reason = "no_room"
	// reasonBusy: the replay memory isn't available yet, or all the messages in it
	// are still being handled.
	reasonBusy verify.Reason = "busy"
)

// retryAfter is the Retry-After header, in seconds, of refusals that aren't the
// sender's fault.
const retryAfter = "5"

func statusOf(reason verify.Reason) int {
	switch reason {
	case reasonSlowBody:
		return http.StatusRequestTimeout
	case reasonNoRoom, reasonBusy:
		return http.StatusServiceUnavailable
	}
	return reason.Status()
}

func (v *verdict) setReason(reason verify.Reason) { v.reason, v.status = reason, statusOf(reason) }

// fail sets the reason why a request isn't verified from an error.
func (v *verdict) fail(err error) {
	if refusal, ok := errors.AsType[*verify.Error](err); ok {
		v.reason, v.status = refusal.Reason, refusal.Status
		return
	}
	handlerErr, _ := errors.AsType[caddyhttp.HandlerError](err)
	_, noRoom := errors.AsType[*spool.Error](err)
	switch {
	case noRoom:
		v.err = err
		v.setReason(reasonNoRoom)
	case errors.Is(err, room.ErrSlow):
		v.setReason(reasonSlowBody)
	case errors.Is(err, room.ErrTooLarge), handlerErr.StatusCode == http.StatusRequestEntityTooLarge: // request_body's limit
		v.setReason(verify.ReasonBodyTooLarge)
	default:
		v.setReason(verify.ReasonUnreadableBody)
	}
}

// refuse returns the handler error for a refused request. Its text is only the
// reason, because users show it in error pages.
func refuse(w http.ResponseWriter, r *http.Request, v *verdict) error {
	switch v.reason { // not the status, which the scheme may choose
	case verify.ReasonMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case verify.ReasonInFlight, reasonNoRoom, reasonBusy:
		w.Header().Set("Retry-After", retryAfter)
	}
	closeUnread(w, r, v)
	if v.body != nil {
		// What was read is gone, so error routes must not wait for the body.
		v.body.Release()
		r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
		r.Header.Del("Content-Length")
	}
	// The same as caddyhttp.Error, which would also look up this line of code for
	// the trace. That takes longer than the refusal, and says less than the reason.
	return caddyhttp.HandlerError{
		StatusCode: v.status,
		Err:        errors.New(string(v.reason)),
		ID:         errorID(),
		Trace:      "webhook_verify",
	}
}

// errorID returns a random id like those of Caddy's own errors.
func errorID() string {
	const letters = "abcdefghijkmnpqrstuvwxyz23456789"
	var id [9]byte
	for i, n := 0, rand.Uint64(); i < len(id); i, n = i+1, n/uint64(len(letters)) {
		id[i] = letters[n%uint64(len(letters))]
	}
	return string(id[:])
}

// closeUnread closes the connection after the response instead of reading the rest of the
// body. Otherwise the server would read much of it before responding, and wait for a body
// that the client withholds because of `Expect: 100-continue`.
func closeUnread(w http.ResponseWriter, r *http.Request, v *verdict) {
	tooMuch := v.reason == verify.ReasonBodyTooLarge || v.reason == reasonSlowBody
	if tooMuch || v.body == nil && r.Header.Get("Expect") != "" {
		room.EndConnection(w, r)
	}
}
