package handler

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("webhook_verify", parseVerify)
	// After rewrites and authentication, and before request_header, which may change
	// headers, signed ones and Webhook-Verified included.
	httpcaddyfile.RegisterDirectiveOrder("webhook_verify", httpcaddyfile.Before, "request_header")
}

// parseVerify parses the directive, and numbers the handlers that have the same
// provider and first secret: a message that one of them has accepted is not a
// replay to the others.
func parseVerify(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	var v Verify
	directive := *h.Dispenser // stays here, for errors
	if err := v.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	directive.Next()
	if err := v.checkScheme(schemesIn(h)); err != nil {
		return nil, schemeError(directive, err)
	}
	key := "webhook_verify " + v.replayRoute()
	n, _ := h.State[key].(int)
	n++
	h.State[key] = n
	switch {
	case h.IsNamedRoute(): // counted apart: its State isn't that of the sites
		v.Route = fmt.Sprintf("named %d", n)
	case n > 1:
		v.Route = strconv.Itoa(n)
	}
	return &v, nil
}

// schemesIn returns the custom schemes of the Caddyfile's webhooks option.
func schemesIn(h httpcaddyfile.Helper) verify.Table {
	option, _ := h.Option("webhooks").(httpcaddyfile.App)
	var app struct {
		Schemes []verify.Custom `json:"schemes"`
	}
	_ = json.Unmarshal(option.Value, &app)   // it is empty if there is no such option
	table, _ := verify.NewTable(app.Schemes) // parseScheme has already reported errors
	return table
}

// checkScheme checks the scheme when the Caddyfile is adapted, since its line is
// known then. Provision checks it again.
func (h *Verify) checkScheme(table verify.Table) error {
	scheme, err := h.scheme(table)
	if err == nil {
		err = scheme.Validate()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", h.directive(table), err)
	}
	return nil
}

// schemeError adds the line to an error in a scheme: that of the option for the field
// at fault, if it is in the block, or else that of the directive, where d is.
func schemeError(d caddyfile.Dispenser, err error) error {
	if wrong, ok := errors.AsType[*verify.FieldError](err); ok {
		path := strings.Split(wrong.Field, ".")
		if path[len(path)-1] == "tag_contents" {
			path[len(path)-1] = "tag_content"
		}
		goToOption(&d, path)
	}
	return d.WrapErr(err)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	webhook_verify [<matcher>] <provider> [<secret>...] {
//	    secret       <secret>...                  # repeatable; any may match
//	    verify_token <token>
//	    public_url   <scheme>://<host>
//	    max_body     <size>
//	    replay       off|reject|ack [<life>]
//	    enforce      off
//	    handshake    off|<name>
//	    name         <name>
//
//	    # options that override the provider's scheme
//	    construction  hmac|ed25519|ecdsa|rsa|hash|token
//	    algorithm     sha1|sha256|sha384|sha512
//	    key           text|hex|text_or_hex|base64|whsec|text_or_whsec|sha1|sha256|ed25519|pem
//	    content       <template>
//	    form_content  <template>
//	    signature     [header|query|json|form <name>...] {
//	        prefix      <text>
//	        encoding    hex|base64|base64_raw|base64url|base64url_raw
//	        separator   <text>
//	        groups      <text>
//	        tag         <tag>...                  # repeatable; the strongest first
//	        tag_content <tag> <template>          # repeatable
//	        assign      <text>
//	        single
//	        numbered
//	        repeated
//	        each        <path>
//	    }
//	    timestamp     header|field|query|json|form <name> [<format>] [optional]
//	    timestamp     first [<format>] [optional]
//	    tolerance     <past>|off [<future>|off]   # future: as past
//	    id            header|query|json|form <name> [<pattern>]
//	    event_type    header|query|json|form <name> [<pattern>]
//	    json_field    <field>
//	    body_digest   <parameter>
//	    default_port  either
//	    header_prefixes <prefix> <prefix>...      # that of the names above, then alternatives
//	    unbound_body  allow
//	    status_code   <status>
//	    acknowledge   <status> [<body>]           # the response of webhook_publish, and to a replay
//	    content_types <type>...
//	}
func (h *Verify) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if !d.NextArg() {
		return d.Err("name the provider, such as github, or hmac for a scheme of your own")
	}
	h.Provider = d.Val()
	h.Secrets = d.RemainingArgs()
	return parseBlock(d, verifyOptions, h)
}

// verifyOptions are the subdirectives of webhook_verify.
var verifyOptions = map[string]option[*Verify]{
	"secret":       list(func(h *Verify) *[]string { return &h.Secrets }),
	"verify_token": text(func(h *Verify) *string { return &h.VerifyToken }),
	"public_url":   text(func(h *Verify) *string { return &h.PublicURL }),
	"max_body":     size(func(h *Verify) *int64 { return &h.MaxBody }),
	"replay":       {parseReplay, false},
	"enforce":      only("off", func(h *Verify) *bool { return &h.DryRun }),
	"handshake":    {parseHandshake, false},
	"name":         text(func(h *Verify) *string { return &h.Scheme.Name }),
}

// schemeOptions are the options that describe a scheme, both in webhook_verify and in
// the scheme blocks of the global webhooks option.
var schemeOptions = map[string]option[*verify.Scheme]{
	"construction":    text(func(s *verify.Scheme) *string { return &s.Construction }),
	"algorithm":       text(func(s *verify.Scheme) *string { return &s.Algorithm }),
	"key":             text(func(s *verify.Scheme) *string { return &s.Key }),
	"content":         text(func(s *verify.Scheme) *string { return &s.Content }),
	"form_content":    text(func(s *verify.Scheme) *string { return &s.FormContent }),
	"signature":       {parseSignature, false},
	"timestamp":       {parseTimestamp, false},
	"tolerance":       {parseTolerance, false},
	"id":              field(func(s *verify.Scheme) *verify.Field { return &s.ID }),
	"event_type":      field(func(s *verify.Scheme) *verify.Field { return &s.EventType }),
	"handshake":       text(func(s *verify.Scheme) *string { return &s.Handshake }),
	"json_field":      text(func(s *verify.Scheme) *string { return &s.JSONField }),
	"body_digest":     text(func(s *verify.Scheme) *string { return &s.BodyDigest }),
	"header_prefixes": list(func(s *verify.Scheme) *[]string { return &s.HeaderPrefixes }),
	"default_port":    text(func(s *verify.Scheme) *string { return &s.DefaultPort }),
	"unbound_body":    only("allow", func(s *verify.Scheme) *bool { return &s.UnboundBody }),
	"status_code": parsed(func(s *verify.Scheme) *int { return &s.StatusCode }, func(arg string) (int, bool) {
		value, err := strconv.Atoi(arg)
		return value, err == nil && 400 <= value && value <= 499
	}, "a status from 400 to 499"),
	"acknowledge":   {parseAcknowledge, false},
	"content_types": list(func(s *verify.Scheme) *[]string { return &s.ContentTypes }),
}

func init() {
	for name, o := range schemeOptions {
		if _, exists := verifyOptions[name]; exists { // handshake, which also accepts off there
			continue
		}
		verifyOptions[name] = option[*Verify]{repeat: o.repeat, parse: func(d *caddyfile.Dispenser, h *Verify) error {
			return o.parse(d, &h.Scheme)
		}}
	}
}

var signatureOptions = map[string]option[*verify.Signature]{
	"prefix":      text(func(s *verify.Signature) *string { return &s.Prefix }),
	"encoding":    text(func(s *verify.Signature) *string { return &s.Encoding }),
	"separator":   text(func(s *verify.Signature) *string { return &s.Separator }),
	"groups":      text(func(s *verify.Signature) *string { return &s.Groups }),
	"tag":         list(func(s *verify.Signature) *[]string { return &s.Tags }),
	"tag_content": named("v1 \"{body}\"", func(s *verify.Signature) *map[string]string { return &s.TagContents }),
	"assign":      text(func(s *verify.Signature) *string { return &s.Assign }),
	"single":      flagOption(func(s *verify.Signature) *bool { return &s.Single }),
	"numbered":    flagOption(func(s *verify.Signature) *bool { return &s.Numbered }),
	"repeated":    flagOption(func(s *verify.Signature) *bool { return &s.Repeated }),
	"each":        text(func(s *verify.Signature) *string { return &s.Each }),
}

// field is an option that says where in a request a value is.
func field[T any](dst func(T) *verify.Field) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, cfg T) error {
		f := dst(cfg)
		name, args := d.Val(), d.RemainingArgs()
		if len(args) < 2 || len(args) > 3 || args[len(args)-1] == "" {
			return d.Errf("%s: write where it is, its name there and, optionally, a pattern, as in: %[1]s json data.id", name)
		}
		f.In, f.Name = args[0], args[1]
		if len(args) == 3 {
			f.Pattern = args[2]
		}
		return nil
	}}
}

func parseTolerance(d *caddyfile.Dispenser, s *verify.Scheme) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Err("tolerance: write how far in the past a timestamp may be and, optionally, how far in the future, as in: tolerance 5m 1m")
	}
	sides := []*verify.Duration{&s.Timestamp.Past, &s.Timestamp.Future}
	for i, side := range sides {
		arg := args[min(i, len(args)-1)]
		if arg == "off" {
			*side = -1
			continue
		}
		tolerance, err := caddy.ParseDuration(arg)
		if err != nil || tolerance <= 0 {
			return d.Errf("tolerance %s: write a duration such as 5m, or off", arg)
		}
		*side = verify.Duration(tolerance)
	}
	return nil
}

func parseReplay(d *caddyfile.Dispenser, h *Verify) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Err("replay: write off, reject or ack and, optionally, how long to remember messages, as in: replay ack 24h")
	}
	switch args[0] {
	case replayReject, replayAck:
	case replayOff:
		if len(args) > 1 {
			return d.Err("replay off remembers nothing, so it takes no duration")
		}
	default:
		return d.Errf("replay %s: write off, reject or ack", args[0])
	}
	h.Replay = args[0]
	if len(args) == 2 {
		life, err := caddy.ParseDuration(args[1])
		if h.ReplayFor = caddy.Duration(life); err != nil || h.ReplayFor < minReplayFor {
			return d.Errf("replay %s %s: write how long to remember messages, such as 24h", args[0], args[1])
		}
	}
	return nil
}

func parseHandshake(d *caddyfile.Dispenser, h *Verify) error {
	var value string
	if err := oneArg(d, &value); err != nil {
		return err
	}
	if value == "off" {
		h.NoHandshake = true
		return nil
	}
	h.Scheme.Handshake = value
	return nil
}

func parseSignature(d *caddyfile.Dispenser, scheme *verify.Scheme) error {
	s := &scheme.Signature
	switch args := d.RemainingArgs(); len(args) {
	case 0:
	case 1:
		return d.Err("signature: write where it is and its name there, as in: signature header X-Signature")
	case 2:
		s.In, s.Name = args[0], args[1]
	default:
		s.In, s.Names = args[0], args[1:]
	}
	return parseBlock(d, signatureOptions, s)
}

func parseTimestamp(d *caddyfile.Dispenser, s *verify.Scheme) error {
	const usage = "timestamp: write where it is, its name there and its format, as in: timestamp header X-Timestamp unix"
	t := &s.Timestamp
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Err(usage)
	}
	t.In, args = args[0], args[1:]
	if t.In != "first" { // the first item of the signature header, which has no name
		if len(args) == 0 {
			return d.Err(usage)
		}
		t.Name, args = args[0], args[1:]
	}
	if len(args) > 0 && args[0] != "optional" {
		t.Format, args = args[0], args[1:]
	}
	if len(args) > 0 && args[0] == "optional" {
		t.Optional, args = true, args[1:]
	}
	if len(args) > 0 {
		return d.Err(usage)
	}
	return nil
}

func parseAcknowledge(d *caddyfile.Dispenser, s *verify.Scheme) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Err("acknowledge: write a status and, optionally, a body, as in: acknowledge 200 \"received\"")
	}
	status, err := strconv.Atoi(args[0])
	if err != nil || status < 200 || status > 299 {
		return d.Errf("acknowledge %s: write a status from 200 to 299", args[0])
	}
	s.Acknowledge.Status = status
	if len(args) > 1 {
		s.Acknowledge.Body = args[1]
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Verify)(nil)
