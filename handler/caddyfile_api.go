package handler

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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
//	}
//
// The option token can be repeated.
func (h *API) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.ArgErr()
	}
	once := onlyOnce{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch option := d.Val(); option {
		case "token":
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.Err("token: write a token and its scope, as in `token {env.WEBHOOKS_TOKEN} publish`")
			}
			h.Tokens = append(h.Tokens, Token{Value: args[0], Scope: args[1]})
		case "auth":
			if err := once.check(d, option); err != nil {
				return err
			}
			if err := oneString(d, &h.Auth); err != nil {
				return err
			}
		default:
			return d.Errf("unrecognized subdirective '%s' of webhook_api", option)
		}
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*API)(nil)
