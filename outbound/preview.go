package outbound

import (
	"context"
	"net/http"
	"slices"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/payload"
)

// What a Preview shows in place of what only a delivery has.
const (
	PreviewSignature = "[signature]"
	PreviewToken     = "[access token]"
)

// Preview is what a subscription would be sent of an event.
type Preview struct {
	OfType      bool        // the event is of a type that the subscription names
	Wanted      bool        // its filter selects the event, or there is none
	FilterError string      // why the filter can't be evaluated; Wanted then says whether the event is delivered all the same
	Header      http.Header // as sent, except for signatures, access tokens and the trace
	Body        []byte      // JSON; nil if nothing can be sent
	Error       string      // why a delivery would fail; "" if nothing is known to prevent it
}

// Preview returns what a subscription would be sent of an event, which is neither
// stored nor sent. Only Type, Payload and Headers of n are used, the first two with the
// defaults of [Engine.Test]. An event that Publish would refuse is refused here too, with
// the same errors. The error may also be ErrNotFound.
func (e *Engine) Preview(ctx context.Context, subscription string, n *NewEvent) (*Preview, error) {
	l := e.lanes.byID(subscription)
	if l == nil {
		return nil, ErrNotFound
	}
	t := l.currentTarget()
	ev, err := e.testEvent(ctx, t.sub, n)
	if err != nil {
		return nil, err
	}
	p := &Preview{OfType: slices.Contains(e.match(ev), l)}
	if p.Wanted, p.FilterError, err = t.judge(ctx, ev); err != nil {
		return nil, err
	}
	h, body, o := t.compose(ctx, ev, e.clock.Now())
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !o.ok() {
		p.Error = o.message
		return p, nil
	}
	t.signers.mask(h, PreviewSignature)
	if t.tokens != nil {
		h.Set(authorization, PreviewToken)
	}
	p.Header, p.Body = h, body
	return p, nil
}

// judge reports whether the filter selects an event. If the filter can't be evaluated,
// trouble says why, without CEL's error, which may quote the payload. The error is that
// of ctx.
func (t *target) judge(ctx context.Context, ev *Event) (wanted bool, trouble string, err error) {
	if t.filter == nil {
		return true, "", nil
	}
	view, err := payload.NewView(ctx, ev)
	if err != nil {
		return false, "", err
	}
	defer view.Close()
	wanted, err = t.wants(view)
	switch {
	case err == nil:
		return wanted, "", nil
	case wanted:
		return true, "it takes too long for this event, which would be delivered unfiltered", nil
	}
	return false, "a value has a different type than it expects", nil
}
