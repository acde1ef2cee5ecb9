package handler

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
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
// In an error route, it stores requests that `reverse_proxy` couldn't deliver. This
// requires `webhook_verify` before `reverse_proxy`, because it keeps the body: if
// another handler has read the body and it wasn't kept, the request is refused with
// status 500. Requests that `webhook_verify` has refused are refused here too.
//
// If the configuration uses a `{http.webhook.*}` placeholder, and in error routes,
// requests that haven't passed through `webhook_verify` are refused with status 403:
// nothing unverified is stored if the two handlers are in the wrong order, or if
// another route has failed.
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
	// signature, or a hash of the event type and that id if an event of another
	// type has it already; otherwise a generated id.
	EventID string `json:"event_id,omitempty"`

	// Request headers to store with the event and send with each delivery: names,
	// or prefixes such as `X-GitHub-*`. Prefixes don't match headers that, judging
	// by their name, may be credentials, such as `Authorization`, `Cookie` or
	// `X-Api-Key`; these must be named in full. Headers set by the delivery
	// itself, such as `Host` and `Webhook-Id`, can't be forwarded. At most 32
	// headers and 4 KiB are stored; any others are left out, which is logged.
	// `Content-Encoding` is always forwarded.
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

// Provision sets up the handler.
func (p *Publish) Provision(ctx caddy.Context) error {
	app, err := ctx.App("webhooks")
	if err != nil {
		return err
	}
	p.app, p.refusals = app.(*App), newRefusalLog(ctx.Logger())
	return nil
}

// Validate checks what can be checked without a request.
func (p *Publish) Validate() error {
	if p.EventType == "" {
		return errors.New("the event type is missing: write it after the directive, as in `webhook_publish github.{http.webhook.event_type}`")
	}
	err := cmp.Or(checkPlaceholders("event type", p.EventType), checkTenant(p.Tenant), checkPlaceholders("event_id", p.EventID))
	if err != nil {
		return err
	}
	if store.Operational(p.EventType) {
		return fmt.Errorf("%q: types that begin with %s are reserved for events that the server publishes about itself: choose another name", p.EventType, store.OperationalPrefix)
	}
	if !strings.Contains(p.EventType, "{") && outbound.AsEventType(p.EventType) != p.EventType {
		return fmt.Errorf("%q is not a valid event type: write words of A-Z a-z 0-9 _ - separated by dots, as in order.created", p.EventType)
	}
	if p.EventID != "" && !strings.Contains(p.EventID, "{") {
		return fmt.Errorf("event_id %s: all events would have the same id, and only the first one would be stored: write a placeholder, as in event_id {http.request.header.X-Delivery}", p.EventID)
	}
	for _, pattern := range p.ForwardHeaders {
		if err := egress.CheckHeader(pattern, ""); err != nil { // an asterisk is valid in a header's name
			return fmt.Errorf("forward_headers %s: %w", pattern, err)
		}
	}
	return nil
}

// ServeHTTP publishes the request as an event.
func (p *Publish) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	// In handle_response of intercept, these are still those of the app's response.
	w.Header().Del("Content-Length")
	w.Header().Del("Content-Encoding")
	err := p.publish(w, r)
	p.refusals.writePublish(r, err)
	return err
}

func (p *Publish) publish(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return caddyhttp.Error(http.StatusMethodNotAllowed, errors.New("only POST requests are published"))
	}
	v := verdictOf(r.Context())
	if v == nil && (strings.Contains(p.EventType+p.EventID+p.Tenant, "{http.webhook.") || isErrorRoute(r)) {
		return caddyhttp.Error(http.StatusForbidden, errors.New("this request hasn't passed through webhook_verify, so its sender is unknown: put webhook_verify before webhook_publish"))
	}
	if v != nil && v.kind == kindRefused { // this is an error route, meant for requests that the app didn't accept
		return caddyhttp.Error(v.status, errors.New(string(v.reason)))
	}
	engine := p.app.current()
	if engine == nil {
		return unavailable(w, outbound.ErrUnavailable)
	}
	body, part, err := readPayload(r, v, engine.MaxPayload())
	if err != nil {
		return readError(w, r, err, engine.MaxPayload())
	}
	defer part.Release()
	ev, err := p.event(r, v, body)
	if err != nil {
		return caddyhttp.Error(http.StatusUnprocessableEntity, err)
	}
	res, err := p.store(r, engine, ev)
	if err != nil {
		return publishError(w, err)
	}
	if v != nil && v.accept != nil {
		v.accept()
	}
	if v != nil && v.ack != nil {
		return reply(w, v.ack)
	}
	status, answer := api.Published(res)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(answer)
	return err
}

// store stores an event, unless there is one with its id already. That is the same
// webhook, since a provider's retry may differ, in a counter for example. But if it has
// another type, such as that of another provider, the id becomes a hash of both.
func (p *Publish) store(r *http.Request, engine *outbound.Engine, ev *outbound.NewEvent) (outbound.Published, error) {
	res, err := engine.Publish(r.Context(), ev)
	reused, ok := errors.AsType[*outbound.Reused](err)
	if !ok {
		return res, err
	}
	if p.EventID == "" {
		old, err := engine.Event(r.Context(), ev.Tenant, ev.ID)
		if err != nil {
			return res, err // it may be another webhook, which the provider must send again
		}
		if old.Type != ev.Type {
			ev.ID = outbound.AsEventID(ev.Type + "\n" + ev.ID) // always a hash, which no other type and id have
			res, err = engine.Publish(r.Context(), ev)
			if reused, ok = errors.AsType[*outbound.Reused](err); !ok {
				return res, err
			}
		}
	}
	p.refusals.writeDropped(r, reused.EventID)
	return outbound.Published{EventID: reused.EventID, Deliveries: reused.Deliveries, Duplicate: true}, nil
}

// isErrorRoute reports whether an error route handles the request. Such a route gets the
// requests of all the others, even those that failed before anything authenticated them.
func isErrorRoute(r *http.Request) bool { return r.Context().Value(caddyhttp.ErrorCtxKey) != nil }

// unknown stands in an event type for what a placeholder has no value for.
const unknown = "unknown"

// event returns the event that a request publishes. It is an error if the request
// has no tenant, but should.
func (p *Publish) event(r *http.Request, v *verdict, body []byte) (*outbound.NewEvent, error) {
	tenant, err := tenantOf(r, p.Tenant)
	if err != nil {
		return nil, err
	}
	headers, omitted := forwarded(r.Header, p.ForwardHeaders)
	if len(omitted) > 0 {
		p.refusals.writeOmitted(r, omitted)
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	eventType := repl.ReplaceAll(p.EventType, unknown)
	if strings.Contains(eventType, unknown) { // by a placeholder that is empty, or that nothing sets
		if _, err := repl.ReplaceOrErr(p.EventType, false, true); err != nil {
			p.refusals.writeUnknown(r, p.EventType)
		}
	}
	return &outbound.NewEvent{
		ID:          p.eventID(repl, v),
		Type:        outbound.AsEventType(eventType),
		Tenant:      tenant,
		Headers:     headers,
		ContentType: cmp.Or(r.Header.Get("Content-Type"), "application/octet-stream"),
		Payload:     body,
	}, nil
}

// eventID returns the id that is configured or, by default, the provider's
// delivery id if the signature covers it. If it is empty, the engine generates one.
func (p *Publish) eventID(repl *caddy.Replacer, v *verdict) string {
	if p.EventID == "" && v != nil && v.message != nil && v.message.Signed.ID {
		return outbound.AsEventID(v.message.ID)
	}
	id, err := repl.ReplaceOrErr(p.EventID, true, true)
	if err != nil {
		return "" // the rest of the option alone would be the same id for all such requests
	}
	return outbound.AsEventID(id)
}

// payloads limits the memory of all payloads that are being read and stored.
var payloads = room.New(64 << 20)

// readPayload reads the body of a request. If another handler has already read
// it, such as reverse_proxy before an error route, it reads the copy that
// webhook_verify keeps.
func readPayload(r *http.Request, v *verdict, limit int64) ([]byte, room.Part, error) {
	body, part, err := payloads.Read(r, "", limit)
	gone := errors.Is(err, room.ErrGone) || err == nil && len(body) == 0
	if !gone || v == nil || v.body == nil {
		return body, part, err
	}
	part.Release()
	v.body.Serve(r)
	return payloads.Read(r, "", limit)
}

// readError returns the handler error for a payload that couldn't be read.
func readError(w http.ResponseWriter, r *http.Request, err error, limit int64) error {
	switch {
	case errors.Is(err, room.ErrTooLarge):
		return tooLarge(limit)
	case errors.Is(err, room.ErrFull):
		return unavailable(w, err)
	case errors.Is(err, room.ErrSlow):
		room.EndConnection(w, r)
		return caddyhttp.Error(http.StatusRequestTimeout, err)
	case errors.Is(err, room.ErrGone):
		return caddyhttp.Error(http.StatusInternalServerError, fmt.Errorf("%w: put webhook_verify, which keeps the body, or webhook_publish before that handler", err))
	}
	// If request_body has set a limit, err is a handler error with status 413,
	// which takes precedence.
	return caddyhttp.Error(http.StatusBadRequest, fmt.Errorf("reading the body: %w", err))
}

// tooLarge returns the handler error for a payload over the limit. It is addressed
// to the operator, since a provider can't send less.
func tooLarge(limit int64) error {
	return caddyhttp.Error(http.StatusRequestEntityTooLarge, fmt.Errorf("the body is over the limit of %d bytes: raise max_payload in the global webhooks option", limit))
}

// publishError returns the handler error for an event that the engine didn't take.
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

// unavailable returns a handler error that asks the provider to retry soon.
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
