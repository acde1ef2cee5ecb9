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

// The reasons that only a server has, beside those of package verify.
const (
	// reasonSlowBody: the body comes too slowly.
	reasonSlowBody verify.Reason = "body_too_slow"
	// reasonNoRoom: the body could not be kept while it was judged.
	reasonNoRoom verify.Reason = "no_room"
	// reasonBusy: as many messages are being worked on as the replay memory can
	// watch.
	reasonBusy verify.Reason = "busy"
)

// retryAfter is when a sender may come back, in seconds, where it isn't its
// fault that it was sent away.
const retryAfter = "5"

// statusOf is the HTTP status of a reason.
func statusOf(reason verify.Reason) int {
	switch reason {
	case reasonSlowBody:
		return http.StatusRequestTimeout
	case reasonNoRoom, reasonBusy:
		return http.StatusServiceUnavailable
	}
	return reason.Status()
}

// because makes a reason of ours that of the verdict.
func (v *verdict) because(reason verify.Reason) { v.reason, v.status = reason, statusOf(reason) }

// fail puts an error down as the reason why a request isn't verified.
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
		v.because(reasonNoRoom)
	case errors.Is(err, room.ErrSlow):
		v.because(reasonSlowBody)
	case errors.Is(err, room.ErrTooLarge), handlerErr.StatusCode == http.StatusRequestEntityTooLarge: // request_body's limit
		v.because(verify.ReasonBodyTooLarge)
	default:
		v.because(verify.ReasonUnreadableBody)
	}
}

// refuse ends a request that was refused. The error's text is the reason alone:
// users print it.
func refuse(w http.ResponseWriter, r *http.Request, v *verdict) error {
	switch v.reason { // not the status, which may be one of the provider's choice
	case verify.ReasonMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case verify.ReasonInFlight, reasonNoRoom, reasonBusy:
		w.Header().Set("Retry-After", retryAfter)
	}
	if closes(r, v) {
		room.EndConnection(w, r)
	}
	if v.body != nil {
		// what was read is gone, and error routes must not wait for it
		v.body.Release()
		r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
		r.Header.Del("Content-Length")
	}
	// what caddyhttp.Error would make of it, but for the line of code that it
	// looks up, which takes longer than the refusal and tells less than the reason
	return caddyhttp.HandlerError{
		StatusCode: v.status,
		Err:        errors.New(string(v.reason)),
		ID:         errorID(),
		Trace:      "webhook_verify",
	}
}

// errorID makes an id of the kind that Caddy gives its errors.
func errorID() string {
	const letters = "abcdefghijkmnpqrstuvwxyz23456789"
	var id [9]byte
	for i, n := 0, rand.Uint64(); i < len(id); i, n = i+1, n/uint64(len(letters)) {
		id[i] = letters[n%uint64(len(letters))]
	}
	return string(id[:])
}

// closes says whether a connection is to be closed since the rest of the body is
// not wanted. Otherwise the server reads a good part of it before it answers,
// and waits for one that the client holds back until it is asked.
func closes(r *http.Request, v *verdict) bool {
	switch v.reason {
	case verify.ReasonBodyTooLarge, reasonSlowBody:
		return true
	}
	return v.body == nil && r.Header.Get("Expect") != ""
}
