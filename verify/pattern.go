package verify

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// compilePattern compiles the regular expression that the whole value must match. ""
// matches any value.
func (p *place) compilePattern(text string) error {
	if text == "" {
		return nil
	}
	alone, err := regexp.Compile(text) // first without the parentheses around it, which its own could close
	if err != nil {
		return fmt.Errorf("pattern: %w", err)
	}
	if _, constant := alone.LiteralPrefix(); constant {
		return fmt.Errorf("pattern %q matches nothing but itself; give one name, and after it a regular expression such as \"[0-9a-f]{32}\"", text)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return fmt.Errorf("pattern: %w", err)
	}
	_, p.fixedLength = matchLength(tree)
	p.pattern = regexp.MustCompile("^(?:" + text + ")$")
	return nil
}

// matchLength returns how many bytes an expression matches, if all matches have the same
// length.
func matchLength(re *syntax.Regexp) (n int, ok bool) {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine:
		return 0, true
	case syntax.OpLiteral:
		n = len(string(re.Rune))
		// Ignoring case, k and s also match a non-ASCII letter, which is longer.
		folds := re.Flags&syntax.FoldCase != 0 && strings.ContainsAny(strings.ToLower(string(re.Rune)), "ks")
		return n, n == len(re.Rune) && !folds
	case syntax.OpCharClass:
		return 1, len(re.Rune) > 0 && re.Rune[len(re.Rune)-1] < 0x80
	case syntax.OpCapture:
		return matchLength(re.Sub[0])
	case syntax.OpRepeat:
		n, ok = matchLength(re.Sub[0])
		return n * re.Min, ok && re.Min == re.Max
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			m, ok := matchLength(sub)
			if !ok {
				return 0, false
			}
			n += m
		}
		return n, true
	case syntax.OpAlternate:
		for i, sub := range re.Sub {
			m, ok := matchLength(sub)
			if !ok || i > 0 && m != n {
				return 0, false
			}
			n = m
		}
		return n, true
	}
	return 0, false
}
