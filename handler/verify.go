package handler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func init() {
	caddy.RegisterModule(Verify{})
}

// defaultMaxBody is the default of max_body: GitHub sends up to 25 MB.
const defaultMaxBody = 25 << 20

// bodies limits the memory of all bodies that are being verified or read by the
// app. A single one may take bodyInMemory of it. The rest is in files, which
// bodyFiles limits: whoever knows what a signature looks like can send bodies.
var (
	bodies    = room.New(64 << 20)
	bodyFiles = room.New(1 << 30)
)

const bodyInMemory = 1 << 20

// Verify is a handler that verifies the signature of inbound webhooks before
// the handlers after it see the request. Requests that can't be verified are
// refused. It never fails open: a config without a usable secret doesn't load.
//
// Cheap checks come first, so a request without a signature is refused before
// its body is read. The handlers after it receive exactly the bytes that were
// verified, and `reverse_proxy` can retry them.
//
// Refusals are handler errors, which can be handled with `handle_errors`: 401
// for a missing, malformed or wrong signature or timestamp, 405 for methods
// other than POST, 409 for a replay, 413 for a body over the limit, and 415 for
// a content type that the scheme doesn't allow. The error message is the reason
// as a single word, such as `bad_signature`.
//
// Request headers that start with `Webhook-Verified` are removed. On verified
// requests, `Webhook-Verified` is set to the name of the provider. Requests that
// don't pass through this handler keep what clients have set. Trailers are
// removed too, since no provider signs them, and so are headers listed in
// `Connection`, which proxies don't pass on.
//
// This handler sets the following placeholders:
//
// Placeholder | Description
// ------------|---------------
// `{http.webhook.provider}` | The name of the provider's scheme
// `{http.webhook.verified}` | `true` or `false`
// `{http.webhook.error}` | Why the request was refused, such as `bad_signature`; empty if it wasn't
// `{http.webhook.id}` | The delivery id
// `{http.webhook.event_type}` | The event type
// `{http.webhook.timestamp}` | When the provider signed the request, in RFC 3339 format
// `{http.webhook.secret_index}` | The index of the secret that matched; 0 is the first
// `{http.webhook.signed}` | What the signature covers: a space-separated list of `id`, `timestamp`, `event_type` and `body`. Anything not listed may be forged.
type Verify struct {
	// The name of the provider, as listed by `caddy webhooks providers`, that of a
	// custom scheme of the `webhooks` app, or `hmac` for one that is defined here.
	// Required.
	Provider string `json:"provider,omitempty"`

	// The secrets to verify with. Any of them may match, so that a secret can be
	// rotated without refusing requests. Global placeholders are replaced when
	// the config is loaded; an empty secret is an error. At least one is
	// required.
	Secrets []string `json:"secrets,omitempty"`

	// The second value that some handshakes need, such as Meta's verify token.
	// Can't be set if the scheme has no such handshake. Global placeholders are
	// replaced when the config is loaded.
	VerifyToken string `json:"verify_token,omitempty"`

	// The scheme and host that the provider knows this server by, such as
	// `https://hooks.example.com`, for schemes that sign the URL. Default: those
	// of the request, or of the `X-Forwarded-Proto` and `X-Forwarded-Host`
	// headers if they come from one of the server's `trusted_proxies`.
	PublicURL string `json:"public_url,omitempty"`

	// The maximum size of the request body, in bytes. Default: 25 MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// What to do with a message that the app has already accepted with a 2xx
	// response: `off` passes it on, `reject` responds with status 409, and `ack`
	// with status 200. With `reject` and `ack`, a copy that arrives while the app
	// is still handling the first one gets status 409. Default: `ack` if the
	// scheme signs a timestamp, which limits how long messages have to be
	// remembered, otherwise `off`.
	Replay string `json:"replay,omitempty"`

	// How long to remember messages. Can't be shorter than the default, which is
	// as long as the message's timestamp is within the tolerance. Required for
	// `reject` and `ack` if no timestamp is signed; setting it makes `ack` the
	// default there.
	ReplayFor caddy.Duration `json:"replay_for,omitempty"`

	// Distinguishes handlers that have the same provider and first secret, since
	// each has a replay memory of its own. The Caddyfile adapter sets this where
	// it is needed.
	Route string `json:"route,omitempty"`

	// Passes all requests on, verified or not. The verdict is in the
	// placeholders, and `Webhook-Verified` is `false` on requests that would have
	// been refused. Behind this, `webhook_publish` stores unverified requests too.
	DryRun bool `json:"dry_run,omitempty"`

	// Doesn't answer the provider's handshake. Signed handshakes are passed on
	// once they are verified; others are refused.
	NoHandshake bool `json:"no_handshake,omitempty"`

	// Overrides fields of the provider's scheme, or defines a custom one if the
	// provider is `hmac`. The fields are those shown by `caddy webhooks
	// providers <provider> --json`. Fields that only describe a scheme
	// (`aliases`, `title`, `source`, `unconfirmed` and `notes`) have no effect
	// here.
	Scheme verify.Scheme `json:"scheme,omitzero"`

	name     string // the scheme's name
	verifier *verify.Verifier
	ack      *verify.Reply // how the provider wants events to be acknowledged; nil if any 2xx will do
	maxBody  int64
	refusals *refusalLog
	tally    *tally

	replays *verify.Replays // nil if replay is off; the fields below are then unset
	app     func() *App     // whose store persists the replay memory; it returns nil if there is no webhooks option
	route   string          // identifies this handler in the replay memory
	life    time.Duration   // how long messages are remembered
}

// CaddyModule returns the Caddy module information.
func (Verify) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.webhook_verify",
		New: func() caddy.Module { return new(Verify) },
	}
}

// Provision sets up the handler.
func (h *Verify) Provision(ctx caddy.Context) error {
	if err := registerVerifyMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	table, err := schemesOf(ctx)
	if err == nil {
		err = h.provision(ctx, table)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", h.directive(table), err)
	}
	return nil
}

// schemesOf returns the custom schemes of a config, none if it has no webhooks
// app.
func schemesOf(ctx caddy.Context) (verify.Table, error) {
	app, err := ctx.AppIfConfigured("webhooks")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return app.(*App).settings.Schemes, nil
}

func (h *Verify) provision(ctx caddy.Context, table verify.Table) error {
	h.maxBody = cmp.Or(h.MaxBody, defaultMaxBody)
	if err := h.checkOptions(); err != nil {
		return err
	}
	scheme, options, err := h.Terms(table)
	if err != nil {
		return err
	}
	if len(options.Secrets) == 0 {
		return fmt.Errorf("there is no secret: write \"webhook_verify %s {env.NAME}\", or a secret line in its block; if it says {$NAME}, that variable isn't set", h.Provider)
	}
	if h.verifier, err = verify.New(scheme, options); err != nil {
		return err
	}
	h.name = scheme.Name
	h.ack = acknowledgement(scheme.Acknowledge)
	h.refusals = newRefusalLog(ctx.Logger())
	h.logWarnings(ctx.Logger().With(zap.String("provider", h.name)), scheme, options.Secrets)
	h.tally = newTally(h.name, len(h.Secrets))
	return h.provisionReplay(ctx, scheme)
}

// minSecretBytes is the size of the shortest keys that a provider issues, which are
// Dropbox's. Shorter ones were chosen by somebody.
const minSecretBytes = 15

// logWarnings logs what is unsafe or incomplete in a config that loads all the same.
func (h *Verify) logWarnings(logger *zap.Logger, scheme verify.Scheme, secrets []string) {
	if h.Route != "" {
		logger = logger.With(zap.String("route", h.Route))
	}
	if size := scheme.ShortestKey(secrets); size > 0 && size < minSecretBytes {
		logger.Warn("webhook_verify has a secret that is short enough to be guessed: if it can be chosen, give it and the provider a longer one",
			zap.Int("bytes", size), zap.Int("at_least", minSecretBytes))
	}
	for _, leak := range tokenLeaks(scheme, !h.NoHandshake) {
		logger.Warn(leak)
	}
	if h.VerifyToken == "" && !h.NoHandshake && scheme.NeedsVerifyToken() {
		logger.Warn("the provider can't set up its webhook: its handshake is refused because there is no verify_token; write verify_token {env.NAME}, or handshake off")
	}
	if h.DryRun {
		logger.Warn("enforce off: every request is passed on, verified or not")
	}
}

// directive returns the prefix of this handler's errors. It names the provider
// only if that is known, or nearly so: otherwise it could be a misplaced secret.
func (h *Verify) directive(table verify.Table) string {
	if _, known := table.Lookup(h.Provider); known || len(table.Suggest(h.Provider)) > 0 {
		return "webhook_verify " + h.Provider
	}
	return "webhook_verify"
}

// scheme returns the provider's scheme, overridden by the fields of the config.
func (h *Verify) scheme(table verify.Table) (verify.Scheme, error) {
	if h.Provider == "" {
		return verify.Scheme{}, errors.New(`name the provider, as in "webhook_verify github {env.GITHUB_WEBHOOK_SECRET}", or hmac for a scheme of your own`)
	}
	row, ok := table.Lookup(h.Provider)
	if !ok {
		return verify.Scheme{}, errors.New("unknown provider: " + didYouMean(table, h.Provider) + `"caddy webhooks providers" lists the known ones; for any other, write "webhook_verify hmac" and describe its scheme in a block, or define a scheme in the global webhooks option`)
	}
	scheme := row.Merge(h.Scheme)
	if h.VerifyToken != "" && !scheme.TakesVerifyToken() { // the user may believe that it protects something
		return verify.Scheme{}, errors.New("verify_token: the scheme has no handshake that uses one, and events are not checked against it: leave it out; the key or token that events are verified with is the secret")
	}
	return scheme, nil
}

// didYouMean suggests providers and custom schemes with names like this one; it
// returns an empty string if there are none.
func didYouMean(table verify.Table, name string) string {
	near := table.Suggest(name)
	if len(near) == 0 {
		return ""
	}
	return "did you mean " + strings.Join(near, " or ") + "? "
}

// Terms returns the scheme and the options to verify with, with placeholders
// replaced. The CLI uses it to sign and verify by a config that isn't running.
func (h *Verify) Terms(table verify.Table) (scheme verify.Scheme, options verify.Options, err error) {
	if scheme, err = h.scheme(table); err != nil {
		return scheme, options, err
	}
	var t texts
	options.NoHandshake = h.NoHandshake
	for i, raw := range h.Secrets {
		options.Secrets = append(options.Secrets, t.secret("secret "+strconv.Itoa(i+1), raw))
	}
	if h.VerifyToken != "" {
		options.VerifyToken = t.secret("verify_token", h.VerifyToken)
	}
	options.PublicURL = t.text("public_url", h.PublicURL)
	return scheme, options, t.err
}

// checkOptions checks the options that don't depend on the scheme.
func (h *Verify) checkOptions() error {
	switch h.Replay {
	case "", replayOff, replayReject, replayAck:
	default:
		return fmt.Errorf("replay %q: write off, reject or ack", h.Replay)
	}
	if h.MaxBody < 0 {
		return errors.New("max_body must not be negative")
	}
	if h.ReplayFor != 0 && h.ReplayFor < minReplayFor {
		return errors.New("replay_for must be at least a second, as in \"24h\"; a plain number is in nanoseconds")
	}
	if h.ReplayFor > 0 && h.Replay == replayOff {
		return errors.New("replay off remembers nothing: leave replay_for out, or write reject or ack")
	}
	return nil
}

// Cleanup releases the replay memory.
func (h *Verify) Cleanup() error {
	if h.replays == nil {
		return nil
	}
	return releaseReplays()
}

// ServeHTTP verifies a request, and passes it on unless it is refused.
func (h *Verify) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	stripHeaders(r.Header)
	// No scheme signs trailers, and they would arrive after the verdict. Without
	// them, the body can be passed on with a Content-Length.
	r.Trailer = nil

	span := startVerifySpan(r.Context())
	v := h.judge(r)
	endVerifySpan(span, v)
	h.report(r, v)

	switch v.kind {
	case kindHandshake, kindAcknowledged:
		closeUnread(w, r, v)
		v.release()
		return reply(w, v.reply)
	case kindRefused:
		return refuse(w, r, v)
	}
	return h.pass(w, r, v, next)
}

func (h *Verify) judge(r *http.Request) *verdict {
	v := &verdict{provider: h.name, kind: kindVerified, ack: h.ack}
	h.check(r, v)
	if v.reason == "" && v.reply == nil {
		h.reserve(v)
	}
	switch {
	case v.reply != nil:
		v.kind = kindHandshake
	case v.reason == "":
	case v.err != nil:
		v.kind = kindRefused // even on a dry run: there is no body to pass on
	case h.DryRun:
		v.kind = kindUnenforced
	case v.reason == verify.ReasonReplayed && h.Replay != replayReject:
		v.kind = kindAcknowledged
		v.reply = cmp.Or(h.ack, &verify.Reply{Status: http.StatusOK})
	default:
		v.kind = kindRefused
	}
	return v
}

// check verifies the signature: first what can be checked without the body, then
// the body while it is read.
func (h *Verify) check(r *http.Request, v *verdict) {
	var method string
	method, v.url = asSent(r)
	check, err := h.verifier.Begin(&verify.Request{
		Method:        method,
		URL:           &v.url,
		Header:        r.Header,
		ContentLength: r.ContentLength,
	})
	if err != nil {
		v.fail(err)
		return
	}
	if v.reply = check.Reply(); v.reply != nil {
		return
	}
	if r.ContentLength > h.maxBody {
		v.fail(room.ErrTooLarge)
		return
	}
	v.body = spool.New(bodies, bodyFiles, bodyInMemory, r.ContentLength)
	if err := v.body.Fill(r.Body, h.maxBody, check); err != nil {
		v.fail(err)
		return
	}
	if v.message, err = check.Finish(v.body, v.body.Size()); err != nil {
		v.fail(err)
		return
	}
	v.reply = v.message.Reply
}

// acknowledgement returns the response to an event that a scheme requires, or nil
// if any 2xx will do.
func acknowledgement(a verify.Acknowledge) *verify.Reply {
	switch {
	case a.Status == 0:
		return nil
	case a.Body == "":
		return &verify.Reply{Status: a.Status}
	}
	return &verify.Reply{Status: a.Status, Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Body: []byte(a.Body)}
}

// report makes the verdict visible in placeholders, logs and metrics.
func (h *Verify) report(r *http.Request, v *verdict) {
	v.attach(r.Context())
	v.addToAccessLog(r.Context())
	h.tally.count(v)
	if v.kind == kindRefused || v.kind == kindUnenforced {
		h.refusals.writeVerdict(r, v)
	}
}

// reply writes a response that the scheme defines.
func reply(w http.ResponseWriter, r *verify.Reply) error {
	for name, values := range r.Header {
		w.Header()[name] = slices.Clone(values) // other handlers may change them
	}
	w.WriteHeader(r.Status)
	_, err := w.Write(r.Body)
	return err
}

// pass passes the request on to the next handler. The response decides whether
// the message stays in the replay memory.
func (h *Verify) pass(w http.ResponseWriter, r *http.Request, v *verdict, next caddyhttp.Handler) (err error) {
	verified := v.provider
	if v.kind == kindUnenforced {
		verified = "false"
	}
	r.Header[verifiedHeader] = []string{verified}
	if v.body != nil {
		defer func() {
			if err != nil {
				context.AfterFunc(r.Context(), v.body.Release) // error routes may still read it
			} else {
				v.body.Release()
			}
		}()
		v.body.Serve(r)
	}
	if !v.reserved {
		return next.ServeHTTP(w, r)
	}
	recorder := caddyhttp.NewResponseRecorder(w, nil, nil) // buffers nothing
	returned := false
	defer func() { h.settle(v, succeeded(recorder, returned)) }()
	err = next.ServeHTTP(recorder, r)
	returned = err == nil
	return err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Verify)(nil)
	_ caddy.CleanerUpper          = (*Verify)(nil)
	_ caddyhttp.MiddlewareHandler = (*Verify)(nil)
)
