package handler

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/payload"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("webhooks", parseGlobalOption)
}

// parseGlobalOption parses the webhooks option. existing is not nil if the option
// occurs a second time.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next() // so that the error has the line of the second one
		return nil, d.Err("there is already a webhooks option: put everything into one block")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "webhooks", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile sets up the app. Syntax:
//
//	webhooks {
//		store sqlite <path>
//		store postgres <connection string>
//		scheme <name> [<provider>] {
//			... # the options of webhook_verify that describe a scheme
//		}
//		sign <scheme...>
//		retry <delay...>|off
//		retry exponential {
//			base <duration>
//			factor <number>
//			max <duration>
//			attempts <number>
//		}
//		timeout <duration>
//		concurrency <number>
//		endpoint_concurrency <number>
//		secret_grace <duration>
//		disable_after <attempts> <duration>|off
//		retain_for <duration>|off
//		retain_size <size>|off
//		response_body <size>|off
//		max_payload <size>
//		tenant_rate_limit <number>/<s|m|h>
//		dead_letter_log <path>
//		egress {
//			allow <address|cidr|host...>
//			deny <address|cidr|host...>
//			proxy <url>
//			tls_trust_pool <module> ...
//			tls_client_auth <cert_file> <key_file>
//		}
//		event_type <name> [<description>] {
//			schema <file>
//		}
//		subscription <name> {
//			url <url>
//			event_types <type...>
//			secret <secret>
//			header <name> <value>
//			oauth2 <token_url> {
//				client_id <id>
//				client_secret <secret>
//				scope <scope...>
//				param <name> <value>
//				auth_style header|body
//			}
//			handshake <origin>
//			scheme <scheme...>
//			tenant <tenant>
//			description <text>
//			rate_limit <number>/<s|m|h>
//			retry <delay...>|off
//			retry exponential { ... }
//			timeout <duration>
//			ordered
//			filter <expression>
//			transform <expression>
//			metadata <name> <value>
//		}
//	}
//
// The options allow, deny, tls_trust_pool, event_type, event_types, subscription,
// secret, header, metadata, scope, param and the global scheme can be repeated.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume option name
	if err := noArg(d); err != nil {
		return err
	}
	return parseBlock(d, appOptions, a)
}

// appOptions are the options of the webhooks block.
var appOptions = map[string]option[*App]{
	"store":                {parseStore, false},
	"scheme":               {parseScheme, true},
	"sign":                 words(func(a *App) *string { return &a.Sign }),
	"retry":                retry(func(a *App) **Retry { return &a.Retry }),
	"timeout":              duration(func(a *App) *caddy.Duration { return &a.Timeout }),
	"concurrency":          number(func(a *App) *int { return &a.Concurrency }),
	"endpoint_concurrency": number(func(a *App) *int { return &a.EndpointConcurrency }),
	"secret_grace":         duration(func(a *App) *caddy.Duration { return &a.SecretGrace }),
	"disable_after":        orOff(option[*App]{parse: parseDisableAfter}, func(a *App) { a.DisableAfter = &DisableAfter{Failures: -1} }),
	"retain_for":           orOff(duration(func(a *App) *caddy.Duration { return &a.RetainFor }), func(a *App) { a.RetainFor = -1 }),
	"retain_size":          orOff(size(func(a *App) *int64 { return &a.RetainSize }), func(a *App) { a.RetainSize = -1 }),
	"response_body":        orOff(size(func(a *App) *int64 { return &a.ResponseBody }), func(a *App) { a.ResponseBody = -1 }),
	"max_payload":          size(func(a *App) *int64 { return &a.MaxPayload }),
	"tenant_rate_limit":    perSecond(func(a *App) *float64 { return &a.TenantRateLimit }),
	"dead_letter_log":      text(func(a *App) *string { return &a.DeadLetterLog }),
	"egress":               {parseEgress, false},
	"event_type":           {parseEventType, true},
	"subscription":         {parseSubscription, true},
}

var eventTypeOptions = map[string]option[*EventType]{
	"schema": {parseSchema, false},
}

// exponentialOptions are the options in the block of retry exponential.
var exponentialOptions = map[string]option[*Exponential]{
	"base": duration(func(x *Exponential) *caddy.Duration { return &x.Base }),
	"factor": parsed(func(x *Exponential) *float64 { return &x.Factor }, func(arg string) (float64, bool) {
		value, err := strconv.ParseFloat(arg, 64)
		return value, err == nil && value >= 1 && !math.IsInf(value, 1)
	}, "a number of 1 or more, such as 2"),
	"max":      duration(func(x *Exponential) *caddy.Duration { return &x.Max }),
	"attempts": number(func(x *Exponential) *int { return &x.Attempts }),
}

var egressOptions = map[string]option[*Egress]{
	"allow": list(func(e *Egress) *[]string { return &e.Allow }),
	"deny":  list(func(e *Egress) *[]string { return &e.Deny }),
	"proxy": text(func(e *Egress) *string { return &e.Proxy }),

	"tls_trust_pool":  {parseTrustPool, true},
	"tls_client_auth": {parseClientAuth, false},
}

var subscriptionOptions = map[string]option[*Subscription]{
	"url":         text(func(s *Subscription) *string { return &s.URL }),
	"event_types": list(func(s *Subscription) *[]string { return &s.EventTypes }),
	"secret":      list(func(s *Subscription) *[]string { return &s.Secrets }),
	"header":      named("X-Env production", func(s *Subscription) *map[string]string { return &s.Headers }),
	"oauth2":      {parseOAuth2, false},
	"handshake":   text(func(s *Subscription) *string { return &s.Handshake }),
	"scheme":      words(func(s *Subscription) *string { return &s.Scheme }),
	"tenant":      text(func(s *Subscription) *string { return &s.Tenant }),
	"description": text(func(s *Subscription) *string { return &s.Description }),
	"rate_limit":  perSecond(func(s *Subscription) *float64 { return &s.RateLimit }),
	"retry":       retry(func(s *Subscription) **Retry { return &s.Retry }),
	"timeout":     duration(func(s *Subscription) *caddy.Duration { return &s.Timeout }),
	"metadata":    named("customer 42", func(s *Subscription) *map[string]string { return &s.Metadata }),
	"ordered":     flagOption(func(s *Subscription) *bool { return &s.Ordered }),
	"filter":      text(func(s *Subscription) *string { return &s.Filter }),
	"transform":   text(func(s *Subscription) *string { return &s.Transform }),
}

var oauth2Options = map[string]option[*OAuth2]{
	"client_id":     text(func(o *OAuth2) *string { return &o.ClientID }),
	"client_secret": text(func(o *OAuth2) *string { return &o.ClientSecret }),
	"scope":         list(func(o *OAuth2) *[]string { return &o.Scopes }),
	"param":         named("audience https://crm.example.com", func(o *OAuth2) *map[string]string { return &o.Params }),
	"auth_style":    text(func(o *OAuth2) *string { return &o.AuthStyle }),
}

func parseStore(d *caddyfile.Dispenser, a *App) error {
	const usage = "store: write it as in: store sqlite /var/lib/webhooks/webhooks.db, or store postgres {env.DATABASE_URL}"
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Err(usage)
	}
	a.Store = &Store{Type: args[0]}
	switch args = args[1:]; a.Store.Type {
	case "sqlite":
		if len(args) > 1 {
			return d.Err(usage)
		}
		a.Store.Path = strings.Join(args, "") // at most one
	case "postgres":
		if len(args) != 1 {
			return d.Err("store postgres: write it as in: store postgres {env.DATABASE_URL}, in quotes if it contains spaces")
		}
		a.Store.DSN = args[0]
	default:
		return d.WrapErr(errUnknownStore)
	}
	return nil
}

func parseScheme(d *caddyfile.Dispenser, a *App) error {
	directive := *d // stays here, for errors
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Err("scheme: write a name and, if it is a variant of an existing scheme, the name of that one, as in `scheme acme {` or `scheme acme github {`")
	}
	s := verify.Custom{Scheme: verify.Scheme{Name: args[0]}}
	if len(args) == 2 {
		s.Provider = args[1]
	}
	if err := parseBlock(d, schemeOptions, &s.Scheme); err != nil {
		return err
	}
	a.Schemes = append(a.Schemes, s)
	if _, err := verify.NewTable(a.Schemes); err != nil { // checked here, where the line is known
		return schemeError(directive, err)
	}
	return nil
}

func parseDisableAfter(d *caddyfile.Dispenser, a *App) error {
	var failures, age string
	if !d.AllArgs(&failures, &age) {
		return d.Err("disable_after: write how many attempts in a row must have failed, and how long ago the first of them, as in: disable_after 50 24h")
	}
	n, err := strconv.Atoi(failures)
	if err != nil || n < 1 {
		return d.Errf("disable_after %s: write a number of failed attempts, as in: disable_after 50 24h", failures)
	}
	duration, err := caddy.ParseDuration(age)
	if err != nil || duration <= 0 {
		return d.Errf("disable_after %s %s: write how long ago the first of the failed attempts must have been, as in: disable_after 50 24h", failures, age)
	}
	a.DisableAfter = &DisableAfter{n, caddy.Duration(duration)}
	return nil
}

// retry is an option with a retry schedule.
func retry[T any](dst func(T) **Retry) option[T] {
	return orOff(option[T]{parse: func(d *caddyfile.Dispenser, cfg T) error {
		r := new(Retry)
		*dst(cfg) = r
		return parseRetry(d, r)
	}}, func(cfg T) { *dst(cfg) = &Retry{Exponential: &Exponential{Attempts: 1}} })
}

func parseRetry(d *caddyfile.Dispenser, r *Retry) error {
	args := d.RemainingArgs()
	if len(args) == 1 && args[0] == "exponential" {
		r.Exponential = new(Exponential)
		return parseBlock(d, exponentialOptions, r.Exponential)
	}
	if len(args) == 0 {
		return d.Err("retry: write the delays between attempts, as in: retry 5s 5m 30m 2h")
	}
	for _, arg := range args {
		delay, err := caddy.ParseDuration(arg)
		if err != nil {
			return d.Errf("retry %s: write delays, as in: retry 5s 5m 30m 2h", arg)
		}
		r.Delays = append(r.Delays, caddy.Duration(delay))
	}
	return nil
}

func parseEgress(d *caddyfile.Dispenser, a *App) error {
	if err := noArg(d); err != nil {
		return err
	}
	a.Egress = new(Egress)
	return parseBlock(d, egressOptions, a.Egress)
}

func parseTrustPool(d *caddyfile.Dispenser, e *Egress) error {
	if !d.NextArg() {
		return d.Err("tls_trust_pool: write where the certificates of the CAs are, as in: tls_trust_pool file /etc/ssl/internal-ca.pem")
	}
	name := d.Val()
	pool, err := caddyfile.UnmarshalModule(d, "tls.ca_pool.source."+name)
	if err != nil {
		return fmt.Errorf("tls_trust_pool %s: %w", name, err)
	}
	e.TLS.CARaw = append(e.TLS.CARaw, caddyconfig.JSONModuleObject(pool, "provider", name, nil))
	return nil
}

func parseClientAuth(d *caddyfile.Dispenser, e *Egress) error {
	t := &e.TLS
	if !d.AllArgs(&t.ClientCertificateFile, &t.ClientCertificateKeyFile) || t.ClientCertificateFile == "" || t.ClientCertificateKeyFile == "" {
		return d.Err("tls_client_auth: write the file with the certificate and the file with its key, as in: tls_client_auth client.pem client.key")
	}
	return nil
}

func parseEventType(d *caddyfile.Dispenser, a *App) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Err(`event_type: write a name and, optionally, a description, as in: event_type order.created "An order was placed"`)
	}
	t := EventType{Name: args[0]}
	if len(args) == 2 {
		t.Description = args[1]
	}
	if err := parseBlock(d, eventTypeOptions, &t); err != nil {
		return err
	}
	a.EventTypes = append(a.EventTypes, t)
	return nil
}

// parseSchema reads the file when the Caddyfile is adapted, so the path refers to
// the machine where that happens.
func parseSchema(d *caddyfile.Dispenser, t *EventType) error {
	var path string
	if err := oneArg(d, &path); err != nil {
		return err
	}
	path, err := resolveText("schema", path)
	if err != nil {
		return d.WrapErr(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return d.Errf("schema: %v", err)
	}
	if _, err := payload.NewSchema(text); err != nil {
		return d.Errf("schema: %s %v", path, err)
	}
	if len(text) == 0 {
		return d.Errf("schema: %s is empty", path)
	}
	t.Schema = text
	return nil
}

func parseSubscription(d *caddyfile.Dispenser, a *App) error {
	var s Subscription
	if !d.AllArgs(&s.Name) || s.Name == "" {
		return d.Err("subscription: write its name after it, one word, as in `subscription crm {`")
	}
	if err := parseBlock(d, subscriptionOptions, &s); err != nil {
		return err
	}
	a.Subscriptions = append(a.Subscriptions, s)
	return nil
}

func parseOAuth2(d *caddyfile.Dispenser, s *Subscription) error {
	s.OAuth2 = new(OAuth2)
	if !d.AllArgs(&s.OAuth2.TokenURL) || s.OAuth2.TokenURL == "" {
		return d.Err("oauth2: write the URL of the token endpoint after it, as in `oauth2 https://login.example.com/oauth2/token {`")
	}
	return parseBlock(d, oauth2Options, s.OAuth2)
}

// Interface guard
var _ caddyfile.Unmarshaler = (*App)(nil)
