package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/pflag"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// schemeFlags select the scheme and secrets to sign or verify with: a provider's
// scheme, overridden by the fields of a file, or that of a webhook_verify in a
// configuration.
type schemeFlags struct {
	file    string
	config  configFlags
	secrets secretFlags
}

const schemeHelp = `
For a custom scheme, use --config with a Caddyfile. The argument is then the name
of the scheme, or the place of a webhook_verify, such as hooks.example.com/acme.
It isn't needed if there is only one webhook_verify. The secrets of the
webhook_verify are used, and never shown, unless others are given: the variables
and files that they come from must be available. If no webhook_verify uses the
scheme, give its name and a secret.

Or describe it with --scheme-file: a JSON object with the fields shown by
"caddy webhooks providers <provider> --json". They override those of the given
provider; "hmac" is an empty one.`

func (s *schemeFlags) register(f *pflag.FlagSet) {
	s.secrets.register(f)
	f.StringVar(&s.file, "scheme-file", "", "File with the scheme in JSON")
	s.config.register(f, "Configuration file with a webhook_verify to take the scheme and secrets from")
}

// configFlags are the flags for a configuration file that is read and not run.
type configFlags struct{ file, adapter string }

func (f *configFlags) register(set *pflag.FlagSet, usage string) {
	set.StringVarP(&f.file, "config", "c", "", usage)
	set.StringVarP(&f.adapter, "adapter", "a", "", "Name of config adapter to apply (if --config is used)")
}

// read returns the configuration, or nil if no file is given.
func (f *configFlags) read(c *call) (json.RawMessage, error) {
	if err := c.refuseEmpty("config"); err != nil { // a built-in scheme may have the name of the file's
		return nil, err
	}
	switch {
	case f.file == "" && f.adapter != "":
		return nil, usagef("--adapter is for the file of --config")
	case f.file == "":
		return nil, nil
	case f.file == stdin:
		c.stdinFor = "the configuration"
	}
	return loadConfig(f.file, f.adapter)
}

// read returns the scheme that the flags and the command's argument select.
func (s *schemeFlags) read(c *call) (row verify.Scheme, o verify.Options, err error) {
	var name string
	if len(c.args) > 0 {
		name = c.args[0]
	}
	if s.config.file != "" && s.file != "" {
		return row, o, usagef("--config and --scheme-file can't be given together")
	}
	config, err := s.config.read(c)
	switch {
	case err != nil:
		return row, o, err
	case config != nil:
		return s.fromConfig(c, config, name)
	case name == "":
		return row, o, usagef("the provider is missing: `caddy webhooks providers` lists them; or give a configuration with --config")
	}
	if row, err = s.fromTable(c, name); err != nil {
		return row, o, err
	}
	o.Secrets, err = orFromEnvironment(s.secrets.read(c))
	return row, o, err
}

// fromTable returns a provider's scheme, overridden by the fields of the file.
func (s *schemeFlags) fromTable(c *call, name string) (verify.Scheme, error) {
	row, err := lookup(nil, name)
	if err != nil || s.file == "" {
		return row, err
	}
	text, err := c.read(s.file, "the scheme")
	if err != nil {
		return row, err
	}
	var over verify.Scheme
	if err := caddy.StrictUnmarshalJSON(text, &over); err != nil {
		return row, fmt.Errorf("reading the scheme from %s: %w", s.file, err)
	}
	return row.Merge(over), nil
}

// fromConfig returns the scheme and options of a webhook_verify in a configuration.
// Given secrets replace its own. Name may also be a custom scheme that no
// webhook_verify uses.
func (s *schemeFlags) fromConfig(c *call, config json.RawMessage, name string) (row verify.Scheme, o verify.Options, err error) {
	given, err := s.secrets.read(c)
	if err != nil {
		return row, o, err
	}
	table, err := schemesIn(config)
	if err != nil {
		return row, o, err
	}
	routes := routesIn(config)
	used := slices.ContainsFunc(routes, func(r route) bool { return r.matches(name) })
	if row, ok := table[name]; ok && !used { // for example, one that only signs deliveries
		o.Secrets, err = orFromEnvironment(given, nil)
		return row, o, err
	}
	route, err := chooseRoute(routes, name, s.config.file)
	if err != nil {
		return row, o, err
	}
	if row, o, err = route.terms(table, given); err != nil {
		return row, o, fmt.Errorf("%s: %w", route.place, err)
	}
	return row, o, nil
}

// schemesIn returns the table of schemes with the custom ones of a configuration.
func schemesIn(config json.RawMessage) (verify.Table, error) {
	var known struct {
		Apps struct {
			Webhooks struct{ Schemes []verify.Custom }
		}
	}
	if err := json.Unmarshal(config, &known); err != nil {
		return nil, err
	}
	return verify.NewTable(known.Apps.Webhooks.Schemes)
}

// route is a webhook_verify in a configuration.
type route struct {
	name, provider string // name is that of the scheme, by default the provider
	place          string // host, port and path, such as hooks.example.com/acme or localhost:8080/acme
	config         map[string]json.RawMessage
}

// matches reports whether the name, as a user writes it, may mean this route.
func (r *route) matches(name string) bool {
	return name == r.place || name == r.name || name == r.provider
}

// terms returns the scheme and options as the handler itself reads them from its
// configuration.
func (r *route) terms(table verify.Table, secrets []string) (row verify.Scheme, o verify.Options, err error) {
	if len(secrets) > 0 {
		delete(r.config, "secrets") // whose variables and files needn't exist here
	}
	delete(r.config, "handler")
	config, err := json.Marshal(r.config)
	if err != nil {
		return row, o, err
	}
	module, err := caddy.GetModule("http.handlers.webhook_verify")
	if err != nil {
		return row, o, err
	}
	h := module.New().(interface {
		Terms(verify.Table) (verify.Scheme, verify.Options, error)
	})
	if err := caddy.StrictUnmarshalJSON(config, h); err != nil {
		return row, o, fmt.Errorf("webhook_verify: %w", err)
	}
	if row, o, err = h.Terms(table); err == nil {
		o.Secrets = append(o.Secrets, secrets...)
	}
	return row, o, err
}

// chooseRoute returns the route that the name matches, or the only one if the name
// is empty.
func chooseRoute(routes []route, name, file string) (route, error) {
	chosen := slices.DeleteFunc(slices.Clone(routes), func(r route) bool {
		return name != "" && !r.matches(name)
	})
	switch {
	case len(chosen) == 1:
		return chosen[0], nil
	case len(routes) == 0:
		return route{}, usagef("there is no webhook_verify in %s", file)
	case len(chosen) == 0:
		return route{}, usagef("there is no webhook_verify %q in %s: choose one of %s", name, file, listRoutes(routes))
	}
	return route{}, usagef("several webhook_verify in %s match: choose one by its place, of %s", file, listRoutes(chosen))
}

func listRoutes(routes []route) string {
	var texts []string
	for _, r := range routes {
		texts = append(texts, fmt.Sprintf("%s (%s)", r.place, r.name))
	}
	return strings.Join(texts, ", ")
}

// routesIn returns every webhook_verify in a configuration, however deep. Further
// ones at the same place are numbered, from #2.
func routesIn(config json.RawMessage) (routes []route) {
	seen := make(map[string]int)
	var find func(node json.RawMessage, host, port, path string)
	find = func(node json.RawMessage, host, port, path string) {
		var under map[string]json.RawMessage
		if json.Unmarshal(node, &under) != nil {
			var list []json.RawMessage
			_ = json.Unmarshal(node, &list) // anything else is a scalar, which contains nothing
			for _, v := range list {
				find(v, host, port, path)
			}
			return
		}
		var known struct {
			Listen   []string
			Match    []struct{ Host, Path []string }
			Handler  string
			Provider string
			Scheme   struct{ Name string }
		}
		_ = json.Unmarshal(node, &known) // an object of another form is not a route or handler
		if known.Handler == "webhook_verify" {
			place := host + path
			if seen[place]++; seen[place] > 1 {
				place = fmt.Sprintf("%s#%d", place, seen[place])
			}
			routes = append(routes, route{cmp.Or(known.Scheme.Name, known.Provider), known.Provider, place, under})
			return
		}
		if len(known.Listen) > 0 {
			host, port = known.Listen[0], portOf(known.Listen[0])
		}
		if len(known.Match) > 0 {
			match := known.Match[0]
			if len(match.Host) > 0 {
				host = strings.Join(match.Host, ",") + port
			}
			path = cmp.Or(strings.Join(match.Path, ","), path)
		}
		for _, key := range slices.Sorted(maps.Keys(under)) {
			find(under[key], host, port, path)
		}
	}
	find(config, "", "", "")
	return routes
}

// portOf returns the port of a listener as the URL of a site has it: with a colon, or
// "" for those of http and https.
func portOf(listener string) string {
	_, port, err := net.SplitHostPort(listener)
	if err != nil || port == "80" || port == "443" {
		return ""
	}
	return ":" + port
}
