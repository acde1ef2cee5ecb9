package verify

import (
	"fmt"
	"net/textproto"
	"regexp"
	"strings"
)

// place is where a value stands.
type place struct {
	in, name    string
	path        jsonPath
	pattern     *regexp.Regexp
	fixedLength bool // the pattern admits values of one length only
	allowSpaces bool // the value may hold blanks, as in "Push Hook"
}

// late says whether the value stands in the body.
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

// admits says whether an id or event type has a form that can be shown and
// signed: printable, without blanks unless within an event type, of bounded
// length.
func (p place) admits(value string) bool {
	if len(value) > maxID || !isPrintable(value) || value != trim(value) || !p.allowSpaces && strings.Contains(value, " ") {
		return false
	}
	return p.pattern == nil || p.pattern.MatchString(value)
}

// checkHeader says what is wrong with a header's name.
func checkHeader(name string) error {
	if !isToken(name) {
		return fmt.Errorf("%q can't be a header's name; it has letters, digits and dashes", name)
	}
	return nil
}

func canonical(header string) string { return textproto.CanonicalMIMEHeaderKey(header) }

// isToken says whether a header may have this name.
func isToken(s string) bool { return isMadeOf(s, "!#$%&'*+-.^_`|~") }
