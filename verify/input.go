package verify

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
)

// input is what a content's words stand for: a request that is judged, or a
// message that is signed.
type input struct {
	plan     *plan
	method   string
	scheme   string // of the URL
	hostport string
	url      *url.URL
	path     string // the URL's, as it is on the wire
	header   http.Header
	host     string // as received, which {header.Host} stands for

	id        string
	eventType string

	body   io.ReaderAt
	size   int64
	hashes [crypto.SHA512 + 1][]byte // of the body, by crypto.Hash

	trusted bool // the body is proven: its grammar needs no proof any more
	parses  bool // it has a place in parsing

	// What was read of it, nil before.
	raw      []byte       // the body
	pairs    []pair       // of the body
	params   []pair       // of the query
	document jsonDocument // that the body is or holds
}

// headerOnce is a header that must not be repeated.
func (in *input) headerOnce(name string) (value string, found bool, reason Reason) {
	if name == "Host" {
		return in.host, in.host != "", ""
	}
	values := in.header[name]
	switch len(values) {
	case 0:
		return "", false, ""
	case 1:
		return values[0], true, ""
	}
	return "", false, ReasonRepeatedHeader
}

// queryOnce is a parameter of the URL's query that must not be repeated.
func (in *input) queryOnce(name string) (value string, found bool, reason Reason) {
	if in.params == nil {
		params, ok := parsePairs(in.url.RawQuery)
		if !ok {
			return "", false, ReasonMalformedField
		}
		in.params = params
	}
	return lookup(in.params, name)
}

// parsing has room for those who have a large body in memory. It takes several times
// its length there, and anybody may send one.
var parsing = make(chan struct{}, runtime.GOMAXPROCS(0))

// bytes are the whole body. Who may have asked for them calls done.
func (in *input) bytes() ([]byte, Reason) {
	if in.raw != nil {
		return in.raw, ""
	}
	if in.size > maxParsedBody {
		return nil, ReasonBodyTooLarge
	}
	if in.size > largeBody && !in.parses {
		parsing <- struct{}{}
		in.parses = true
	}
	raw := make([]byte, in.size)
	if in.size > 0 && !in.readAt(raw, 0) {
		return nil, ReasonUnreadableBody
	}
	in.raw = raw
	return raw, ""
}

// done is for when nothing of the body is needed any more.
func (in *input) done() {
	if in.parses {
		<-parsing
	}
}

// readAt fills room with the body from an offset on.
func (in *input) readAt(room []byte, offset int64) bool {
	n, _ := in.body.ReadAt(room, offset)
	return n == len(room)
}

// contentType is the body's media type.
func (in *input) contentType() string {
	if values := in.header["Content-Type"]; len(values) == 1 {
		return mediaType(values[0])
	}
	return ""
}

// form are the body's fields.
func (in *input) form() ([]pair, Reason) {
	if in.pairs != nil {
		return in.pairs, ""
	}
	raw, reason := in.bytes()
	if reason != "" {
		return nil, reason
	}
	if len(raw) > 0 && in.contentType() != typeForm {
		return nil, ReasonUnsupportedContentType
	}
	pairs, ok := parsePairs(string(raw))
	if !ok {
		return nil, ReasonMalformedBody
	}
	in.pairs = pairs
	return pairs, ""
}

// json is the JSON document that the body is or holds.
func (in *input) json() (jsonDocument, Reason) {
	if in.document != nil {
		return in.document, ""
	}
	raw, reason := in.bytes()
	if reason != "" {
		return nil, reason
	}
	if field := in.plan.scheme.JSONField; field != "" {
		switch in.contentType() {
		case typeMultipart:
			raw, reason = multipartField(in.header["Content-Type"][0], raw, field)
		case typeForm:
			var pairs []pair
			if pairs, reason = in.form(); reason == "" {
				var value string
				value, _, reason = lookup(pairs, field)
				raw = []byte(value)
			}
		}
		if reason != "" {
			return nil, reason
		}
	}
	in.document, reason = parseJSON(raw)
	return in.document, reason
}

// value is what stands at a place. The element is the one that a lane is about.
func (in *input) value(at place, element jsonDocument) (value string, found bool, reason Reason) {
	switch at.in {
	case "header":
		return in.headerOnce(at.name)
	case "query":
		return in.queryOnce(at.name)
	case "form":
		pairs, reason := in.form()
		if reason != "" {
			return "", false, reason
		}
		return lookup(pairs, at.name)
	case "json":
		return in.jsonValue(at.path, element)
	}
	return "", false, ""
}

func (in *input) jsonValue(path jsonPath, element jsonDocument) (value string, found bool, reason Reason) {
	if in.trusted && element == nil && in.document == nil && in.plan.scheme.JSONField == "" {
		return in.provenJSON(path)
	}
	if element == nil {
		if element, reason = in.json(); reason != "" {
			return "", false, reason
		}
	}
	return element.text(path)
}

// provenJSON is a value of a body that is signed as a whole: it is looked for
// without holding the body.
func (in *input) provenJSON(path jsonPath) (value string, found bool, reason Reason) {
	var spans [1]jsonSpan
	err := findJSON(in.body, in.size, []jsonPath{path}, spans[:], true)
	switch {
	case spans[0].repeated:
		return "", false, ReasonRepeatedField
	case errors.Is(err, errJSON):
		return "", false, ReasonMalformedBody
	case err != nil:
		return "", false, ReasonUnreadableBody
	case !spans[0].found:
		return "", false, ""
	}
	value, reason = readJSONText(in.body, spans[0])
	return value, reason == "", reason
}

// pathAsSent is a URL's path as its sender wrote it, also where that left unescaped
// what others escape.
func pathAsSent(u *url.URL) string {
	if u.RawPath != "" {
		if path, err := url.PathUnescape(u.RawPath); err == nil && path == u.Path {
			return u.RawPath
		}
	}
	return u.EscapedPath()
}

// origin is the URL's scheme and host.
func (in *input) origin() string { return in.scheme + "://" + in.hostport }

// appendURI appends the URL's path and query as the provider wrote them.
func (in *input) appendURI(dst []byte) []byte {
	dst = append(dst, in.path...)
	if in.url.RawQuery != "" || in.url.ForceQuery {
		dst = append(append(dst, '?'), in.url.RawQuery...)
	}
	return dst
}

// otherOrigin is the origin without its port, or with its default port where it
// has none.
func (in *input) otherOrigin() (origin string, ok bool) {
	if i := strings.LastIndexByte(in.hostport, ':'); i > strings.LastIndexByte(in.hostport, ']') {
		return in.scheme + "://" + in.hostport[:i], true
	}
	port := map[string]string{"https": ":443", "http": ":80"}[in.scheme]
	return in.origin() + port, port != ""
}

// hostname is the host without its port.
func (in *input) hostname() string {
	u := url.URL{Host: in.hostport}
	return u.Hostname()
}

// append appends what a segment stands for in a lane. {body} itself is not
// among them: it is streamed or copied by whoever calls.
func (in *input) append(dst []byte, s *segment, l *lane, secret []byte) ([]byte, Reason) {
	switch s.word {
	case wordLiteral:
		return append(dst, s.text...), ""
	case wordBodyHash:
		if s.optional && in.size == 0 {
			return dst, ""
		}
		return s.encoding.append(dst, in.hashes[s.hash]), ""
	case wordTimestamp:
		return append(dst, l.timestamp...), ""
	case wordMethod:
		return append(dst, in.method...), ""
	case wordURL:
		return in.appendURI(append(dst, l.origin...)), ""
	case wordURLNoQuery:
		return append(append(dst, l.origin...), in.path...), ""
	case wordURI:
		return in.appendURI(dst), ""
	case wordHost:
		return append(dst, in.hostname()...), ""
	case wordHostPort:
		return append(dst, in.hostport...), ""
	case wordPath:
		return append(dst, in.path...), ""
	case wordQuery:
		return append(dst, in.url.RawQuery...), ""
	case wordSecret:
		return append(dst, secret...), ""
	case wordFormSorted:
		pairs, reason := in.form()
		if reason != "" {
			return dst, reason
		}
		return appendSorted(dst, pairs, "", "")
	case wordFunc:
		return s.function.content(in, l, dst)
	}
	value, found, reason := in.free(s, l)
	switch {
	case reason != "":
		return dst, reason
	case !found && s.optional:
		return dst, ""
	case !found && s.word == wordID:
		return dst, ReasonMissingID
	case !found:
		return dst, ReasonMissingField
	case !s.wild && s.blurs(value) && s.word == wordID:
		return dst, ReasonMalformedID
	case !s.wild && s.blurs(value):
		return dst, ReasonMalformedField
	}
	return append(dst, value...), ""
}

// content is the whole of what is signed, for a scheme that signs no secret.
func (in *input) content(l *lane) ([]byte, Reason) {
	var content bytes.Buffer
	reason := in.writeContent(&content, l, nil)
	return content.Bytes(), reason
}

// writeContent writes the whole of what is signed to a hash or a buffer, which take
// all.
func (in *input) writeContent(to io.Writer, l *lane, secret []byte) Reason {
	var buffer [128]byte
	for i := range l.content.segments {
		s := &l.content.segments[i]
		var part []byte
		var reason Reason
		if s.word == wordBody {
			part, reason = in.bytes()
		} else {
			part, reason = in.append(buffer[:0], s, l, secret)
		}
		if reason != "" {
			return reason
		}
		_, _ = to.Write(part)
	}
	return ""
}

// free is the value of a segment whose length the sender chooses.
func (in *input) free(s *segment, l *lane) (value string, found bool, reason Reason) {
	switch s.word {
	case wordID:
		return in.id, in.id != "", ""
	case wordEventType:
		return in.eventType, in.eventType != "", ""
	case wordHeaderOf:
		value, found, reason = in.headerOnce(s.text)
	case wordQueryOf:
		value, found, reason = in.queryOnce(s.text)
	case wordFormOf:
		value, found, reason = in.value(place{in: "form", name: s.text}, nil)
	case wordJSONOf:
		value, found, reason = in.jsonValue(s.path, l.document)
	case wordFieldOf:
		value, found, reason = lookup(l.items, s.text)
	}
	return value, found && (value != "" || s.optional), reason
}
