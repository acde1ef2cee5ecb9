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
// The option forward_headers can be repeated. A name may end with *, which doesn't
// match headers that may be credentials.
func (p *Publish) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if !d.AllArgs(&p.EventType) {
		return d.Err("write the event type after it, as in: webhook_publish github.{http.webhook.event_type}")
	}
	return parseBlock(d, publishOptions, p)
}

// publishOptions are the subdirectives of webhook_publish.
var publishOptions = map[string]option[*Publish]{
	"tenant":          text(func(p *Publish) *string { return &p.Tenant }),
	"event_id":        text(func(p *Publish) *string { return &p.EventID }),
	"forward_headers": list(func(p *Publish) *[]string { return &p.ForwardHeaders }),
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Publish)(nil)
