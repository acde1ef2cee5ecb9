package payload

import (
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
)

const (
	// quickMatch is how many steps a match may take without checking whether to stop.
	quickMatch = 1 << 12
	// matchLook is after how many characters longer ones check.
	matchLook = 64
)

// pattern is a regular expression in an expression or a schema, with its size in
// instructions of RE2. Matching takes up to that many steps for each byte of the text.
type pattern struct {
	*regexp.Regexp
	instructions int
}

func newPattern(text string) (*pattern, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	return &pattern{re, len(program.Inst)}, nil
}

// steps returns how many steps matching a text takes at most.
func (p *pattern) steps(text string) int { return p.instructions * len(text) }

// match is MatchString, unless stop returns true before it is done.
func (p *pattern) match(text string, stop func() bool) (matched, done bool) {
	if stop() {
		return false, false
	}
	if p.steps(text) <= quickMatch {
		return p.MatchString(text), true
	}
	r := &stoppedReader{from: strings.NewReader(text), stop: stop}
	matched = p.MatchReader(r)
	return matched, !r.stopped
}

// stoppedReader reads a text until it is stopped.
type stoppedReader struct {
	from    *strings.Reader
	stop    func() bool
	read    int
	stopped bool
}

func (r *stoppedReader) ReadRune() (rune, int, error) {
	if r.read++; r.read%matchLook == 0 && r.stop() {
		r.stopped = true
	}
	if r.stopped {
		return 0, 0, io.EOF
	}
	return r.from.ReadRune()
}
