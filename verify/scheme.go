package verify

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Scheme is a signature scheme as data: where the signature stands and in what
// wrapping, what is signed and with which algorithm and key, and where the
// time, the id and the event type stand. The same row verifies and signs.
//
// The zero values are the usual case: HMAC, SHA-256, hexadecimal, the secret's
// text as the key, the body alone as the signed content. A row says only where
// it differs.
type Scheme struct {
	// Name is the row's slug: lower case, words joined by a hyphen.
	Name string `json:"name,omitempty"`

	// Aliases are other names under which Lookup finds the row.
	Aliases []string `json:"aliases,omitempty"`

	// Title is the provider's name as people write it.
	Title string `json:"title,omitempty"`

	// Source is where the row's facts come from: the address of a page, or
	// repository and file of the provider's own code.
	Source string `json:"source,omitempty"`

	// Unconfirmed marks a row that no primary source backs.
	Unconfirmed bool `json:"unconfirmed,omitempty"`

	// Notes are quirks that a user should know, in one or two sentences.
	Notes string `json:"notes,omitempty"`

	// Signature is where the signature stands, and how it is wrapped.
	Signature Signature `json:"signature,omitzero"`

	// HeaderPrefixes are the beginnings that the headers' names may have. The row
	// writes the first one; where no signature stands under it, all are looked
	// for with the next.
	HeaderPrefixes []string `json:"header_prefixes,omitempty"`

	// Construction is how content and key make the signature: "hmac" (the
	// default), "ed25519" (the receiver needs the public key only), "hash" (the
	// plain digest of a content in which {secret} stands) or "token" (the secret
	// itself is sent, and nothing is signed).
	Construction string `json:"construction,omitempty"`

	// Algorithm is the hash: sha1, sha256 (the default), sha384 or sha512. It is
	// never taken from a request.
	Algorithm string `json:"algorithm,omitempty"`

	// Key is how a configured secret becomes the key: "text" (the default: its
	// bytes as they are), "hex", "base64", "whsec" (an optional "whsec_" is
	// dropped and the rest is base64), "sha1" or "sha256" (the digest of the text)
	// or, for Ed25519 alone, "ed25519" ("whpk_" or "whsk_" and base64).
	Key string `json:"key,omitempty"`

	// Content is the template of what is signed, "{body}" by default. See
	// Placeholders for the words it knows.
	Content string `json:"content,omitempty"`

	// FormContent replaces Content when the body is an urlencoded form.
	FormContent string `json:"form_content,omitempty"`

	// Timestamp is where the time stands. A time that Content does not cover
	// proves nothing, and Validate refuses it.
	Timestamp Timestamp `json:"timestamp,omitzero"`

	// ID is where the delivery's id stands.
	ID Field `json:"id,omitzero"`

	// EventType is where the event type stands.
	EventType Field `json:"event_type,omitzero"`

	// Handshake names the function that answers the provider's handshake.
	Handshake string `json:"handshake,omitempty"`

	// JSONField is the field of a form, urlencoded or multipart, in which the
	// JSON document stands that {json.…} and the JSON sources read. A body of
	// another type is the document itself.
	JSONField string `json:"json_field,omitempty"`

	// BodyDigest is a query parameter that holds the body's SHA-256 in
	// hexadecimal; the content must cover the URL. Where it is present it binds
	// the body, and FormContent is not used.
	BodyDigest string `json:"body_digest,omitempty"`

	// DefaultPort set to "either" accepts the signed URL both with and without
	// its port; where it has none, with its scheme's default one.
	DefaultPort string `json:"default_port,omitempty"`

	// UnboundBody allows a content that does not cover the whole body. What is
	// not covered can be changed by whoever stands in between.
	UnboundBody bool `json:"unbound_body,omitempty"`

	// StatusCode is the status of a refused signature where the provider needs
	// another one than 401. It is never 410, which tells some senders to stop
	// for good.
	StatusCode int `json:"status_code,omitempty"`

	// Acknowledge is how an event is acknowledged, where the provider doesn't
	// take every 2xx for success. It is for whoever answers in the app's place.
	Acknowledge Acknowledge `json:"acknowledge,omitzero"`

	// ContentTypes are the media types that are accepted; others get 415. Empty
	// accepts every one.
	ContentTypes []string `json:"content_types,omitempty"`
}

// Signature says where a signature stands, and in what wrapping.
type Signature struct {
	// In is where the signature stands: "header" (the default), "query", "json"
	// or "form".
	In string `json:"in,omitempty"`

	// Name is the header's, parameter's or field's name; for JSON a path such
	// as "signature.value".
	Name string `json:"name,omitempty"`

	// Names are several headers, each with a signature of its own. Any of them
	// may match, and at least one must be there. They replace Name.
	Names []string `json:"names,omitempty"`

	// Numbered makes Name a prefix, followed by 1, 2, … 100: a header a key.
	Numbered bool `json:"numbered,omitempty"`

	// Repeated lets the header stand several times, each with a signature of its
	// own. Any of them may match.
	Repeated bool `json:"repeated,omitempty"`

	// Each is the JSON path of an array each of whose elements is signed on its
	// own: Name and the {json.…} of Content are relative to the element, and
	// every element must verify.
	Each string `json:"each,omitempty"`

	// Prefix is what must open the value, such as "sha256=".
	Prefix string `json:"prefix,omitempty"`

	// Separator splits the value into a list; blanks around the items are
	// dropped. Empty: the value is one signature.
	Separator string `json:"separator,omitempty"`

	// Groups splits the value into several whole lists, each with its own time.
	Groups string `json:"groups,omitempty"`

	// Tags are the names of the list's items that hold a signature, as in
	// "v1=…". With several, the first one that is present counts alone, so the
	// strongest comes first. Items with other tags are ignored.
	Tags []string `json:"tags,omitempty"`

	// TagContents are the contents of tags that sign something else than
	// Content does.
	TagContents map[string]string `json:"tag_contents,omitempty"`

	// Assign stands between a tag and its value: "=" by default.
	Assign string `json:"assign,omitempty"`

	// Encoding is hex (the default, either case), base64, base64_raw (without
	// padding), base64url or base64url_raw.
	Encoding string `json:"encoding,omitempty"`
}

// Acknowledge is an answer that a provider takes for success.
type Acknowledge struct {
	// Status is 200 to 299.
	Status int `json:"status,omitempty"`

	// Body is plain text; empty, there is no body.
	Body string `json:"body,omitempty"`
}

// Timestamp says where the time of signing stands, and how far it may be off.
type Timestamp struct {
	// In is where the time stands: "header", "field" (an item of the signature's
	// list), "first" (the list's first item), "query", "json" or "form".
	In string `json:"in,omitempty"`

	// Name is the header's, item's, parameter's or field's name; for JSON a path.
	Name string `json:"name,omitempty"`

	// Format is unix (the default: ten digits of seconds), unix_ms (thirteen
	// digits), unix_or_ms, rfc3339 or http_date.
	Format string `json:"format,omitempty"`

	// Past is how old a message may be: 5 minutes by default; negative: any age.
	Past Duration `json:"past,omitempty"`

	// Future is how far ahead of our clock a message may be: as Past by default;
	// negative: any.
	Future Duration `json:"future,omitempty"`

	// Optional lets a message pass that has no time. It is safe only where the
	// signature covers the place in which the time would stand.
	Optional bool `json:"optional,omitempty"`
}

// Field says where a value stands.
type Field struct {
	// In is "header", "query", "json" or "form".
	In string `json:"in,omitempty"`

	// Name is the header's, parameter's or field's name; for JSON a path such
	// as "data.0.id".
	Name string `json:"name,omitempty"`

	// Pattern is a regular expression that the whole value must match. It keeps
	// an id apart from a body that is signed right beside it.
	Pattern string `json:"pattern,omitempty"`
}

// Duration is a time.Duration that JSON writes as "5m0s" and reads from that,
// with days too ("1d12h"), or from nanoseconds.
type Duration time.Duration

var days = regexp.MustCompile(`[0-9.]+d`)

// MarshalJSON writes the duration as a string.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// UnmarshalJSON reads a duration string or a number of nanoseconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var n int64
	if err := json.Unmarshal(b, &n); err == nil {
		*d = Duration(n)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("reading a duration: want a string such as \"5m\" or nanoseconds, not %s", b)
	}
	v, err := time.ParseDuration(days.ReplaceAllStringFunc(s, func(n string) string {
		f, err := strconv.ParseFloat(strings.TrimSuffix(n, "d"), 64)
		if err != nil {
			return n // for time.ParseDuration to refuse
		}
		return strconv.FormatFloat(24*f, 'f', -1, 64) + "h"
	}))
	if err != nil {
		return fmt.Errorf("reading a duration: %w; write it as 5m, 1h30m or 2d", err)
	}
	*d = Duration(v)
	return nil
}

// Merge returns the scheme with every field that is set in over. Lists and maps
// are replaced as a whole; Name and Names of the signature replace each other,
// and the prefixes of what they were.
func (s Scheme) Merge(over Scheme) Scheme {
	switch {
	case over.Signature.Name != "" && over.Signature.Names == nil:
		s.Signature.Names, s.HeaderPrefixes = nil, nil
	case over.Signature.Names != nil && over.Signature.Name == "":
		s.Signature.Name, s.HeaderPrefixes = "", nil
	}
	merge(reflect.ValueOf(&s).Elem(), reflect.ValueOf(over))
	return s
}

func merge(base, over reflect.Value) {
	for i := range over.NumField() {
		field := over.Field(i)
		switch {
		case field.Kind() == reflect.Struct:
			merge(base.Field(i), field)
		case !field.IsZero():
			base.Field(i).Set(field)
		}
	}
}
