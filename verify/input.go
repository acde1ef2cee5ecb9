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

// input is where the values of a content's placeholders come from: a request that is
// verified, or a message that is signed.
type input struct {
	plan     *plan
	method   string
	scheme   string // of the URL
	hostport string
	url      *url.URL // nil to sign contents that don't need it
	path     string   // of the URL, as it was sent
	header   http.Header

	id        string
	eventType string

	body   io.ReaderAt
	size   int64
	hashes [crypto.SHA512 + 1][]byte // of the body, by crypto.Hash

	authenticated bool // the signature is good, so JSON values may be read without validating the body
	holdsSlot     bool // it has one of parseSlots

	// Parsed on first use, nil before.
	raw         []byte // the body
	formPairs   []pair
	queryParams []pair
	document    *jsonDocument // the body, or the field of a form

	buffer [128]byte // for what is hashed or compared at once
}

// headerOnce returns the value of a header that must not be repeated.
func (in *input) headerOnce(name string) (value string, found bool, reason Reason) {
	if name == "Host" {
		return in.url.Host, in.url.Host != "", ""
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

// queryOnce returns the value of a query parameter that must not be repeated.
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

// parseSlots limits how many large bodies are in memory at once. Parsing one takes
// several times its length, and anyone can send one.
var parseSlots = make(chan struct{}, runtime.GOMAXPROCS(0))

// bytes returns the whole body. It may take a parse slot: call releaseSlot in the end.
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

// releaseSlot gives back the parse slot, if bytes has taken one.
func (in *input) releaseSlot() {
	if in.holdsSlot {
		<-parseSlots
	}
}

// readAt fills buf with the body from an offset on, and reports whether it could.
func (in *input) readAt(buf []byte, offset int64) bool {
	n, _ := in.body.ReadAt(buf, offset)
	return n == len(buf)
}

// contentType returns the body's media type.
func (in *input) contentType() string {
	if values := in.header["Content-Type"]; len(values) == 1 {
		return mediaType(values[0])
	}
	return ""
}

// form returns the body's form fields.
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

// json returns the JSON document: the body, or the scheme's JSONField of a form.
func (in *input) json() (*jsonDocument, Reason) {
	if in.document != nil {
		return in.document, ""
	}
	raw, reason := in.jsonBytes()
	if reason != "" {
		return nil, reason
	}
	in.document, reason = parseJSON(raw, in.plan.jsonPaths)
	return in.document, reason
}

func (in *input) jsonBytes() ([]byte, Reason) {
	field := in.plan.scheme.JSONField
	switch media := in.contentType(); {
	case field != "" && media == typeMultipart:
		raw, reason := in.bytes()
		if reason != "" {
			return nil, reason
		}
		return multipartField(in.header["Content-Type"][0], raw, field)
	case field != "" && media == typeForm:
		pairs, reason := in.form()
		if reason != "" {
			return nil, reason
		}
		value, _, reason := lookup(pairs, field)
		return []byte(value), reason
	}
	return in.bytes()
}

// value returns the value at a place. The candidate has the items of its signature's list
// and, where elements are signed separately, the one in which JSON paths start. It may be nil
// for the other places.
func (in *input) value(at place, cand *candidate) (value string, found bool, reason Reason) {
	switch at.in {
	case "header":
		return in.headerOnce(at.name)
	case "query":
		return in.queryOnce(at.name)
	case "field":
		return lookup(cand.items, at.name)
	case "first":
		return cand.firstItem, true, ""
	case "form":
		pairs, reason := in.form()
		if reason != "" {
			return "", false, reason
		}
		return lookup(pairs, at.name)
	case "json":
		return in.jsonValue(at.path, cand.document)
	}
	return "", false, ""
}

func (in *input) jsonValue(path jsonPath, element *jsonDocument) (value string, found bool, reason Reason) {
	if in.authenticated && element == nil && in.document == nil && in.plan.scheme.JSONField == "" {
		return in.scanJSON(path)
	}
	if element == nil {
		if element, reason = in.json(); reason != "" {
			return "", false, reason
		}
	}
	return element.text(path)
}

// scanJSON returns the value at a path in a body whose signature is good. It scans
// the body without holding it in memory.
func (in *input) scanJSON(path jsonPath) (value string, found bool, reason Reason) {
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

// pathAsSent returns a URL's path as its sender wrote it, even if it doesn't escape
// what url.URL.EscapedPath would.
func pathAsSent(u *url.URL) string {
	if u.RawPath != "" {
		if path, err := url.PathUnescape(u.RawPath); err == nil && path == u.Path {
			return u.RawPath
		}
	}
	return u.EscapedPath()
}

// origin returns the URL's scheme and host.
func (in *input) origin() string { return in.scheme + "://" + in.hostport }

// appendURI appends the URL's path and query as the provider wrote them.
func (in *input) appendURI(dst []byte) []byte {
	dst = append(dst, in.path...)
	if in.url.RawQuery != "" || in.url.ForceQuery {
		dst = append(append(dst, '?'), in.url.RawQuery...)
	}
	return dst
}

// otherOrigin returns the origin without its port or, if it has none, with the default
// port of its scheme.
func (in *input) otherOrigin() (origin string, ok bool) {
	if i := strings.LastIndexByte(in.hostport, ':'); i > strings.LastIndexByte(in.hostport, ']') {
		return in.scheme + "://" + in.hostport[:i], true
	}
	port := map[string]string{"https": ":443", "http": ":80"}[in.scheme]
	return in.origin() + port, port != ""
}

// hostname returns the host without its port.
func (in *input) hostname() string {
	u := url.URL{Host: in.hostport}
	return u.Hostname()
}

// appendValue appends a segment's value for a candidate, except that of {body}, which
// callers stream or copy themselves.
func (in *input) appendValue(dst []byte, s *segment, cand *candidate, secret []byte) ([]byte, Reason) {
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
	missing, malformed := ReasonMissingField, ReasonMalformedField
	if s.kind == segID {
		missing, malformed = ReasonMissingID, ReasonMalformedID
	}
	value, found, reason := in.variableValue(s, cand)
	switch {
	case reason != "":
		return dst, reason
	case !found && s.optional:
		return dst, ""
	case !found:
		return dst, missing
	case !s.unrestricted && s.isAmbiguous(value):
		return dst, malformed
	}
	return append(dst, value...), ""
}

// content returns the whole signed content, for a scheme without {secret} in it.
func (in *input) content(cand *candidate) ([]byte, Reason) {
	var content bytes.Buffer
	reason := in.writeContent(&content, cand, nil)
	return content.Bytes(), reason
}

// writeContent writes the whole signed content to a hash or a buffer, whose Write
// never fails.
func (in *input) writeContent(to io.Writer, cand *candidate, secret []byte) Reason {
	for i := range cand.content.segments {
		s := &cand.content.segments[i]
		var part []byte
		var reason Reason
		if s.kind == segBody {
			part, reason = in.bytes()
		} else {
			part, reason = in.appendValue(in.buffer[:0], s, cand, secret)
		}
		if reason != "" {
			return reason
		}
		_, _ = to.Write(part)
	}
	return ""
}

// variableValue returns the value of a segment whose length the sender chooses.
func (in *input) variableValue(s *segment, cand *candidate) (value string, found bool, reason Reason) {
	switch s.kind {
	case segID:
		return in.id, in.id != "", ""
	case segEventType:
		return in.eventType, in.eventType != "", ""
	}
	value, found, reason = in.value(s.at, cand)
	return value, found && (value != "" || s.optional), reason
}
