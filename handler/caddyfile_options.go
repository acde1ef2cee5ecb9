package handler

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// option is a subdirective that configures a T. When parse is called, the dispenser
// is at the subdirective's name. The functions below make options of common types;
// their parameter dst returns the field to set.
type option[T any] struct {
	parse  func(d *caddyfile.Dispenser, cfg T) error
	repeat bool // may be given more than once
}

// parseBlock parses a block of options, which the keys of the map name. An unknown
// option is an error, and so is one that is given twice unless it can be repeated.
func parseBlock[T any](d *caddyfile.Dispenser, options map[string]option[T], cfg T) error {
	seen := make(map[string]bool)
	name := d.Val()
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() == "{" {
			return d.Errf("%s takes no block here", name)
		}
		name = d.Val()
		o, ok := options[name]
		if !ok {
			return d.Errf("unrecognized subdirective '%s': %s", name, suggestOption(name, options))
		}
		if seen[name] && !o.repeat {
			return d.Errf("%s is given twice", name)
		}
		seen[name] = true
		if err := o.parse(d, cfg); err != nil {
			return err
		}
	}
	return nil
}

// goToOption moves d from a directive to an option in its block; the path has the
// names of the nested blocks, and the option's last. Where an option is missing, d
// stays at what was found before.
func goToOption(d *caddyfile.Dispenser, path []string) {
	if len(path) == 0 {
		return
	}
	block, outside := *d, d.Nesting()
	for block.RemainingArgs(); block.NextBlock(outside); block.RemainingArgs() {
		if block.Nesting() == outside+1 && block.Val() == path[0] {
			*d = block
			goToOption(d, path[1:])
			return
		}
	}
}

// nestedOptions are the options of nested blocks, by the option that opens the
// block. It is easy to write them one level too high.
var nestedOptions map[string][]string

func init() { // an initializer would be a cycle: the options' parsers refer to it
	nestedOptions = map[string][]string{
		"signature":    slices.Collect(maps.Keys(signatureOptions)),
		"scheme":       slices.Collect(maps.Keys(schemeOptions)),
		"retry":        slices.Collect(maps.Keys(exponentialOptions)),
		"egress":       slices.Collect(maps.Keys(egressOptions)),
		"subscription": slices.Collect(maps.Keys(subscriptionOptions)),
		"oauth2":       slices.Collect(maps.Keys(oauth2Options)),
	}
}

// suggestOption says which option may be meant by an unknown one, where it belongs,
// or which ones are known.
func suggestOption[T any](name string, options map[string]option[T]) string {
	known := slices.Sorted(maps.Keys(options))
	for _, option := range known { // the API has headers, for example, where the Caddyfile has header
		if option == name+"s" || option+"s" == name {
			return fmt.Sprintf("did you mean %s?", option)
		}
	}
	for _, parent := range known {
		if slices.Contains(nestedOptions[parent], name) {
			if parent == "scheme" { // in a subscription, scheme has no block
				return fmt.Sprintf("it describes a scheme, as in: webhooks { scheme … { %s … } }", name)
			}
			return fmt.Sprintf("it belongs in the block of %s: %[1]s … { %s … }", parent, name)
		}
	}
	return "the options here are " + strings.Join(known, ", ")
}

// text is an option with one argument that must not be empty.
func text[T any](dst func(T) *string) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, cfg T) error {
		return oneArg(d, dst(cfg))
	}}
}

// oneArg parses the only argument of an option.
func oneArg(d *caddyfile.Dispenser, value *string) error {
	name := d.Val()
	if !d.AllArgs(value) {
		return d.Errf("%s takes one argument, in `backquotes` if it has spaces", name)
	}
	if *value == "" {
		return d.Errf("%s is empty", name)
	}
	return nil
}

// words is an option with one or more arguments, which are joined by spaces.
func words[T any](dst func(T) *string) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, cfg T) error {
		name, args := d.Val(), d.RemainingArgs()
		if len(args) == 0 {
			return d.Errf("%s takes one or more arguments", name)
		}
		if slices.Contains(args, "") {
			return d.Errf("%s is empty", name)
		}
		*dst(cfg) = strings.Join(args, " ")
		return nil
	}}
}

// noArg checks that an option has no arguments; it may have a block.
func noArg(d *caddyfile.Dispenser) error {
	name := d.Val()
	if d.NextArg() {
		return d.Errf("%s takes no arguments on its line", name)
	}
	return nil
}

// list is an option with one or more arguments; repeating it adds to them.
func list[T any](dst func(T) *[]string) option[T] {
	return option[T]{repeat: true, parse: func(d *caddyfile.Dispenser, cfg T) error {
		name, args := d.Val(), d.RemainingArgs()
		if len(args) == 0 {
			return d.Errf("%s takes one or more arguments", name)
		}
		values := dst(cfg)
		*values = append(*values, args...)
		return nil
	}}
}

// named is an option with a name and a value; repeating it adds to them. The
// example is for the error message.
func named[T any](example string, dst func(T) *map[string]string) option[T] {
	return option[T]{repeat: true, parse: func(d *caddyfile.Dispenser, cfg T) error {
		option := d.Val()
		var name, value string
		if !d.AllArgs(&name, &value) {
			return d.Errf("%s: write a name and a value, as in: %[1]s %s", option, example)
		}
		name = strings.TrimSuffix(name, ":") // like Caddy's header directive
		values := dst(cfg)
		if _, ok := (*values)[name]; ok {
			return d.Errf("%s %s is given twice", option, name)
		}
		if *values == nil {
			*values = map[string]string{}
		}
		(*values)[name] = value
		return nil
	}}
}

// flagOption is an option without arguments.
func flagOption[T any](dst func(T) *bool) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, cfg T) error {
		*dst(cfg) = true
		return noArg(d)
	}}
}

// only is an option with only one valid argument, word.
func only[T any](word string, dst func(T) *bool) option[T] {
	return parsed(dst, func(arg string) (bool, bool) { return true, arg == word }, word+", or leave the line out")
}

// parsed is an option with one argument that has to be parsed. The error message
// tells the user to write want.
func parsed[T, V any](dst func(T) *V, parse func(string) (V, bool), want string) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, cfg T) error {
		name, arg := d.Val(), ""
		if err := oneArg(d, &arg); err != nil {
			return err
		}
		value, ok := parse(arg)
		switch {
		case strings.HasPrefix(arg, "{"):
			return d.Errf("%s %s: the only placeholder that works here is {$NAME}, which is replaced when the Caddyfile is read", name, arg)
		case !ok:
			return d.Errf("%s %s: write %s", name, arg, want)
		}
		*dst(cfg) = value
		return nil
	}}
}

func duration[T any](dst func(T) *caddy.Duration) option[T] {
	return parsed(dst, func(arg string) (caddy.Duration, bool) {
		value, err := caddy.ParseDuration(arg)
		return caddy.Duration(value), err == nil && value > 0
	}, "a duration such as 15s, 5m, 2h or 1d")
}

func number[T any](dst func(T) *int) option[T] {
	return parsed(dst, func(arg string) (int, bool) {
		value, err := strconv.Atoi(arg)
		return value, err == nil && value > 0
	}, "a number of 1 or more")
}

func size[T any](dst func(T) *int64) option[T] {
	return parsed(dst, func(arg string) (int64, bool) {
		value, err := humanize.ParseBytes(arg)
		return int64(value), err == nil && value > 0 && value <= math.MaxInt64
	}, "a size such as 1MiB")
}

// orOff makes an option accept the word off, for which off is called.
func orOff[T any](o option[T], off func(T)) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, cfg T) error {
		if d.CountRemainingArgs() == 1 && d.NextArg() {
			if d.Val() == "off" {
				off(cfg)
				return nil
			}
			d.Prev()
		}
		return o.parse(d, cfg)
	}}
}

// perSecond is an option with a rate such as 50/s or 600/m.
func perSecond[T any](dst func(T) *float64) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, cfg T) (err error) {
		name, arg := d.Val(), ""
		if err := oneArg(d, &arg); err != nil {
			return err
		}
		if *dst(cfg), err = outbound.ParseRate(arg); err != nil {
			return d.Errf("%s: %v", name, err)
		}
		return nil
	}}
}
