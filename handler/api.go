package handler

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
)

func init() {
	caddy.RegisterModule(API{})
}

// API is a handler that serves the HTTP API: publishing events, managing
// subscriptions, and inspecting and redelivering deliveries, attempts and dead
// letters. The OpenAPI document is served at `/openapi.json`.
//
// The API is served at the root, so strip any path prefix before it, for
// example with `handle_path`.
type API struct {
	// The bearer tokens to accept. At least one is required unless `auth` is
	// `none`.
	Tokens []Token `json:"tokens,omitempty"`

	// Set to `none` to accept requests without a token, if something in front of
	// this handler authenticates them, such as `basic_auth`, `forward_auth` or
	// mTLS. Can't be combined with tokens.
	Auth string `json:"auth,omitempty"`

	// The tenant that the API is for. Only that tenant's events, deliveries and
	// subscriptions can then be seen and changed; it is as if those of other tenants,
	// and those without a tenant, didn't exist. Event types can be read, but not
	// changed.
	//
	// Supports placeholders, as in `{http.auth.user.id}`; requests for which one of
	// them is empty are refused with status 403. Use a placeholder that is set by
	// the handler that authenticates the request, never one that the client controls.
	// Default: the API is for all tenants.
	Tenant *string `json:"tenant,omitempty"`

	handler http.Handler
}

// Token is a bearer token.
type Token struct {
	// The token. Global placeholders such as `{env.NAME}` and `{file./path}` are
	// replaced when the config is loaded.
	Value string `json:"value"`

	// What the token allows: `publish` (publish events), `read` (read everything
	// except secrets) or `manage` (everything). One for `manage` that has 24 characters
	// or more can also issue tokens for tenants.
	Scope string `json:"scope"`
}

// CaddyModule returns the Caddy module information.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.webhook_api",
		New: func() caddy.Module { return new(API) },
	}
}

// Provision sets up the handler.
func (h *API) Provision(ctx caddy.Context) error {
	app, err := ctx.App("webhooks")
	if err != nil {
		return err
	}
	if err := h.checkAuth(); err != nil {
		return err
	}
	if err := h.checkTenant(); err != nil {
		return err
	}
	c := api.Config{
		NoAuth:  h.Auth == "none",
		Engine:  app.(*App).current,
		Context: func() context.Context { return ctx },
		Logger:  ctx.Slogger(),
	}
	if h.Tenant != nil {
		c.Tenant = func(r *http.Request) (string, error) { return tenantOf(r, *h.Tenant) }
	}
	for _, t := range h.Tokens {
		scope, err := api.ParseScope(t.Scope)
		if err != nil {
			return fmt.Errorf("token: %w", err)
		}
		value, err := resolveSecret("token", t.Value)
		if err != nil {
			return err
		}
		c.Tokens = append(c.Tokens, api.Token{Value: value, Scope: scope})
	}
	h.handler, err = api.New(c)
	return err
}

func (h *API) checkAuth() error {
	switch {
	case h.Auth != "" && h.Auth != "none":
		return errors.New("auth: write `auth none`, or tokens")
	case h.Auth == "none" && len(h.Tokens) > 0:
		return errors.New("`auth none` can't be combined with tokens: leave out one of them")
	case h.Auth == "" && len(h.Tokens) == 0:
		return errors.New("the API would be open to everybody: write `token {env.WEBHOOKS_TOKEN} manage`, or `auth none` if something in front of it authenticates requests")
	}
	return nil
}

func (h *API) checkTenant() error {
	switch {
	case h.Tenant == nil:
		return nil
	case *h.Tenant == "": // may be a mistake, so it doesn't mean all tenants
		return errors.New("tenant is empty: write one, or leave the option out for an API for all tenants")
	}
	return checkTenant(*h.Tenant)
}

// ServeHTTP serves the API.
func (h *API) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	h.handler.ServeHTTP(w, r)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*API)(nil)
	_ caddyhttp.MiddlewareHandler = (*API)(nil)
)
