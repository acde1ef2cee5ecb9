package verify

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// compilePrefixes compiles a plan for each header prefix after the first.
func (p *plan) compilePrefixes() error {
	prefixes := p.scheme.HeaderPrefixes
	if len(prefixes) == 0 {
		return nil
	}
	if len(prefixes) == 1 || !slices.ContainsFunc(p.headers, func(name string) bool { return hasPrefixFold(name, prefixes[0]) }) {
		return errors.New("give the prefix with which the signature's header starts, and at least one other")
	}
	for _, prefix := range prefixes[1:] {
		if !isToken(prefix) {
			return fmt.Errorf("%q can't begin the name of a header; use letters, digits and dashes", prefix)
		}
		other, err := compile(p.scheme.withPrefix(prefixes[0], prefix))
		if err != nil {
			return err
		}
		p.alternates = append(p.alternates, other)
	}
	return nil
}

// withPrefix returns the scheme with another prefix for the names of its headers.
func (s Scheme) withPrefix(old, prefix string) Scheme {
	s.HeaderPrefixes = nil
	s.Signature.Names = slices.Clone(s.Signature.Names)
	names := []*string{&s.Signature.Name}
	for i := range s.Signature.Names {
		names = append(names, &s.Signature.Names[i])
	}
	if s.Timestamp.In == "header" {
		names = append(names, &s.Timestamp.Name)
	}
	for _, f := range []*Field{&s.ID, &s.EventType} {
		if f.In == "header" {
			names = append(names, &f.Name)
		}
	}
	for _, name := range names {
		if hasPrefixFold(*name, old) {
			*name = prefix + (*name)[len(old):]
		}
	}
	return s
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// forHeaders returns the verifier for the header prefix that a request uses.
func (v *Verifier) forHeaders(h http.Header) *Verifier {
	if len(v.alternates) == 0 || v.plan.hasSignature(h) {
		return v
	}
	if i := slices.IndexFunc(v.alternates, func(o *Verifier) bool { return o.plan.hasSignature(h) }); i >= 0 {
		return v.alternates[i]
	}
	return v
}

// hasSignature reports whether there is a signature in one of the scheme's headers.
func (p *plan) hasSignature(h http.Header) bool {
	return slices.ContainsFunc(p.headers, func(name string) bool { return len(h[name]) > 0 })
}
