package api

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// scanner reads JSON text once: it checks the grammar of RFC 8259 and tells
// where values begin and end, without making anything of them. So a payload
// is found, judged and left as it is.
type scanner struct {
	data []byte
	pos  int
}

// maxDepth is how deep arrays and objects may be nested. Parsers of receivers
// commonly stop at a thousand.
const maxDepth = 1000

// syntaxError says where a text stops being JSON, and why.
type syntaxError struct {
	data []byte
	pos  int
	what string
}

// Error names the place as an editor does, and as a program does.
func (e *syntaxError) Error() string {
	before := e.data[:e.pos]
	line := bytes.Count(before, []byte{'\n'}) + 1
	column := e.pos - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("%s at line %d, column %d (byte %d)", e.what, line, column, e.pos)
}

func (s *scanner) fail(format string, args ...any) error {
	return &syntaxError{data: s.data, pos: s.pos, what: fmt.Sprintf(format, args...)}
}

// unexpected describes what stands at pos instead of what was wanted.
func (s *scanner) unexpected(wanted string) error {
	if s.pos >= len(s.data) {
		return s.fail("it ends where %s should be", wanted)
	}
	r, _ := utf8.DecodeRune(s.data[s.pos:])
	return s.fail("there is %s where %s should be", strconv.QuoteRune(r), wanted)
}

// checkText refuses what is no UTF-8, before the scanner sees it.
func checkText(data []byte) error {
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return &syntaxError{data: data, what: "it begins with a byte order mark, which has no place in JSON,"}
	}
	if utf8.Valid(data) {
		return nil
	}
	pos := 0
	for {
		r, n := utf8.DecodeRune(data[pos:])
		if r == utf8.RuneError && n == 1 {
			return &syntaxError{data: data, pos: pos, what: "it is not UTF-8"}
		}
		pos += n
	}
}

// peek is the byte at pos, and 0 at the end: no token begins with it.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// end makes sure that nothing follows.
func (s *scanner) end() error {
	s.space()
	if s.pos < len(s.data) {
		return s.unexpected("the end")
	}
	return nil
}

// members calls visit for each member of the object that stands at pos, with
// its name as written between the quotes, and with the value's bytes.
func (s *scanner) members(visit func(name, value []byte) error) error {
	s.space()
	if s.peek() != '{' {
		return s.unexpected("an object, as in {…},")
	}
	s.pos++
	if s.space(); s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		name, err := s.name()
		if err != nil {
			return err
		}
		s.space()
		start := s.pos
		if err := s.value(); err != nil {
			return err
		}
		if err := visit(name, s.data[start:s.pos]); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return nil
		default:
			return s.unexpected(`"," or "}"`)
		}
	}
}

// name reads a member's name and the colon.
func (s *scanner) name() ([]byte, error) {
	s.space()
	if s.peek() != '"' {
		return nil, s.unexpected("a name in double quotes")
	}
	start := s.pos + 1
	if err := s.text(); err != nil {
		return nil, err
	}
	name := s.data[start : s.pos-1]
	if s.space(); s.peek() != ':' {
		return nil, s.unexpected(`":"`)
	}
	s.pos++
	return name, nil
}

// nesting remembers for each open array or object which of the two it is.
type nesting struct {
	objects [(maxDepth + 63) / 64]uint64
	depth   int
}

func (n *nesting) push(object bool) {
	bit := uint64(1) << (n.depth % 64)
	if object {
		n.objects[n.depth/64] |= bit
	} else {
		n.objects[n.depth/64] &^= bit
	}
	n.depth++
}

func (n *nesting) inObject() bool {
	d := n.depth - 1
	return n.objects[d/64]&(1<<(d%64)) != 0
}

// value passes over one value. It is a loop and no recursion, so that a deep
// nesting costs a bit a level.
func (s *scanner) value() error {
	var open nesting
	for {
		s.space()
		switch c := s.peek(); c {
		case '{', '[':
			if open.depth == maxDepth {
				return s.fail("arrays and objects are nested more than %d deep", maxDepth)
			}
			open.push(c == '{')
			s.pos++
			s.space()
			if s.peek() != c+2 { // '}' and ']' come two after their openers
				if c == '{' {
					if _, err := s.name(); err != nil {
						return err
					}
				}
				continue
			}
		default:
			if err := s.scalar(c); err != nil {
				return err
			}
			if open.depth == 0 {
				return nil
			}
		}
		more, err := s.close(&open)
		if err != nil || !more {
			return err
		}
	}
}

// close follows a value, or an opener with nothing in it: it passes over the
// closers and the comma that follow. It reports whether a value is next.
func (s *scanner) close(open *nesting) (more bool, err error) {
	for open.depth > 0 {
		s.space()
		object := open.inObject()
		switch c := s.peek(); {
		case c == '}' && object, c == ']' && !object:
			s.pos++
			open.depth--
		case c == ',':
			s.pos++
			if object {
				_, err = s.name()
			}
			return true, err
		case object:
			return false, s.unexpected(`"," or "}"`)
		default:
			return false, s.unexpected(`"," or "]"`)
		}
	}
	return false, nil
}

// scalar passes over a value that isn't an array or object and begins with c.
func (s *scanner) scalar(c byte) error {
	switch c {
	case '"':
		return s.text()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	if c == '-' || isDigit(c) {
		return s.number()
	}
	return s.unexpected("a value")
}

func (s *scanner) word(w string) error {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(w)) {
		return s.unexpected("a value")
	}
	s.pos += len(w)
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) digits() error {
	if !isDigit(s.peek()) {
		return s.unexpected("a digit")
	}
	for isDigit(s.peek()) {
		s.pos++
	}
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++ // nothing may follow it but a fraction or an exponent
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.peek() == '.' {
		s.pos++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		return s.digits()
	}
	return nil
}

// text passes over a string.
func (s *scanner) text() error {
	s.pos++
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < ' ':
			return s.fail("a string has a control character, which must be escaped,")
		default:
			s.pos++
		}
	}
	return s.fail("it ends inside a string")
}

func (s *scanner) escape() error {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		s.pos++
		for range 4 {
			if c := s.peek() | 0x20; !isDigit(s.peek()) && (c < 'a' || c > 'f') {
				return s.unexpected("a hexadecimal digit")
			}
			s.pos++
		}
		return nil
	}
	return s.unexpected(`one of "\/bfnrtu after a backslash`)
}
