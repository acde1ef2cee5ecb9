package verify

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// word is a kind of placeholder in a content template.
type segmentKind uint8

const (
	segLiteral segmentKind = iota
	segBody
	segBodyHash
	segTimestamp
	segID
	segEventType
	segMethod
	segURL
	segURLNoQuery
	segURI
	segHost
	segHostPort
	segPath
	segQuery
	segFormSorted
	segSecret
	segHeader
	segQueryParam
	segJSON
	segFormField
	segListItem
	segFunc
)

// plainWords are the placeholders that stand for themselves.
var plainPlaceholders = map[string]segmentKind{
	"body":         segBody,
	"timestamp":    segTimestamp,
	"id":           segID,
	"event_type":   segEventType,
	"method":       segMethod,
	"url":          segURL,
	"url_no_query": segURLNoQuery,
	"uri":          segURI,
	"host":         segHost,
	"hostport":     segHostPort,
	"path":         segPath,
	"query":        segQuery,
	"form_sorted":  segFormSorted,
	"secret":       segSecret,
}

// namedWords are the placeholders that need a name behind a dot.
var namedPlaceholders = map[string]segmentKind{
	"header": segHeader,
	"query":  segQueryParam,
	"json":   segJSON,
	"form":   segFormField,
	"field":  segListItem,
	"func":   segFunc,
}

// caddyWords are Caddy's own spellings, which its Caddyfile adapter puts in
// place of the shorthands; the longest come first.
var caddySpellings = []struct{ prefix, replacement string }{
	{"http.request.orig_uri.query.", "query."},
	{"http.request.uri.query.", "query."},
	{"http.request.orig_uri.query", "query"},
	{"http.request.orig_uri.path", "path"},
	{"http.request.uri.query", "query"},
	{"http.request.uri.path", "path"},
	{"http.request.orig_method", "method"},
	{"http.request.orig_uri", "uri"},
	{"http.request.hostport", "hostport"},
	{"http.request.header.", "header."},
	{"http.request.method", "method"},
	{"http.request.host", "host"},
	{"http.request.body", "body"},
	{"http.request.uri", "uri"},
}

// Placeholders lists the words that a content template knows, for messages and
// documentation.
func Placeholders() []string {
	words := []string{"body_<hash>_<encoding>", "header.<name>", "query.<name>", "json.<path>", "form.<name>", "field.<tag>", "func.<name>"}
	for w := range plainPlaceholders {
		words = append(words, w)
	}
	slices.Sort(words)
	return words
}

// segment is a literal or a placeholder of a template.
type segment struct {
	kind         segmentKind
	text         string // the literal, or the placeholder's name
	path         jsonPath
	hash         crypto.Hash
	encoding     encoding
	function     *contentFunc
	optional     bool // {json.x?}, {body_md5_hex?}: nothing where it is absent
	unrestricted bool // {json.x*}, {json.x?*}: may hold the literals beside it

	// before and after are the literals beside a value of free length. The
	// value may hold neither: what is signed would then read two ways.
	before, after string

	// besideBody: the value meets the body, and may hold none of its brackets
	// nor begin or end with a blank.
	besideBody bool
}

// template is a compiled content.
type template struct {
	segments   []segment
	body       int    // index of {body}, -1 without
	streamable bool   // the body can be hashed while it is read
	usesSecret bool   // the secret stands in it
	formFields bool   // named fields of a form stand for the whole of it
	signed     Signed // what the content covers
	boundaries        // of the body, and what is signed beside them
}

// compileTemplate reads a template. The error points at the word that is wrong.
func compileTemplate(text string) (*template, error) {
	if len(text) > maxContent {
		return nil, fmt.Errorf("it has %d characters; %d are the most", len(text), maxContent)
	}
	t := &template{body: -1}
	literal := func(s string) {
		if n := len(t.segments); n > 0 && t.segments[n-1].kind == segLiteral {
			t.segments[n-1].text += s
		} else if s != "" {
			t.segments = append(t.segments, segment{text: s})
		}
	}
	for i := 0; i < len(text); {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			literal(rest[:1])
			i += 2
		case rest[0] == '\\':
			s, err := unescape(text, i)
			if err != nil {
				return nil, err
			}
			literal(s)
			i += 2
		case rest[0] == '}':
			return nil, fmt.Errorf("%q: the } at column %d closes nothing; write }} for a brace that is signed", text, i+1)
		case rest[0] == '{':
			end := strings.IndexByte(rest, '}')
			if end < 0 {
				return nil, fmt.Errorf("%q: the { at column %d is never closed; write {{ for a brace that is signed", text, i+1)
			}
			seg, err := compilePlaceholder(rest[1:end])
			if err != nil {
				return nil, fmt.Errorf("%q: {%s} at column %d: %w", text, rest[1:end], i+1, err)
			}
			if seg.kind == segBody {
				if t.body >= 0 {
					return nil, fmt.Errorf("%q: {body} at column %d stands there a second time; sign it once", text, i+1)
				}
				t.body = len(t.segments)
			}
			t.segments = append(t.segments, seg)
			i += end + 1
		default:
			n := strings.IndexAny(rest, "{}\\")
			if n < 0 {
				n = len(rest)
			}
			literal(rest[:n])
			i += n
		}
	}
	if len(t.segments) == 0 {
		return nil, fmt.Errorf("it is empty; write what is signed, such as \"{timestamp}.{body}\"")
	}
	t.setDelimiters()
	return t, t.checkUnrestricted(text)
}

func unescape(text string, i int) (string, error) {
	if i+1 < len(text) {
		switch text[i+1] {
		case 'n':
			return "\n", nil
		case 'r':
			return "\r", nil
		case 't':
			return "\t", nil
		case '\\':
			return "\\", nil
		}
	}
	return "", fmt.Errorf("%q: the \\ at column %d starts no escape; the escapes are \\n, \\r, \\t and \\\\", text, i+1)
}

// compileWord reads what stands between two braces.
func compilePlaceholder(name string) (segment, error) {
	name = fromCaddySpelling(name)
	if w, ok := plainPlaceholders[name]; ok {
		return segment{kind: w}, nil
	}
	if rest, ok := strings.CutPrefix(name, "body_"); ok {
		return compileBodyHash(rest)
	}
	kind, rest, dotted := strings.Cut(name, ".")
	w, ok := namedPlaceholders[kind]
	if !ok || !dotted {
		return segment{}, fmt.Errorf("no such placeholder%s; there are {%s}", suggestion(name), strings.Join(Placeholders(), "}, {"))
	}
	return compileNamed(w, rest)
}

// respell is the word for which Caddy has another spelling.
func fromCaddySpelling(name string) string {
	for _, c := range caddySpellings {
		rest, ok := strings.CutPrefix(name, c.prefix)
		if ok && (rest == "" || strings.HasSuffix(c.prefix, ".")) {
			return c.replacement + rest
		}
	}
	return name
}

func compileBodyHash(name string) (segment, error) {
	name, optional := strings.CutSuffix(name, "?")
	hashName, encodingName, _ := strings.Cut(name, "_")
	hash, ok := bodyHashes[hashName]
	if !ok {
		return segment{}, fmt.Errorf("no such hash of the body; there are %s", strings.Join(sortedKeys(bodyHashes), ", "))
	}
	enc, ok := encodings[encodingName]
	if !ok {
		return segment{}, fmt.Errorf("no such encoding of the hash; there are %s", strings.Join(sortedKeys(encodings), ", "))
	}
	return segment{kind: segBodyHash, hash: hash, encoding: enc, optional: optional}, nil
}

func compileNamed(w segmentKind, name string) (segment, error) {
	seg := segment{kind: w}
	name, seg.unrestricted = strings.CutSuffix(name, "*")
	seg.text, seg.optional = strings.CutSuffix(name, "?")
	if seg.text == "" {
		return seg, errors.New("a name is missing behind the dot")
	}
	var err error
	switch w {
	case segHeader:
		err = checkHeader(seg.text)
		seg.text = canonical(seg.text)
	case segJSON:
		seg.path, err = compileJSONPath(seg.text)
	case segFunc:
		var ok bool
		if seg.function, ok = contentFuncs[seg.text]; !ok {
			err = fmt.Errorf("no such function; there are %s", strings.Join(sortedKeys(contentFuncs), ", "))
		}
	}
	return seg, err
}

// has says whether the template holds a word, under this name where it has one.
func (t *template) has(w segmentKind, name string) bool {
	return slices.ContainsFunc(t.segments, func(s segment) bool {
		return s.kind == w && (name == "" || s.text == name)
	})
}

// suggestion names the placeholder that is nearest, when it is near.
func suggestion(name string) string {
	nearest := slices.MinFunc(sortedKeys(plainPlaceholders), func(a, b string) int { return nameDistance(name, a) - nameDistance(name, b) })
	if nameDistance(name, nearest) == noMatch {
		return ""
	}
	return fmt.Sprintf("; did you mean {%s}?", nearest)
}
