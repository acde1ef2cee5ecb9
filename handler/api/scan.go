package api

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// scanner reads JSON text in one pass: it checks the grammar of RFC 8259 and finds
// where values begin and end, without decoding them. So a payload is found and
// validated, and stays as it is.
type scanner struct {
	data []byte
	pos  int
}

// maxDepth is how deep arrays and objects may be nested. Parsers of receivers
// commonly stop at a thousand.
const maxDepth = 1000

// syntaxError says where and why a text is not JSON.
type syntaxError struct {
	data []byte
	pos  int
	msg  string
}

// Error gives the position as an editor counts, from 1, and as a program does.
func (e *syntaxError) Error() string {
	before := e.data[:e.pos]
	line := bytes.Count(before, []byte{'\n'}) + 1
	column := e.pos - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d (byte %d): %s", line, column, e.pos, e.msg)
}

func (s *scanner) fail(format string, args ...any) error {
	return &syntaxError{data: s.data, pos: s.pos, msg: fmt.Sprintf(format, args...)}
}

// unexpected says what is at pos instead of what was expected.
func (s *scanner) unexpected(expected string) error {
	found := "the end"
	if s.pos < len(s.data) {
		r, _ := utf8.DecodeRune(s.data[s.pos:])
		found = strconv.QuoteRune(r)
	}
	return s.fail("expected %s, found %s", expected, found)
}

// checkText refuses text that isn't UTF-8, which the scanner doesn't check.
func checkText(data []byte) error {
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return &syntaxError{data: data, msg: "it begins with a byte order mark, which JSON does not allow"}
	}
	if utf8.Valid(data) {
		return nil
	}
	pos := 0
	for {
		r, n := utf8.DecodeRune(data[pos:])
		if r == utf8.RuneError && n == 1 {
			return &syntaxError{data: data, pos: pos, msg: "it is not UTF-8"}
		}
		pos += n
	}
}

// peek returns the byte at pos, or 0, with which no token begins, at the end.
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

// end returns an error if anything but white space follows.
func (s *scanner) end() error {
	s.space()
	if s.pos < len(s.data) {
		return s.unexpected("the end")
	}
	return nil
}

// members calls visit for each member of the object at pos, with the name as it is
// written between the quotes, and with the value's bytes.
func (s *scanner) members(visit func(name, value []byte) error) error {
	s.space()
	if s.peek() != '{' {
		return s.unexpected("an object, as in {…}")
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

// name reads a member's name, and the colon after it.
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

// nesting is a stack of the open arrays and objects.
type nesting struct {
	objects [(maxDepth + 63) / 64]uint64 // a bit for each level: set for an object
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

// value skips one value. It is a loop instead of a recursion, so that nesting
// costs one bit a level.
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
			if s.peek() != c+2 { // in ASCII, '}' and ']' are two after '{' and '['
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

// close skips the closing brackets and the comma after a value, or after the
// opening bracket of an empty array or object. It reports whether a value is next.
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

// scalar skips a value that is neither an array nor an object, and begins with c.
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
		s.pos++ // only a fraction or an exponent may follow it
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

// text skips a string.
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
			return s.fail("a string has a control character that is not escaped")
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
