package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// jsonPath is the path to a value in a JSON document. Each step is a key of an object
// or an index of an array.
type jsonPath []string

func compileJSONPath(text string) (jsonPath, error) {
	path := jsonPath(strings.Split(text, "."))
	if slices.Contains(path, "") {
		return nil, fmt.Errorf("the JSON path %q has an empty step; write it as data.0.id", text)
	}
	return path, nil
}

// index returns the index of the path among others, or -1.
func (p jsonPath) index(paths []jsonPath) int {
	return slices.IndexFunc(paths, func(other jsonPath) bool { return slices.Equal(other, p) })
}

// jsonSpan is the range of a value in a document.
type jsonSpan struct {
	start, end int64
	found      bool
	repeated   bool // an object on the path has its key twice
}

// maxJSONDepth limits the nesting of values that are skipped.
const maxJSONDepth = 200

// maxJSONPaths limits the values that are looked up together: one for each bit of a mask.
const maxJSONPaths = 64

// maxJSONText limits an id or event type that is read from a body, in bytes.
const maxJSONText = 1024

var errJSON = errors.New("not a JSON document")

// jsonScanner finds values in a JSON document without holding it in memory: it reads
// through a window. It doesn't validate the grammar of what it skips. A set of paths
// is a bit mask, with bit i for paths[i].
type jsonScanner struct {
	source   io.ReaderAt
	size     int64
	offset   int64 // of the window's end
	window   []byte
	pos      int // in the window
	paths    []jsonPath
	spans    []jsonSpan // one for each path
	missing  uint64     // the paths whose values are not found yet
	toEnd    bool       // scan to the end, so that repeated keys are seen
	foldCase bool       // a key that differs in case only is a repeated key as well
	key      []byte
}

var jsonWindows = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// findJSON sets the spans of the values at the paths, of which there may be maxJSONPaths. With
// toEnd, it scans to the end of the document, so that repeated keys are seen; otherwise
// it stops when all values are found.
func findJSON(source io.ReaderAt, size int64, paths []jsonPath, spans []jsonSpan, toEnd bool) error {
	return (&jsonScanner{source: source, size: size, paths: paths, spans: spans, toEnd: toEnd}).find()
}

func (s *jsonScanner) find() error {
	window := jsonWindows.Get().(*[16 << 10]byte)
	defer jsonWindows.Put(window)
	s.window = window[:0]
	s.missing = 1<<len(s.paths) - 1
	err := s.value(s.missing, 0)
	if errors.Is(err, errJSONDone) {
		return nil
	}
	return err
}

var errJSONDone = errors.New("every value is found")

// peek returns the next byte that isn't white space, without consuming it.
func (s *jsonScanner) peek() (byte, error) {
	for {
		for s.pos < len(s.window) {
			switch b := s.window[s.pos]; b {
			case ' ', '\t', '\r', '\n':
				s.pos++
			default:
				return b, nil
			}
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
}

// fill reads the next window.
func (s *jsonScanner) fill() error {
	n := min(int64(cap(s.window)), s.size-s.offset)
	if n <= 0 {
		return errJSON
	}
	s.window = s.window[:n]
	if read, err := s.source.ReadAt(s.window, s.offset); read < int(n) {
		return fmt.Errorf("reading the body: %w", err)
	}
	s.offset += n
	s.pos = 0
	return nil
}

// position returns the offset of the next byte.
func (s *jsonScanner) position() int64 { return s.offset - int64(len(s.window)-s.pos) }

// value scans a value to which the first depth steps of the paths in mask lead, or skips
// it if no path does.
func (s *jsonScanner) value(mask uint64, depth int) error {
	b, err := s.peek()
	if err != nil {
		return err
	}
	start := s.position()
	var ends uint64 // the paths that end at this value
	for i := range indexes(mask) {
		if len(s.paths[i]) == depth {
			ends |= 1 << i
		}
	}
	switch deeper := mask &^ ends; {
	case deeper != 0 && b == '{':
		err = s.object(deeper, depth)
	case deeper != 0 && b == '[':
		err = s.array(deeper, depth)
	default:
		err = s.skip(b)
	}
	if err != nil {
		return err
	}
	for i := range indexes(ends) {
		s.spans[i].start, s.spans[i].end, s.spans[i].found = start, s.position(), true
	}
	if s.missing &^= ends; s.missing == 0 && !s.toEnd {
		return errJSONDone
	}
	return nil
}

func (s *jsonScanner) object(mask uint64, depth int) error {
	s.pos++ // {
	var seen uint64
	for {
		b, err := s.peek()
		if err != nil {
			return err
		}
		switch b {
		case '}':
			s.pos++
			return nil
		case ',':
			s.pos++
			continue
		case '"':
		default:
			return errJSON
		}
		key, err := s.readKey()
		if err != nil {
			return err
		}
		if b, err = s.peek(); err != nil {
			return err
		}
		if b != ':' {
			return errJSON
		}
		s.pos++
		matched := s.matchStep(mask, depth, key)
		for i := range indexes(seen & matched) {
			s.spans[i].repeated = true
		}
		seen |= matched
		if err := s.value(matched, depth+1); err != nil {
			return err
		}
	}
}

func (s *jsonScanner) array(mask uint64, depth int) error {
	s.pos++ // [
	for index := 0; ; {
		b, err := s.peek()
		if err != nil {
			return err
		}
		switch b {
		case ']':
			s.pos++
			return nil
		case ',':
			s.pos++
			index++
			continue
		}
		var digits [20]byte
		if err := s.value(s.matchStep(mask, depth, strconv.AppendInt(digits[:0], int64(index), 10)), depth+1); err != nil {
			return err
		}
	}
}

// matchStep returns the paths in mask whose step at this depth is the given one. With
// foldCase, it marks those as repeated from which the step differs in case only: many
// JSON parsers, such as Go's, accept either for the other.
func (s *jsonScanner) matchStep(mask uint64, depth int, step []byte) (matched uint64) {
	for i := range indexes(mask) {
		switch want := s.paths[i][depth]; {
		case want == string(step):
			matched |= 1 << i
		case s.foldCase && strings.EqualFold(want, string(step)):
			s.spans[i].repeated = true
		}
	}
	return matched
}

// indexes returns the indexes of the paths in a mask.
func indexes(mask uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for ; mask != 0 && yield(bits.TrailingZeros64(mask)); mask &= mask - 1 {
		}
	}
}

// readKey reads and decodes an object's key. A key longer than any step of a path is cut
// and left undecoded: it matches nothing.
func (s *jsonScanner) readKey() ([]byte, error) {
	s.key = s.key[:0]
	escaped := false
	err := s.scanString(func(part []byte) {
		if len(s.key) <= maxJSONText {
			s.key = append(s.key, part...)
		}
		escaped = escaped || bytes.IndexByte(part, '\\') >= 0
	})
	if err != nil || !escaped || len(s.key) > maxJSONText {
		return s.key, err
	}
	var decoded string
	if err := json.Unmarshal(append(append([]byte{'"'}, s.key...), '"'), &decoded); err != nil {
		return nil, errJSON
	}
	return []byte(decoded), nil
}

// skip skips a value that starts with b.
func (s *jsonScanner) skip(b byte) error {
	switch b {
	case '"':
		return s.scanString(nil)
	case '{', '[':
		return s.skipNested()
	}
	return s.skipScalar()
}

// jsonMarks are the bytes that matter to skipNested.
var jsonMarks = [256]bool{'"': true, '{': true, '[': true, '}': true, ']': true}

func (s *jsonScanner) skipNested() error {
	depth := 0
	for {
		for s.pos < len(s.window) {
			b := s.window[s.pos]
			if !jsonMarks[b] {
				s.pos++
				continue
			}
			switch b {
			case '"':
				if err := s.scanString(nil); err != nil {
					return err
				}
				continue
			case '{', '[':
				if depth++; depth > maxJSONDepth {
					return errJSON
				}
			default:
				depth--
			}
			s.pos++
			if depth == 0 {
				return nil
			}
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

func (s *jsonScanner) skipScalar() error {
	start := s.position()
	for {
		for s.pos < len(s.window) {
			switch s.window[s.pos] {
			case ',', '}', ']', ' ', '\t', '\r', '\n':
				if s.position() == start {
					return errJSON
				}
				return nil
			case '{', '[', '"', ':':
				return errJSON
			}
			s.pos++
		}
		if s.offset >= s.size {
			return nil // a document that is one number
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// scanString skips a string, and calls part, unless it is nil, with each piece of its
// undecoded text.
func (s *jsonScanner) scanString(part func([]byte)) error {
	s.pos++     // "
	quote := -1 // the next quote in the window, or its end; unknown if it is before pos
	for {
		if quote < s.pos { // not for each escape: anyone can send a string of nothing else
			quote = len(s.window)
			if i := bytes.IndexByte(s.window[s.pos:], '"'); i >= 0 {
				quote = s.pos + i
			}
		}
		plain := s.window[s.pos:quote]
		slash := bytes.IndexByte(plain, '\\')
		if slash >= 0 {
			plain = plain[:slash]
		}
		if part != nil {
			part(plain)
		}
		s.pos += len(plain) + 1
		if slash < 0 && quote < len(s.window) {
			return nil
		}
		if s.pos >= len(s.window) {
			if err := s.fill(); err != nil {
				return err
			}
			quote = -1
		}
		if slash >= 0 {
			if part != nil {
				part([]byte{'\\', s.window[s.pos]})
			}
			s.pos++
		}
	}
}

// jsonText returns the text of a scalar: a string is decoded, a number or boolean is
// left as it is. null, arrays and objects have none.
func jsonText(raw []byte) (string, bool) {
	switch {
	case len(raw) == 0:
		return "", false
	case raw[0] == '"':
		if len(raw) > 1 && plainJSON(raw[1:len(raw)-1]) {
			return string(raw[1 : len(raw)-1]), true
		}
		var s string
		err := json.Unmarshal(raw, &s)
		// Unmarshal replaces invalid bytes and escapes with U+FFFD, so that different
		// documents would have the same text.
		return s, err == nil && !strings.ContainsRune(s, utf8.RuneError)
	case raw[0] == '{', raw[0] == '[', raw[0] == 'n':
		return "", false
	}
	return string(raw), true
}

// plainJSON reports whether the inside of a JSON string needs no decoding: it is
// printable ASCII without escapes.
func plainJSON(inside []byte) bool {
	for _, b := range inside {
		if b < ' ' || b > '~' || b == '\\' || b == '"' {
			return false
		}
	}
	return true
}

// readJSONText returns the text at a span that findJSON has set.
func readJSONText(body io.ReaderAt, span jsonSpan) (string, Reason) {
	n := span.end - span.start
	if !span.found || span.repeated || n <= 0 || n > maxJSONText {
		return "", ReasonMalformedField
	}
	raw := make([]byte, n)
	if read, _ := body.ReadAt(raw, span.start); int64(read) < n {
		return "", ReasonUnreadableBody
	}
	text, ok := jsonText(raw)
	if !ok {
		return "", ReasonMalformedField
	}
	return text, ""
}
