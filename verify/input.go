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

	authenticated bool // the body is proven: its grammar needs no proof any more
	holdsSlot     bool // it has a place in parsing

	// What was read of it, nil before.
	raw         []byte       // the body
	formPairs   []pair       // of the body
	queryParams []pair       // of the query
	document    jsonDocument // that the body is or holds
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
	if in.queryParams == nil {
		params, ok := parsePairs(in.url.RawQuery)
		if !ok {
			return "", false, ReasonMalformedField
		}
		in.queryParams = params
	}
	return lookup(in.queryParams, name)
}

// parsing has room for those who have a large body in memory. It takes several times
// its length there, and anybody may send one.
var parseSlots = make(chan struct{}, runtime.GOMAXPROCS(0))

// bytes are the whole body. Who may have asked for them calls done.
func (in *input) bytes() ([]byte, Reason) {
	if in.raw != nil {
		return in.raw, ""
	}
	if in.size > maxParsedBody {
		return nil, ReasonBodyTooLarge
	}
	if in.size > largeBody && !in.holdsSlot {
		parseSlots <- struct{}{}
		in.holdsSlot = true
	}
	raw := make([]byte, in.size)
	if in.size > 0 && !in.readAt(raw, 0) {
		return nil, ReasonUnreadableBody
	}
	in.raw = raw
	return raw, ""
}

// done is for when nothing of the body is needed any more.
func (in *input) releaseSlot() {
	if in.holdsSlot {
		<-parseSlots
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
	if in.formPairs != nil {
		return in.formPairs, ""
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
	in.formPairs = pairs
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

// value is what stands at a place. The element is the one that a candidate is about.
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
	if in.authenticated && element == nil && in.document == nil && in.plan.scheme.JSONField == "" {
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

// append appends what a segment stands for in a candidate. {body} itself is not
// among them: it is streamed or copied by whoever calls.
func (in *input) append(dst []byte, s *segment, cand *candidate, secret []byte) ([]byte, Reason) {
	switch s.kind {
	case segLiteral:
		return append(dst, s.text...), ""
	case segBodyHash:
		if s.optional && in.size == 0 {
			return dst, ""
		}
		return s.encoding.append(dst, in.hashes[s.hash]), ""
	case segTimestamp:
		return append(dst, cand.timestamp...), ""
	case segMethod:
		return append(dst, in.method...), ""
	case segURL:
		return in.appendURI(append(dst, cand.origin...)), ""
	case segURLNoQuery:
		return append(append(dst, cand.origin...), in.path...), ""
	case segURI:
		return in.appendURI(dst), ""
	case segHost:
		return append(dst, in.hostname()...), ""
	case segHostPort:
		return append(dst, in.hostport...), ""
	case segPath:
		return append(dst, in.path...), ""
	case segQuery:
		return append(dst, in.url.RawQuery...), ""
	case segSecret:
		return append(dst, secret...), ""
	case segFormSorted:
		pairs, reason := in.form()
		if reason != "" {
			return dst, reason
		}
		return appendSorted(dst, pairs, "", "")
	case segFunc:
		return s.function.content(in, cand, dst)
	}
	value, found, reason := in.variableValue(s, cand)
	switch {
	case reason != "":
		return dst, reason
	case !found && s.optional:
		return dst, ""
	case !found && s.kind == segID:
		return dst, ReasonMissingID
	case !found:
		return dst, ReasonMissingField
	case !s.unrestricted && s.isAmbiguous(value) && s.kind == segID:
		return dst, ReasonMalformedID
	case !s.unrestricted && s.isAmbiguous(value):
		return dst, ReasonMalformedField
	}
	return append(dst, value...), ""
}

// content is the whole of what is signed, for a scheme that signs no secret.
func (in *input) content(cand *candidate) ([]byte, Reason) {
	var content bytes.Buffer
	reason := in.writeContent(&content, cand, nil)
	return content.Bytes(), reason
}

// writeContent writes the whole of what is signed to a hash or a buffer, which take
// all.
func (in *input) writeContent(to io.Writer, cand *candidate, secret []byte) Reason {
	var buffer [128]byte
	for i := range cand.content.segments {
		s := &cand.content.segments[i]
		var part []byte
		var reason Reason
		if s.kind == segBody {
			part, reason = in.bytes()
		} else {
			part, reason = in.append(buffer[:0], s, cand, secret)
		}
		if reason != "" {
			return reason
		}
		_, _ = to.Write(part)
	}
	return ""
}

// free is the value of a segment whose length the sender chooses.
func (in *input) variableValue(s *segment, cand *candidate) (value string, found bool, reason Reason) {
	switch s.kind {
	case segID:
		return in.id, in.id != "", ""
	case segEventType:
		return in.eventType, in.eventType != "", ""
	case segHeader:
		value, found, reason = in.headerOnce(s.text)
	case segQueryParam:
		value, found, reason = in.queryOnce(s.text)
	case segFormField:
		value, found, reason = in.value(place{in: "form", name: s.text}, nil)
	case segJSON:
		value, found, reason = in.jsonValue(s.path, cand.document)
	case segListItem:
		value, found, reason = lookup(cand.items, s.text)
	}
	return value, found && (value != "" || s.optional), reason
}
