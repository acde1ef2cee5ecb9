package verify

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// segmentKind is the kind of a segment: a literal or one of the placeholders.
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

// plainPlaceholders are the placeholders without a name.
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

// namedPlaceholders are the placeholders with a name after a dot.
var namedPlaceholders = map[string]segmentKind{
	"header": segHeader,
	"query":  segQueryParam,
	"json":   segJSON,
	"form":   segFormField,
	"field":  segListItem,
	"func":   segFunc,
}

// caddySpellings are Caddy's placeholders, with which its Caddyfile adapter replaces
// shorthands such as {path}. A prefix comes after the longer ones that it begins.
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

// Placeholders returns the placeholders of a content template, sorted, for messages
// and documentation.
func Placeholders() []string {
	words := []string{"body_<hash>_<encoding>", "header.<name>", "query.<name>", "json.<path>", "form.<name>", "field.<tag>", "func.<name>"}
	for word := range plainPlaceholders {
		words = append(words, word)
	}
	slices.Sort(words)
	return words
}

// segment is a literal or a placeholder of a template.
type segment struct {
	kind         segmentKind
	text         string // the literal, or the placeholder's name
	at           place  // where the value is, if it comes from one place
	hash         crypto.Hash
	encoding     encoding
	function     *contentFunc
	optional     bool // {json.x?}, {body_md5_hex?}: empty if the value is absent
	unrestricted bool // {json.x*}, {json.x?*}: may contain its delimiters

	// before and after are the delimiters: the literals next to a value of variable length,
	// or behind values of fixed length. The value must not contain them, or it would be
	// unclear where it ends.
	before, after string

	// besideBody: no literal separates the value from the body. The value must not
	// contain brackets or quotes, nor begin or end with white space.
	besideBody bool
}

// template is a compiled content.
type template struct {
	segments   []segment
	body       int    // index of {body}, or -1
	streamable bool   // the body can be hashed while it is read
	usesSecret bool   // {secret} is in it
	formFields bool   // the body is covered by naming each field of a form
	signed     Signed // what the content covers
	boundaries        // of the body
}

// compileTemplate parses a template. An error gives the column.
func compileTemplate(text string) (*template, error) {
	if len(text) > maxContent {
		return nil, fmt.Errorf("it has %d bytes; at most %d are allowed", len(text), maxContent)
	}
	t := &template{body: -1}
	for i := 0; i < len(text); {
		rest := text[i:]
		if literal, ok := escapes[rest[:min(2, len(rest))]]; ok {
			t.addLiteral(literal)
			i += 2
			continue
		}
		switch rest[0] {
		case '\\':
			return nil, fmt.Errorf("%q: the \\ at column %d starts no escape; the escapes are \\n, \\r, \\t and \\\\", text, i+1)
		case '}':
			return nil, fmt.Errorf("%q: the } at column %d closes nothing; write }} for a brace that is signed", text, i+1)
		case '{':
			name, _, ok := strings.Cut(rest[1:], "}")
			if !ok {
				return nil, fmt.Errorf("%q: the { at column %d is never closed; write {{ for a brace that is signed", text, i+1)
			}
			if err := t.addPlaceholder(name); err != nil {
				return nil, fmt.Errorf("%q: {%s} at column %d: %w", text, name, i+1, err)
			}
			i += len(name) + len("{}")
		default:
			n := strings.IndexAny(rest, `{}\`)
			if n < 0 {
				n = len(rest)
			}
			t.addLiteral(rest[:n])
			i += n
		}
	}
	if len(t.segments) == 0 {
		return nil, errors.New("it is empty; write what is signed, such as \"{timestamp}.{body}\"")
	}
	return t, nil
}

// escapes are what a template writes for characters with another meaning.
var escapes = map[string]string{"{{": "{", "}}": "}", `\n`: "\n", `\r`: "\r", `\t`: "\t", `\\`: `\`}

// addLiteral adds a literal, or extends the one before.
func (t *template) addLiteral(text string) {
	if n := len(t.segments); n > 0 && t.segments[n-1].kind == segLiteral {
		t.segments[n-1].text += text
	} else {
		t.segments = append(t.segments, segment{text: text})
	}
}

// addPlaceholder adds the placeholder with the name between two braces.
func (t *template) addPlaceholder(name string) error {
	seg, err := compilePlaceholder(name)
	if err != nil {
		return err
	}
	if seg.kind == segBody {
		if t.body >= 0 {
			return errors.New("it is there a second time; sign it once")
		}
		t.body = len(t.segments)
	}
	t.segments = append(t.segments, seg)
	return nil
}

// compilePlaceholder parses what is between two braces.
func compilePlaceholder(name string) (segment, error) {
	name = fromCaddySpelling(name)
	if kind, ok := plainPlaceholders[name]; ok {
		return segment{kind: kind}, nil
	}
	if rest, ok := strings.CutPrefix(name, "body_"); ok {
		return compileBodyHash(rest)
	}
	prefix, rest, dotted := strings.Cut(name, ".")
	kind, ok := namedPlaceholders[prefix]
	if !ok || !dotted {
		return segment{}, fmt.Errorf("no such placeholder%s; there are {%s}", suggestion(name), strings.Join(Placeholders(), "}, {"))
	}
	return compileNamed(kind, prefix, rest)
}

// fromCaddySpelling replaces Caddy's name of a placeholder with ours.
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

func compileNamed(kind segmentKind, in, name string) (segment, error) {
	seg := segment{kind: kind}
	name, seg.unrestricted = strings.CutSuffix(name, "*")
	seg.text, seg.optional = strings.CutSuffix(name, "?")
	if seg.text == "" {
		return seg, errors.New("a name is missing after the dot")
	}
	var err error
	switch kind {
	case segListItem:
		seg.at = place{in: in, name: seg.text}
	case segFunc:
		var ok bool
		if seg.function, ok = contentFuncs[seg.text]; !ok {
			err = fmt.Errorf("no such function; there are %s", strings.Join(sortedKeys(contentFuncs), ", "))
		}
	default:
		seg.at, err = compilePlace(in, seg.text, "")
		seg.text = seg.at.name
	}
	return seg, err
}

// has reports whether the template has a segment of this kind and, unless name is
// empty, with this name.
func (t *template) has(kind segmentKind, name string) bool {
	return slices.ContainsFunc(t.segments, func(s segment) bool {
		return s.kind == kind && (name == "" || s.text == name)
	})
}

// suggestion returns a hint to the most similar placeholder, if there is one.
func suggestion(name string) string {
	nearest := slices.MinFunc(sortedKeys(plainPlaceholders), func(a, b string) int { return nameDistance(name, a) - nameDistance(name, b) })
	if nameDistance(name, nearest) == noMatch {
		return ""
	}
	return fmt.Sprintf("; did you mean {%s}?", nearest)
}
