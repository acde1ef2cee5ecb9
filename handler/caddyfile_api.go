package handler

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("webhook_api", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		a := new(API)
		return a, a.UnmarshalCaddyfile(h.Dispenser)
	})
	httpcaddyfile.RegisterDirectiveOrder("webhook_api", httpcaddyfile.Before, "reverse_proxy")
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	webhook_api [<matcher>] {
//		token <token> publish|read|manage
//		auth none
//		tenant <tenant>
//	}
//
// The option token can be repeated.
func (h *API) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if err := noArg(d); err != nil {
		return err
	}
	if err := parseBlock(d, apiOptions, h); err != nil {
		return err
	}
	if err := h.checkAuth(); err != nil { // checked here, where the line is known
		return d.WrapErr(err)
	}
	return nil
}

// apiOptions are the subdirectives of webhook_api.
var apiOptions = map[string]option[*API]{
	"token": {parseToken, true},
	"auth":  text(func(h *API) *string { return &h.Auth }),
	"tenant": text(func(h *API) *string {
		h.Tenant = new(string)
		return h.Tenant
	}),
}

func parseToken(d *caddyfile.Dispenser, h *API) error {
	var t Token
	if !d.AllArgs(&t.Value, &t.Scope) {
		return d.Err("token: write a token and its scope, as in: token {env.WEBHOOKS_TOKEN} publish")
	}
	if _, err := api.ParseScope(t.Scope); err != nil {
		return d.Errf("token: %v", err)
	}
	h.Tokens = append(h.Tokens, t)
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*API)(nil)
