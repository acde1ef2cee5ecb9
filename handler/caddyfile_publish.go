package handler

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("webhook_publish", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		p := new(Publish)
		return p, p.UnmarshalCaddyfile(h.Dispenser)
	})
	httpcaddyfile.RegisterDirectiveOrder("webhook_publish", httpcaddyfile.Before, "reverse_proxy")
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	webhook_publish [<matcher>] <event_type> {
//		tenant <tenant>
//		event_id <id>
//		forward_headers <name...>
//	}
//
// The option forward_headers can be repeated.
func (p *Publish) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if err := oneString(d, &p.EventType); err != nil {
		return d.Err("webhook_publish: write the event type behind it, as in `webhook_publish github.{http.webhook.event_type}`")
	}
	once := onlyOnce{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if option == "forward_headers" {
			args := d.RemainingArgs()
			if len(args) == 0 {
				return d.ArgErr()
			}
			p.ForwardHeaders = append(p.ForwardHeaders, args...)
			continue
		}
		if err := once.check(d, option); err != nil {
			return err
		}
		var err error
		switch option {
		case "tenant":
			err = oneString(d, &p.Tenant)
		case "event_id":
			err = oneString(d, &p.EventID)
		default:
			err = d.Errf("unrecognized subdirective '%s' of webhook_publish", option)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*Publish)(nil)
