package handler

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("webhook_verify", parseVerify)
	// after rewrites and authentication, before the header that it sets could
	// be touched
	httpcaddyfile.RegisterDirectiveOrder("webhook_verify", httpcaddyfile.Before, "request_header")
}

// parseVerify makes the handler, and numbers those of one provider that have the
// same first secret, since a message that was delivered by one of them is no
// replay to the others.
func parseVerify(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	var v Verify
	directive := *h.Dispenser // stays where it is
	if err := v.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	directive.Next()
	if err := v.checkScheme(schemesIn(h)); err != nil {
		return nil, directive.WrapErr(err)
	}
	key := "webhook_verify " + v.replayRoute()
	n, _ := h.State[key].(int)
	n++
	h.State[key] = n
	if n > 1 {
		v.Route = strconv.Itoa(n)
	}
	return &v, nil
}

// schemesIn are the schemes that the Caddyfile's webhooks option has.
func schemesIn(h httpcaddyfile.Helper) verify.Table {
	option, _ := h.Option("webhooks").(httpcaddyfile.App)
	var app struct {
		Schemes []verify.Custom `json:"schemes"`
	}
	_ = json.Unmarshal(option.Value, &app)   // there may be none
	table, _ := verify.NewTable(app.Schemes) // it was made before, and its mistakes told
	return table
}

// checkScheme finds already when the Caddyfile is adapted, and its lines are known,
// what is wrong with a scheme.
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
//	    # the scheme: these replace what the provider's row says
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
//	    header_prefixes <prefix> <prefix>...      # as above, and how else the names may begin
//	    unbound_body  allow
//	    status_code   <status>
//	    acknowledge   <status> [<body>]           # of an event, by webhook_publish and for a replay
//	    content_types <type>...
//	}
func (h *Verify) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
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

// schemeOptions are those that describe a scheme, which the webhooks option's scheme
// takes too.
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
		if _, ours := verifyOptions[name]; ours { // handshake, which can be off here
			continue
		}
		verifyOptions[name] = option[*Verify]{repeat: o.repeat, parse: func(d *caddyfile.Dispenser, h *Verify) error {
			return o.parse(d, &h.Scheme)
		}}
	}
}

// signatureOptions are the subdirectives of a signature's block.
var signatureOptions = map[string]option[*verify.Signature]{
	"prefix":      text(func(s *verify.Signature) *string { return &s.Prefix }),
	"encoding":    text(func(s *verify.Signature) *string { return &s.Encoding }),
	"separator":   text(func(s *verify.Signature) *string { return &s.Separator }),
	"groups":      text(func(s *verify.Signature) *string { return &s.Groups }),
	"tag":         list(func(s *verify.Signature) *[]string { return &s.Tags }),
	"tag_content": {parseTagContent, true},
	"assign":      text(func(s *verify.Signature) *string { return &s.Assign }),
	"numbered":    flagOption(func(s *verify.Signature) *bool { return &s.Numbered }),
	"repeated":    flagOption(func(s *verify.Signature) *bool { return &s.Repeated }),
	"each":        text(func(s *verify.Signature) *string { return &s.Each }),
}

// field is an option that says where a value stands.
func field[T any](place func(T) *verify.Field) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, to T) error {
		f := place(to)
		name, args := d.Val(), d.RemainingArgs()
		if len(args) < 2 || len(args) > 3 || args[len(args)-1] == "" {
			return d.Errf("%s: say where it stands, under which name and, if you like, by which pattern, such as: %[1]s json data.id", name)
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
		return d.Err("tolerance: write how old a message may be and, if you like, how far ahead, such as: tolerance 5m 1m")
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
		return d.Err("replay: write off, reject or ack and, if you like, how long a message is remembered, such as: replay ack 24h")
	}
	switch args[0] {
	case replayReject, replayAck:
	case replayOff:
		if len(args) > 1 {
			return d.Err("replay off remembers nothing, so it takes no life")
		}
	default:
		return d.Errf("replay %s: write off, reject or ack", args[0])
	}
	h.Replay = args[0]
	if len(args) == 2 {
		life, err := caddy.ParseDuration(args[1])
		if h.ReplayFor = caddy.Duration(life); err != nil || h.ReplayFor < minReplayFor {
			return d.Errf("replay %s %s: write how long a message is remembered, such as 24h", args[0], args[1])
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
		return d.Err("signature: say where it stands and under which name, such as: signature header X-Signature")
	case 2:
		s.In, s.Name = args[0], args[1]
	default:
		s.In, s.Names = args[0], args[1:]
	}
	return parseBlock(d, signatureOptions, s)
}

func parseTagContent(d *caddyfile.Dispenser, s *verify.Signature) error {
	var tag, content string
	if !d.AllArgs(&tag, &content) {
		return d.Err("tag_content: write a tag and what is signed under it, such as: tag_content v1 \"{body}\"")
	}
	if _, ok := s.TagContents[tag]; ok {
		return d.Errf("tag_content %s is given twice", tag)
	}
	if s.TagContents == nil {
		s.TagContents = make(map[string]string)
	}
	s.TagContents[tag] = content
	return nil
}

func parseTimestamp(d *caddyfile.Dispenser, s *verify.Scheme) error {
	const written = "timestamp: say where it stands, under which name and in which format, such as: timestamp header X-Timestamp unix"
	t := &s.Timestamp
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Err(written)
	}
	t.In, args = args[0], args[1:]
	if t.In != "first" { // the list's first item, which has no name
		if len(args) == 0 {
			return d.Err(written)
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
		return d.Err(written)
	}
	return nil
}

func parseAcknowledge(d *caddyfile.Dispenser, s *verify.Scheme) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Err("acknowledge: write a status and, if you like, a body, such as: acknowledge 200 \"received\"")
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
