package handler

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

func init() {
	caddy.RegisterModule(Publish{})
}

// Publish is a handler that stores the request body as an event, and responds
// with status 202 once it is durable. The event is then delivered to matching
// subscriptions, with retries. Behind `webhook_verify`, this is a durable inbox
// for webhooks: a deploy or a crash of the app doesn't lose any.
//
// The body and its Content-Type are stored unchanged. Only POST requests are
// accepted. If the provider doesn't treat every 2xx status as success, the
// response is the one defined by its scheme instead of the 202.
//
// In an error route, it stores what `reverse_proxy` couldn't deliver. This requires
// `webhook_verify` before that, which keeps the body: a request whose body has been
// read by another handler, and isn't kept, is refused with status 500. Requests that
// `webhook_verify` has refused are refused here too.
//
// If the configuration uses a `{http.webhook.*}` placeholder, requests that
// haven't passed through `webhook_verify` are refused with status 403, so that
// nothing unverified is stored if the two handlers are in the wrong order.
// Refused requests, such as those with a body over `max_payload`, are logged.
type Publish struct {
	// The event type. Supports placeholders, as in
	// `github.{http.webhook.event_type}`. Slashes are replaced with dots, and
	// other characters that aren't allowed in event types with underscores.
	// Required.
	EventType string `json:"event_type"`

	// The tenant that the event belongs to. Supports placeholders; requests for
	// which one of them is empty are refused. Default: no tenant.
	Tenant string `json:"tenant,omitempty"`

	// The event id, by which a webhook that is sent again is recognized as a
	// duplicate. Supports placeholders; if one of them is empty, the id is
	// generated. Default: the provider's delivery id if it is covered by the
	// signature, otherwise a generated id.
	EventID string `json:"event_id,omitempty"`

	// Request headers to store with the event and send with each delivery: names,
	// or prefixes such as `X-GitHub-*`. Prefixes don't match headers that, judging
	// by their name, may be credentials, such as `Authorization`, `Cookie` or
	// `X-Api-Key`; these must be named in full. Headers set by the delivery
	// itself, such as `Host` and `Webhook-Id`, can't be forwarded. At most 32
	// headers and 4 KiB are stored; any others are left out, which is logged.
	ForwardHeaders []string `json:"forward_headers,omitempty"`

	app      *App
	refusals *refusalLog
}

// CaddyModule returns the Caddy module information.
func (Publish) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.webhook_publish",
		New: func() caddy.Module { return new(Publish) },
	}
}

// Provision finds the app.
func (p *Publish) Provision(ctx caddy.Context) error {
	app, err := ctx.App("webhooks")
	if err != nil {
		return fmt.Errorf("webhook_publish: %w", err)
	}
	p.app, p.refusals = app.(*App), newRefusalLog(ctx.Logger())
	return nil
}

// Validate checks what can be checked without a request.
func (p *Publish) Validate() error {
	if p.EventType == "" {
		return errors.New("webhook_publish: the event type is missing: write it behind the directive, as in `webhook_publish github.{http.webhook.event_type}`")
	}
	err := cmp.Or(checkPlaceholders("event type", p.EventType), checkTenant(p.Tenant), checkPlaceholders("event_id", p.EventID))
	if err != nil {
		return fmt.Errorf("webhook_publish: %w", err)
	}
	if store.Operational(p.EventType) {
		return fmt.Errorf("webhook_publish: %q: types that begin with %s are for the events that the server publishes about itself: choose another word", p.EventType, store.OperationalPrefix)
	}
	if !strings.Contains(p.EventType, "{") && outbound.AsEventType(p.EventType) != p.EventType {
		return fmt.Errorf("webhook_publish: %q is no event type: write words of A-Z a-z 0-9 _ - joined by dots, as in order.created", p.EventType)
	}
	if p.EventID != "" && !strings.Contains(p.EventID, "{") {
		return fmt.Errorf("webhook_publish: event_id %s: all events would have the same id, and only the first would be taken: write a placeholder, as in event_id {http.request.header.X-Delivery}", p.EventID)
	}
	for _, pattern := range p.ForwardHeaders {
		if err := egress.CheckHeader(pattern, ""); err != nil { // a name may have a *
			return fmt.Errorf("webhook_publish: forward_headers %s: %w", pattern, err)
		}
	}
	return nil
}

func (p *Publish) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	err := p.publish(w, r)
	p.refusals.writePublish(r, err)
	return err
}

func (p *Publish) publish(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return caddyhttp.Error(http.StatusMethodNotAllowed, errors.New("only POST publishes"))
	}
	v := verdictOf(r.Context())
	if v == nil && strings.Contains(p.EventType+p.EventID+p.Tenant, "{http.webhook.") {
		return caddyhttp.Error(http.StatusForbidden, errors.New("webhook_verify has not seen this request, so that nothing is known of who sent it: write webhook_verify before webhook_publish, in a route above it"))
	}
	if v != nil && v.kind == kindRefused { // by now it is in an error route, which is for others
		return caddyhttp.Error(v.status, errors.New(string(v.reason)))
	}
	engine := p.app.current()
	if engine == nil {
		return unavailable(w, outbound.ErrUnavailable)
	}
	body, part, err := readPayload(r, v, engine.MaxPayload())
	if err != nil {
		return unread(w, r, err, engine.MaxPayload())
	}
	defer part.Release()
	ev := p.event(r, body)
	if ev.Tenant, err = tenantOf(r, p.Tenant); err != nil {
		return caddyhttp.Error(http.StatusUnprocessableEntity, err)
	}
	res, err := engine.Publish(r.Context(), ev)
	var reused *outbound.Reused
	if errors.As(err, &reused) {
		// A provider's retry may differ in a counter; it is the same webhook.
		p.refusals.writeDropped(r, reused.EventID)
		res, err = outbound.Published{EventID: reused.EventID, Deliveries: reused.Deliveries, Duplicate: true}, nil
	}
	if err != nil {
		return publishError(w, err)
	}
	if v != nil && v.taken != nil {
		return reply(w, v.taken)
	}
	status := http.StatusAccepted
	if res.Duplicate {
		status = http.StatusOK
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(accepted{res.EventID, res.Deliveries, res.Duplicate})
}

// accepted is the answer, as the API's.
type accepted struct {
	EventID    string `json:"event_id"`
	Deliveries int    `json:"deliveries"`
	Duplicate  bool   `json:"duplicate"`
}

// event is what the request says.
func (p *Publish) event(r *http.Request, body []byte) *outbound.NewEvent {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	n := &outbound.NewEvent{
		ID:          p.eventID(repl, verdictOf(r.Context())),
		Type:        outbound.AsEventType(repl.ReplaceAll(p.EventType, "unknown")),
		ContentType: r.Header.Get("Content-Type"),
		Payload:     body,
	}
	var left []string
	if n.Headers, left = forwarded(r.Header, p.ForwardHeaders); len(left) > 0 {
		p.refusals.writeLeft(r, left)
	}
	if n.ContentType == "" {
		n.ContentType = "application/octet-stream"
	}
	return n
}

// eventID is what was configured, or the provider's delivery id if nobody
// could have changed it on the way.
func (p *Publish) eventID(repl *caddy.Replacer, v *verdict) string {
	if p.EventID == "" && v != nil && v.message != nil && v.message.Signed.ID {
		return outbound.AsEventID(v.message.ID)
	}
	id, err := repl.ReplaceOrErr(p.EventID, true, true)
	if err != nil {
		return "" // what stands around the placeholder, all that lack it would share
	}
	return outbound.AsEventID(id)
}

// payloads is the room for those that are read and not stored yet.
var payloads = room.New(64 << 20)

// readPayload reads the body of a request. Where another handler has read it before,
// as reverse_proxy has when an error route stores what the app didn't take, it is
// what webhook_verify keeps.
func readPayload(r *http.Request, v *verdict, limit int64) ([]byte, room.Part, error) {
	body, part, err := payloads.Read(r, limit)
	gone := errors.Is(err, room.ErrGone) || err == nil && len(body) == 0
	if !gone || v == nil || v.body == nil {
		return body, part, err
	}
	part.Release()
	v.body.Serve(r)
	return payloads.Read(r, limit)
}

// unread tells why a payload wasn't read.
func unread(w http.ResponseWriter, r *http.Request, err error, limit int64) error {
	switch {
	case errors.Is(err, room.ErrTooLarge):
		return tooLarge(limit)
	case errors.Is(err, room.ErrFull):
		return unavailable(w, err)
	case errors.Is(err, room.ErrSlow):
		room.EndConnection(w, r)
		return caddyhttp.Error(http.StatusRequestTimeout, err)
	case errors.Is(err, room.ErrGone):
		return caddyhttp.Error(http.StatusInternalServerError, fmt.Errorf("%w: put webhook_verify, which keeps it, or webhook_publish in front of that", err))
	}
	return caddyhttp.Error(http.StatusBadRequest, fmt.Errorf("reading the body: %w", err)) // or request_body's own
}

// tooLarge tells the operator what to do: a provider can't send less.
func tooLarge(limit int64) error {
	return caddyhttp.Error(http.StatusRequestEntityTooLarge, fmt.Errorf("the body is over the limit of %d bytes: raise max_payload in the global webhooks option", limit))
}

func publishError(w http.ResponseWriter, err error) error {
	var large *outbound.TooLarge
	var wrong *outbound.Invalid
	var limited *outbound.Limited
	switch {
	case errors.As(err, &large):
		return tooLarge(large.Limit)
	case errors.As(err, &wrong):
		return caddyhttp.Error(http.StatusUnprocessableEntity, err)
	case errors.As(err, &limited):
		w.Header().Set("Retry-After", limited.RetryAfter())
		return caddyhttp.Error(http.StatusTooManyRequests, err)
	}
	return unavailable(w, err)
}

// unavailable asks a provider to come again.
func unavailable(w http.ResponseWriter, err error) error {
	w.Header().Set("Retry-After", retryAfter)
	return caddyhttp.Error(http.StatusServiceUnavailable, err)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Publish)(nil)
	_ caddy.Validator             = (*Publish)(nil)
	_ caddyhttp.MiddlewareHandler = (*Publish)(nil)
)
