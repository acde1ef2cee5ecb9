package handler

import (
	"context"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

func init() {
	caddy.RegisterModule(Admin{})
}

// Admin is a module that serves the webhooks API on Caddy's admin endpoint,
// under `/webhooks/`.
type Admin struct {
	handler http.Handler
}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.webhooks",
		New: func() caddy.Module { return new(Admin) },
	}
}

// Provision sets up the handler. It looks the engine and the context up at each
// request instead of keeping them, because Caddy provisions admin modules before
// the apps and, after a failed reload, goes on serving with those of the config
// that has failed.
func (a *Admin) Provision(ctx caddy.Context) error {
	h, err := api.New(api.Config{NoAuth: true, Engine: activeEngine, Context: activeContext, Logger: ctx.Slogger()})
	if err != nil {
		return fmt.Errorf("webhooks admin API: %w", err)
	}
	a.handler = http.StripPrefix("/webhooks", h)
	return nil
}

// activeContext returns the context of the active config or, while Caddy stops, one
// that is done: Caddy then has none, but still serves its admin endpoint.
func activeContext() context.Context {
	if active := caddy.ActiveContext(); active.Context != nil {
		return active
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	return done
}

// activeEngine returns the engine of the active config or, while Caddy stops, the
// one that is being drained.
func activeEngine() *outbound.Engine {
	app, err := caddy.ActiveContext().AppIfConfigured("webhooks")
	if err != nil {
		return stopping.Load()
	}
	return app.(*App).current()
}

// Routes returns the admin routes.
func (a *Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{
		Pattern: "/webhooks/",
		Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			a.handler.ServeHTTP(w, r)
			return nil
		}),
	}}
}

// Interface guards
var (
	_ caddy.Provisioner = (*Admin)(nil)
	_ caddy.AdminRouter = (*Admin)(nil)
)
