package handler

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("webhooks", parseGlobalOption)
}

func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		return nil, d.Err("there is a webhooks option already: put everything into one block")
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
//		sign <scheme>
//		retry <delay...>
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
//		response_body <size>|off
//		max_payload <size>
//		egress {
//			allow <address|cidr|host...>
//			deny <address|cidr|host...>
//			proxy <url>
//		}
//		event_type <name> [<description>]
//		subscription <name> {
//			url <url>
//			event_types <type...>
//			secret <secret>
//			header <name> <value>
//			scheme <scheme>
//			tenant <tenant>
//			description <text>
//			rate_limit <number>/<s|m|h>
//			ordered
//		}
//	}
//
// The options allow, deny, event_type, subscription, secret and header can be
// repeated.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume option name
	if d.NextArg() {
		return d.ArgErr()
	}
	once := onlyOnce{}
	for d.NextBlock(0) {
		option := d.Val()
		switch option {
		case "event_type", "subscription":
		default:
			if err := once.check(d, option); err != nil {
				return err
			}
		}
		if err := a.unmarshalOption(d, option); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "store":
		return a.unmarshalStore(d)
	case "sign":
		return oneString(d, &a.Sign)
	case "retry":
		return a.unmarshalRetry(d)
	case "timeout":
		return oneDuration(d, &a.Timeout)
	case "concurrency":
		return oneNumber(d, &a.Concurrency)
	case "endpoint_concurrency":
		return oneNumber(d, &a.EndpointConcurrency)
	case "secret_grace":
		return oneDuration(d, &a.SecretGrace)
	case "response_body":
		return a.unmarshalResponseBody(d)
	case "max_payload":
		return oneSize(d, &a.MaxPayload)
	case "egress":
		return a.unmarshalEgress(d)
	case "event_type":
		return a.unmarshalEventType(d)
	case "subscription":
		return a.unmarshalSubscription(d)
	}
	return d.Errf("unrecognized subdirective '%s' of webhooks", option)
}

func (a *App) unmarshalStore(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 2 && args[0] == "sqlite":
		a.Store = &Store{Type: args[0], Path: args[1]}
		return nil
	case len(args) == 1 && args[0] == "sqlite":
		a.Store = &Store{Type: args[0]}
		return nil
	}
	return d.Errf("store: write `store sqlite <path>`")
}

func (a *App) unmarshalRetry(d *caddyfile.Dispenser) error {
	a.Retry = new(Retry)
	args := d.RemainingArgs()
	if len(args) == 1 && args[0] == "exponential" {
		return a.Retry.unmarshalExponential(d)
	}
	if len(args) == 0 {
		return d.Err("retry: write the delays between attempts, as in `retry 5s 5m 30m 2h`, or `retry exponential { … }`")
	}
	for _, arg := range args {
		delay, err := caddy.ParseDuration(arg)
		if err != nil {
			return d.Errf("retry: %q is not a duration: write delays as in `retry 5s 5m 30m 2h`", arg)
		}
		a.Retry.Delays = append(a.Retry.Delays, caddy.Duration(delay))
	}
	return nil
}

func (r *Retry) unmarshalExponential(d *caddyfile.Dispenser) error {
	r.Exponential = new(Exponential)
	once := onlyOnce{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if err := once.check(d, option); err != nil {
			return err
		}
		var err error
		switch option {
		case "base":
			err = oneDuration(d, &r.Exponential.Base)
		case "max":
			err = oneDuration(d, &r.Exponential.Max)
		case "attempts":
			err = oneNumber(d, &r.Exponential.Attempts)
		case "factor":
			var arg string
			if err = oneString(d, &arg); err == nil {
				if r.Exponential.Factor, err = strconv.ParseFloat(arg, 64); err != nil {
					err = d.Errf("factor: %q is not a number", arg)
				}
			}
		default:
			err = d.Errf("unrecognized subdirective '%s' of retry exponential", option)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *App) unmarshalResponseBody(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() == 1 && d.NextArg() {
		if d.Val() == "off" {
			a.ResponseBody = -1
			return nil
		}
		d.Prev()
	}
	return oneSize(d, &a.ResponseBody)
}

func (a *App) unmarshalEgress(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	a.Egress = new(Egress)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		switch option {
		case "allow":
			a.Egress.Allow = append(a.Egress.Allow, args...)
		case "deny":
			a.Egress.Deny = append(a.Egress.Deny, args...)
		case "proxy":
			if len(args) != 1 {
				return d.ArgErr()
			}
			if a.Egress.Proxy != "" {
				return d.Err("proxy is there twice: leave out one of them")
			}
			a.Egress.Proxy = args[0]
		default:
			return d.Errf("unrecognized subdirective '%s' of egress", option)
		}
	}
	return nil
}

func (a *App) unmarshalEventType(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.ArgErr()
	}
	t := EventType{Name: args[0]}
	if len(args) == 2 {
		t.Description = args[1]
	}
	a.EventTypes = append(a.EventTypes, t)
	return nil
}

func (a *App) unmarshalSubscription(d *caddyfile.Dispenser) error {
	var s Subscription
	if err := oneString(d, &s.Name); err != nil {
		return err
	}
	once := onlyOnce{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		switch option {
		case "secret", "header", "event_types":
		default:
			if err := once.check(d, option); err != nil {
				return err
			}
		}
		if err := s.unmarshalOption(d, option); err != nil {
			return err
		}
	}
	a.Subscriptions = append(a.Subscriptions, s)
	return nil
}

func (s *Subscription) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "url":
		return oneString(d, &s.URL)
	case "event_types":
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		s.EventTypes = append(s.EventTypes, args...)
		return nil
	case "secret":
		var secret string
		err := oneString(d, &secret)
		s.Secrets = append(s.Secrets, secret)
		return err
	case "header":
		args := d.RemainingArgs()
		if len(args) != 2 {
			return d.Err("header: write a name and a value, as in `header X-Env production`")
		}
		if s.Headers == nil {
			s.Headers = map[string]string{}
		}
		s.Headers[args[0]] = args[1]
		return nil
	case "scheme":
		return oneString(d, &s.Scheme)
	case "tenant":
		return oneString(d, &s.Tenant)
	case "description":
		return oneString(d, &s.Description)
	case "rate_limit":
		var arg string
		if err := oneString(d, &arg); err != nil {
			return err
		}
		rate, err := outbound.ParseRate(arg)
		if err != nil {
			return d.Errf("rate_limit: %v", err)
		}
		s.RateLimit = rate
		return nil
	case "ordered":
		if d.NextArg() {
			return d.ArgErr()
		}
		s.Ordered = true
		return nil
	}
	return d.Errf("unrecognized subdirective '%s' of subscription", option)
}

// onlyOnce refuses an option that is given twice.
type onlyOnce map[string]bool

func (o onlyOnce) check(d *caddyfile.Dispenser, option string) error {
	if o[option] {
		return d.Errf("%s is there twice: leave out one of them", option)
	}
	o[option] = true
	return nil
}

func oneString(d *caddyfile.Dispenser, v *string) error {
	option := d.Val()
	if !d.AllArgs(v) {
		return d.Errf("%s takes exactly one argument", option)
	}
	return nil
}

func oneDuration(d *caddyfile.Dispenser, v *caddy.Duration) error {
	option, arg := d.Val(), ""
	if err := oneString(d, &arg); err != nil {
		return err
	}
	parsed, err := caddy.ParseDuration(arg)
	if err != nil || parsed <= 0 {
		return d.Errf("%s: %q is not a duration: write one as in 15s, 5m, 2h or 1d", option, arg)
	}
	*v = caddy.Duration(parsed)
	return nil
}

func oneNumber(d *caddyfile.Dispenser, v *int) error {
	option, arg := d.Val(), ""
	if err := oneString(d, &arg); err != nil {
		return err
	}
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 {
		return d.Errf("%s: %q is not a number of 1 or more", option, arg)
	}
	*v = n
	return nil
}

func oneSize(d *caddyfile.Dispenser, v *int64) error {
	option, arg := d.Val(), ""
	if err := oneString(d, &arg); err != nil {
		return err
	}
	n, err := humanize.ParseBytes(arg)
	if err != nil || n == 0 || n > 1<<40 {
		return d.Errf("%s: %q is not a size: write one as in 512KiB or 1MiB", option, arg)
	}
	*v = int64(n)
	return nil
}

var _ caddyfile.Unmarshaler = (*App)(nil)
