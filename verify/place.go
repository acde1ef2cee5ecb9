package verify

import (
	"fmt"
	"net/textproto"
	"regexp"
	"strings"
)

// place is where a value is: a compiled Field, or the place of a signature or timestamp.
type place struct {
	in, name    string
	path        jsonPath
	pattern     *regexp.Regexp
	fixedLength bool // the form of the value shows where it ends, as a pattern of one length does
	allowSpaces bool // the value may contain spaces, as in "Push Hook"
}

// inBody reports whether the value is in the body.
func (p place) inBody() bool { return p.in == "json" || p.in == "form" }

func compileField(f Field) (place, error) {
	if f == (Field{}) {
		return place{}, nil
	}
	return compilePlace(f.In, f.Name, f.Pattern)
}

func compilePlace(in, name, pattern string) (place, error) {
	p := place{in: in, name: name}
	if err := checkOneOf(in, []string{"header", "query", "json", "form"}); err != nil {
		return p, fmt.Errorf("in: %w", err)
	}
	if name == "" {
		return p, fmt.Errorf("no name; say which %s it is", in)
	}
	if in == "header" {
		if err := checkHeader(name); err != nil {
			return p, err
		}
		p.name = canonical(name)
	}
	if in == "json" {
		path, err := compileJSONPath(name)
		if err != nil {
			return p, err
		}
		p.path = path
	}
	err := p.compilePattern(pattern)
	return p, err
}

// admits reports whether an id or event type can be shown and signed: it is printable
// ASCII of at most maxID bytes, matches the pattern, and has no spaces, except between
// the words of an event type.
func (p place) admits(value string) bool {
	if len(value) > maxID || !isPrintable(value) || value != trim(value) || !p.allowSpaces && strings.Contains(value, " ") {
		return false
	}
	return p.pattern == nil || p.pattern.MatchString(value)
}

// checkHeader returns an error if a header can't have this name.
func checkHeader(name string) error {
	if !isToken(name) {
		return fmt.Errorf("%q can't be the name of a header; use letters, digits and dashes", name)
	}
	return nil
}

func canonical(header string) string { return textproto.CanonicalMIMEHeaderKey(header) }

// isToken reports whether s is a token of HTTP, as the names of headers are.
func isToken(s string) bool { return isMadeOf(s, "!#$%&'*+-.^_`|~") }
