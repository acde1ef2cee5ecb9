package verify

import "reflect"

// Scheme is a signature scheme as data: where the signature is and how it is
// formatted, what is signed and with which algorithm and key, and where the
// timestamp, the id and the event type are. The same scheme verifies and signs.
//
// The zero values are the common case: an HMAC-SHA256 of the body, in
// hexadecimal, keyed with the text of the secret. A scheme only sets what differs.
type Scheme struct {
	// Name is the name of the scheme: lower case, with hyphens between words.
	Name string `json:"name,omitempty"`

	// Aliases are other names under which Lookup finds the scheme.
	Aliases []string `json:"aliases,omitempty"`

	// Title is the provider's name as people write it.
	Title string `json:"title,omitempty"`

	// Source is where the facts about the scheme come from: the URL of a page, or
	// the repository and file of the provider's own code.
	Source string `json:"source,omitempty"`

	// Unconfirmed marks a scheme without a primary source.
	Unconfirmed bool `json:"unconfirmed,omitempty"`

	// Notes are quirks that a user should know about, in a few sentences of Markdown.
	Notes string `json:"notes,omitempty"`

	// Signature is where the signature is, and how it is formatted.
	Signature Signature `json:"signature,omitzero"`

	// HeaderPrefixes are the prefixes that the names of the headers may have. The
	// header names of the scheme are written with the first one. If a request has no
	// signature under that prefix, all headers are looked up with the next one.
	HeaderPrefixes []string `json:"header_prefixes,omitempty"`

	// Construction is how the signature is made from the content and the key:
	// "hmac" (the default), "ed25519", "ecdsa" or "rsa" (the receiver only needs the
	// public key; RSA is PKCS #1 v1.5), "hash" (a plain hash of a content that
	// includes {secret}) or "token" (the secret itself is sent, and nothing is
	// signed).
	Construction string `json:"construction,omitempty"`

	// Algorithm is the hash: sha1, sha256 (the default), sha384 or sha512. It is
	// never taken from a request.
	Algorithm string `json:"algorithm,omitempty"`

	// Key is how the key is made from a configured secret: "text" (the default:
	// its bytes), "hex", "base64", "whsec" (base64 after an optional "whsec_"),
	// "text_or_hex" or "text_or_whsec" (the bytes of the text, and when verifying
	// also what the text decodes to), "sha1" or "sha256" (the hash of the text). For
	// Ed25519 it is "ed25519" ("whpk_" or "whsk_" and base64), "hex" or "base64", and
	// for any key pair "pem" (with or without its first and last line).
	Key string `json:"key,omitempty"`

	// Content is the template of what is signed, "{body}" by default. docs/verify.md
	// lists its placeholders.
	Content string `json:"content,omitempty"`

	// FormContent replaces Content if the body is a URL-encoded form.
	FormContent string `json:"form_content,omitempty"`

	// Timestamp is where the timestamp is. Content must cover it, since an unsigned
	// timestamp proves nothing.
	Timestamp Timestamp `json:"timestamp,omitzero"`

	// ID is where the delivery id is.
	ID Field `json:"id,omitzero"`

	// EventType is where the event type is.
	EventType Field `json:"event_type,omitzero"`

	// Handshake names the function that answers the provider's handshake.
	Handshake string `json:"handshake,omitempty"`

	// JSONField is the form field with the JSON document, for senders that wrap it
	// in a URL-encoded or multipart form. {json.…} and values that are in "json" are
	// read from that document. A body of another type is the document itself.
	JSONField string `json:"json_field,omitempty"`

	// BodyDigest is a query parameter with the SHA-256 of the body in hexadecimal;
	// the content must cover the URL. If the parameter is present, the signature
	// covers the body through it, and FormContent is not used.
	BodyDigest string `json:"body_digest,omitempty"`

	// DefaultPort, if set to "either", accepts a signature over the URL with or
	// without its port. A URL without a port is also tried with the default port of
	// its scheme.
	DefaultPort string `json:"default_port,omitempty"`

	// UnboundBody allows a content that does not cover the whole body. The parts that
	// are not covered can be changed on the way.
	UnboundBody bool `json:"unbound_body,omitempty"`

	// StatusCode is the HTTP status of refusals, if the provider needs one other
	// than 401. It can't be 410, which makes some senders stop for good.
	StatusCode int `json:"status_code,omitempty"`

	// Acknowledge is the response that tells the provider that an event was accepted,
	// if it doesn't treat every 2xx status as success. It is for responses that are
	// made in place of the app.
	Acknowledge Acknowledge `json:"acknowledge,omitzero"`

	// ContentTypes are the accepted media types; others get 415. If empty, all are
	// accepted.
	ContentTypes []string `json:"content_types,omitempty"`

	// Sent are the headers that a provider writes in its own way or adds, and that its
	// receivers rely on, by name. {timestamp} and {signature} stand for those of the
	// message, {rfc3339} for the time when it is signed. Signing sets these headers, in
	// place of others; verifying ignores them.
	// Only rows have them.
	Sent map[string]string `json:"-"`
}

// Signature is where a signature is, and how it is formatted.
type Signature struct {
	// In is where the signature is: "header" (the default), "query", "json" or
	// "form".
	In string `json:"in,omitempty"`

	// Name is the name of the header, parameter or field; for JSON, a path such as
	// "signature.value".
	Name string `json:"name,omitempty"`

	// Names are several headers, each with its own signature. One match is enough,
	// and at least one of the headers must be present. They replace Name.
	Names []string `json:"names,omitempty"`

	// Numbered makes Name a prefix that a number from 1 to 100 follows: one header
	// for each key.
	Numbered bool `json:"numbered,omitempty"`

	// Repeated allows the header to occur several times, each with its own
	// signature. One match is enough.
	Repeated bool `json:"repeated,omitempty"`

	// Each is the JSON path of an array whose elements are signed separately. Name,
	// {json.…} in Content and the timestamp's Name are relative to the element. Every
	// element must verify.
	Each string `json:"each,omitempty"`

	// Prefix is what the value must start with, such as "sha256=".
	Prefix string `json:"prefix,omitempty"`

	// Separator splits the value into a list; spaces around the items are dropped.
	// If empty, the value is a single signature.
	Separator string `json:"separator,omitempty"`

	// Single says that receivers read only one signature of a list. Signing then uses
	// only the first secret. Verifying accepts a list with several all the same.
	Single bool `json:"single,omitempty"`

	// Groups splits the value into several lists, each with its own timestamp.
	Groups string `json:"groups,omitempty"`

	// Tags are the names of the list items that have a signature, as in "v1=…". If
	// a list has several, only the first one that is present counts, so name the
	// strongest first. Items with other tags are ignored. ["*"] accepts any tag.
	Tags []string `json:"tags,omitempty"`

	// TagContents are the templates of tags that sign something other than Content.
	TagContents map[string]string `json:"tag_contents,omitempty"`

	// Assign separates a tag from its value: "=" by default.
	Assign string `json:"assign,omitempty"`

	// Encoding is hex (the default, either case), base64, base64_raw (without
	// padding), base64url or base64url_raw.
	Encoding string `json:"encoding,omitempty"`
}

// Acknowledge is the response that a provider treats as success.
type Acknowledge struct {
	// Status is the status code, from 200 to 299.
	Status int `json:"status,omitempty"`

	// Body is the response body, in plain text. If empty, there is none.
	Body string `json:"body,omitempty"`
}

// Timestamp is where the time of signing is, and how far off it may be.
type Timestamp struct {
	// In is where the timestamp is: "header", "field" (an item of the signature's
	// list), "first" (the first item of that list), "query", "json" or "form".
	In string `json:"in,omitempty"`

	// Name is the name of the header, item, parameter or field; for JSON, a path.
	Name string `json:"name,omitempty"`

	// Format is unix (the default: ten digits of seconds), unix_ms (thirteen
	// digits), unix_or_ms, rfc3339 or http_date.
	Format string `json:"format,omitempty"`

	// Past is how old a message may be: 5 minutes by default; negative for any age.
	Past Duration `json:"past,omitempty"`

	// Future is how far ahead of the local clock a message may be: the same as Past
	// by default; negative for any time.
	Future Duration `json:"future,omitempty"`

	// Optional accepts messages without a timestamp. This is only safe if the
	// signature covers the place where it would be.
	Optional bool `json:"optional,omitempty"`
}

// Field is where a value, such as the delivery id, is.
type Field struct {
	// In is "header", "query", "json" or "form".
	In string `json:"in,omitempty"`

	// Name is the name of the header, parameter or field; for JSON, a path such as
	// "data.0.id".
	Name string `json:"name,omitempty"`

	// Pattern is a regular expression that the whole value must match. A pattern of
	// fixed length shows where an id ends that is signed right next to the body.
	Pattern string `json:"pattern,omitempty"`
}

// Merge returns the scheme with every field that is set in over replaced. Lists
// and maps are replaced as a whole. If over sets either the signature's Name or its
// Names, the other one is cleared, and so are HeaderPrefixes, which belonged to the
// old names. If it sets the algorithm, anything of the signature, or where the timestamp is,
// Sent is cleared.
func (s Scheme) Merge(over Scheme) Scheme {
	switch {
	case over.Signature.Name != "" && over.Signature.Names == nil:
		s.Signature.Names, s.HeaderPrefixes = nil, nil
	case over.Signature.Names != nil && over.Signature.Name == "":
		s.Signature.Name, s.HeaderPrefixes = "", nil
	}
	if over.Algorithm != "" || !reflect.ValueOf(over.Signature).IsZero() || over.Timestamp.In != "" || over.Timestamp.Name != "" {
		s.Sent = nil
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
