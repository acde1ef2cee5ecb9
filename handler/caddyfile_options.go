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

// The blocks of all directives are tables of options, parsed by parseBlock.

// option parses one subdirective into a T; the dispenser stands on its name.
type option[T any] struct {
	parse  func(d *caddyfile.Dispenser, to T) error
	repeat bool
}

// parseBlock parses a block by a table of options. An option that isn't in the
// table, or that may stand only once and stands twice, is an error.
func parseBlock[T any](d *caddyfile.Dispenser, options map[string]option[T], to T) error {
	seen := make(map[string]bool)
	name := d.Val()
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() == "{" {
			return d.Errf("%s takes no block here", name)
		}
		name = d.Val()
		o, ok := options[name]
		if !ok {
			return d.Errf("unrecognized subdirective '%s': %s", name, whereTo(name, options))
		}
		if seen[name] && !o.repeat {
			return d.Errf("%s is given twice", name)
		}
		seen[name] = true
		if err := o.parse(d, to); err != nil {
			return err
		}
	}
	return nil
}

// inner are the options of the blocks within blocks, by what opens these. They
// are easily written one level too high.
var inner map[string][]string

func init() { // since it is about options that are blocks themselves
	inner = map[string][]string{
		"signature":    slices.Collect(maps.Keys(signatureOptions)),
		"scheme":       slices.Collect(maps.Keys(schemeOptions)),
		"retry":        slices.Collect(maps.Keys(exponentialOptions)),
		"egress":       slices.Collect(maps.Keys(egressOptions)),
		"subscription": slices.Collect(maps.Keys(subscriptionOptions)),
		"oauth2":       slices.Collect(maps.Keys(oauth2Options)),
	}
}

// whereTo says where an option belongs that isn't in the table.
func whereTo[T any](name string, options map[string]option[T]) string {
	known := slices.Sorted(maps.Keys(options))
	for _, opens := range known {
		if slices.Contains(inner[opens], name) {
			if opens == "scheme" { // which a subscription only names
				return fmt.Sprintf("it describes a scheme, as in: webhooks { scheme … { %s … } }", name)
			}
			return fmt.Sprintf("it belongs in the block of %s: %[1]s … { %s … }", opens, name)
		}
	}
	return "the options here are " + strings.Join(known, ", ")
}

// text is an option with one argument, which isn't empty.
func text[T any](place func(T) *string) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, to T) error {
		return oneArg(d, place(to))
	}}
}

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

// noArg is for an option that has nothing behind it, or only a block.
func noArg(d *caddyfile.Dispenser) error {
	name := d.Val()
	if d.NextArg() {
		return d.Errf("%s takes no argument on its line", name)
	}
	return nil
}

// list is an option with one or more arguments, and more where it is repeated.
func list[T any](place func(T) *[]string) option[T] {
	return option[T]{repeat: true, parse: func(d *caddyfile.Dispenser, to T) error {
		name, args := d.Val(), d.RemainingArgs()
		if len(args) == 0 {
			return d.Errf("%s takes one or more arguments", name)
		}
		values := place(to)
		*values = append(*values, args...)
		return nil
	}}
}

// named is an option with a name and a value, and more where it is repeated. The
// example has one of each.
func named[T any](example string, place func(T) *map[string]string) option[T] {
	return option[T]{repeat: true, parse: func(d *caddyfile.Dispenser, to T) error {
		option := d.Val()
		var name, value string
		if !d.AllArgs(&name, &value) {
			return d.Errf("%s: write a name and a value, as in: %[1]s %s", option, example)
		}
		name = strings.TrimSuffix(name, ":") // as Caddy's own header directive does
		values := place(to)
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

// flagOption is an option that takes no argument.
func flagOption[T any](place func(T) *bool) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, to T) error {
		*place(to) = true
		return noArg(d)
	}}
}

// only is an option that can have one value alone.
func only[T any](word string, place func(T) *bool) option[T] {
	return parsed(place, func(arg string) (bool, bool) { return true, arg == word }, word+", or leave the line out")
}

// parsed is an option with one argument that is more than text: want says what.
func parsed[T, V any](place func(T) *V, parse func(string) (V, bool), want string) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, to T) error {
		name, arg := d.Val(), ""
		if err := oneArg(d, &arg); err != nil {
			return err
		}
		value, ok := parse(arg)
		switch {
		case strings.HasPrefix(arg, "{"):
			return d.Errf("%s %s: the only placeholder here is {$NAME}, which is replaced when the Caddyfile is read", name, arg)
		case !ok:
			return d.Errf("%s %s: write %s", name, arg, want)
		}
		*place(to) = value
		return nil
	}}
}

func duration[T any](place func(T) *caddy.Duration) option[T] {
	return parsed(place, func(arg string) (caddy.Duration, bool) {
		value, err := caddy.ParseDuration(arg)
		return caddy.Duration(value), err == nil && value > 0
	}, "a duration such as 15s, 5m, 2h or 1d")
}

func number[T any](place func(T) *int) option[T] {
	return parsed(place, func(arg string) (int, bool) {
		value, err := strconv.Atoi(arg)
		return value, err == nil && value > 0
	}, "a number of 1 or more")
}

func size[T any](place func(T) *int64) option[T] {
	return parsed(place, func(arg string) (int64, bool) {
		value, err := humanize.ParseBytes(arg)
		return int64(value), err == nil && value > 0 && value <= math.MaxInt64
	}, "a size such as 1MiB")
}

// orOff is an option that the word off turns off.
func orOff[T any](o option[T], off func(T)) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, to T) error {
		if d.CountRemainingArgs() == 1 && d.NextArg() {
			if d.Val() == "off" {
				off(to)
				return nil
			}
			d.Prev()
		}
		return o.parse(d, to)
	}}
}

func perSecond[T any](place func(T) *float64) option[T] {
	return option[T]{parse: func(d *caddyfile.Dispenser, to T) (err error) {
		name, arg := d.Val(), ""
		if err := oneArg(d, &arg); err != nil {
			return err
		}
		if *place(to), err = outbound.ParseRate(arg); err != nil {
			return d.Errf("%s: %v", name, err)
		}
		return nil
	}}
}
