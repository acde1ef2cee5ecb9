package verify

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
)

// The bounds of what is tried and read for one request.
const (
	maxSecrets    = 16
	maxSignatures = 100     // DocuSign sends up to so many
	maxAsymmetric = 4       // of key pairs: each costs as much as hashing 100 KiB
	maxItems      = 128     // of a signature's list
	maxGroups     = 8       // of lists
	maxSignature  = 8 << 10 // bytes of a signature's text
	maxValue      = 8 << 10 // bytes of a list of headers that are signed
	maxContent    = 4 << 10 // bytes of a template
	maxID         = 256
	maxElements   = 1000     // of a body whose elements are signed one by one
	maxParsedBody = 16 << 20 // bytes of a body that must be parsed
)

// plan is a scheme made ready for use: names in canonical form, templates
// compiled, words looked up.
type plan struct {
	scheme      Scheme
	headers     []string // of the signatures
	signature   place
	each        jsonPath
	assign      string // between a tag and its value
	encoding    encoding
	size        int  // of a MAC; 0 where it depends on the key
	paired      bool // the keys are pairs
	content     *template
	formContent *template
	tagContents map[string]*template
	timestamp   place
	format      timeFormat
	id          place
	eventType   place
	handshake   *handshake
	bodyHashes  []crypto.Hash
	urls        bool // a content holds the URL
	bounded     Bounds
	lateJSON    []jsonPath // of id and event type, in this order
	others      []*plan    // the same under other names of the headers
	readsForm   bool       // nothing but a form can be judged
}

// place is where a value stands.
type place struct {
	in, name string
	path     jsonPath
	pattern  *regexp.Regexp
	fixed    bool // the pattern admits values of one length only
	blanks   bool // the value may hold blanks, as in "Push Hook"
}

// late says whether the value stands in the body.
func (p place) late() bool { return p.in == "json" || p.in == "form" }

// Validate says what is wrong with a scheme: it names the field, and what to
// do about it.
func (s Scheme) Validate() error {
	_, err := compile(s)
	return err
}

// compile makes a scheme ready.
func compile(s Scheme) (*plan, error) {
	if err := checkName(s.Name); err != nil {
		return nil, fmt.Errorf("scheme: name: %w", err)
	}
	p := &plan{scheme: s}
	for _, step := range []struct {
		field string
		do    func() error
	}{
		{"construction", func() error { return optional(s.Construction, constructions) }},
		{"algorithm", func() error { return checkAlgorithm(s) }},
		{"key", func() error { return checkKey(s) }},
		{"signature", p.compileSignature},
		{"timestamp", p.compileTimestamp},
		{"id", func() (err error) { p.id, err = compileField(s.ID); return }},
		{"event_type", func() (err error) {
			p.eventType, err = compileField(s.EventType)
			p.eventType.blanks = true
			return
		}},
		{"content", func() (err error) {
			if s.Construction == "token" && s.Content != "" {
				return errors.New("a token signs nothing; drop the content")
			}
			p.content, err = p.compileContent(s.content(), s.BodyDigest != "")
			return
		}},
		{"form_content", func() (err error) {
			if s.FormContent != "" {
				p.formContent, err = p.compileContent(s.FormContent, false)
			}
			return
		}},
		{"signature.tag_contents", p.compileTagContents},
		{"body_digest", p.checkBodyDigest},
		{"timestamp", p.checkTimeCovered},
		{"handshake", p.compileHandshake},
		{"default_port", func() error { return optional(s.DefaultPort, []string{"either"}) }},
		{"status_code", func() error { return checkStatus(s.StatusCode) }},
		{"acknowledge", func() error { return checkAcknowledge(s.Acknowledge) }},
		{"header_prefixes", p.compilePrefixes},
	} {
		if err := step.do(); err != nil {
			if s.Name != "" {
				return nil, fmt.Errorf("scheme %s: %s: %w", s.Name, step.field, err)
			}
			return nil, fmt.Errorf("scheme: %s: %w", step.field, err)
		}
	}
	p.readsForm = s.JSONField == "" && (p.readsFormAlone(p.content) || p.signature.in == "form")
	p.bounded = p.bounds()
	for _, at := range [...]place{p.id, p.eventType} {
		if at.in == "json" {
			p.lateJSON = append(p.lateJSON, at.path)
		}
	}
	return p, nil
}

// checkName holds a name to what can stand in a header and in a metric.
func checkName(name string) error {
	if name != "" && (len(name) > maxName || !isMadeOf(name, "._-")) {
		return fmt.Errorf("%q is none; it has letters, digits, dashes, dots and underscores, %d at most", name, maxName)
	}
	return nil
}

const maxName = 64

var constructions = append([]string{"hmac", "hash", "token"}, sortedKeys(pairKinds)...)

func checkAlgorithm(s Scheme) error {
	if s.Algorithm != "" && (s.Construction == "token" || s.Construction == "ed25519") {
		return fmt.Errorf("construction %s has none of its own; drop it", s.Construction)
	}
	if s.Algorithm == "sha1" && s.paired() {
		return errors.New("what a provider signs with sha1 can be forged by whoever chooses a part of it; use sha256, sha384 or sha512")
	}
	return optional(s.Algorithm, sortedKeys(algorithms))
}

func checkKey(s Scheme) error {
	if s.paired() {
		return oneOf(s.Key, pairKinds[s.Construction].keys)
	}
	if s.Key == "ed25519" || s.Key == "pem" {
		return fmt.Errorf("%q is a key pair's, and construction %s has none; set both", s.Key, cmp.Or(s.Construction, "hmac"))
	}
	return optional(s.Key, sortedKeys(keyKinds))
}

func (p *plan) compileSignature() error {
	s := p.scheme.Signature
	if err := optional(s.In, []string{"header", "query", "json", "form"}); err != nil {
		return fmt.Errorf("in: %w", err)
	}
	if s.Name == "" && len(s.Names) == 0 {
		return errors.New("no name; say where the signature stands, such as header X-Acme-Signature")
	}
	if len(s.Names) > 0 && (s.Name != "" || s.Numbered || s.header() != "header") {
		return errors.New("names are several headers; set either one name or names")
	}
	if s.Numbered && s.header() != "header" {
		return errors.New("only headers can be numbered; drop numbered")
	}
	if s.Repeated && (s.header() != "header" || len(s.Names) > 0 || s.Numbered) {
		return errors.New("only one header can be repeated; drop repeated, or name one header")
	}
	if in := p.scheme.Timestamp.In; s.Repeated && (s.Groups != "" || len(s.TagContents) > 0 || in == "field" || in == "first") {
		return errors.New("headers that are repeated sign the same; drop repeated, or groups, the contents of tags and the time in the list")
	}
	p.signature = place{in: s.header(), name: s.Name}
	switch s.header() {
	case "header":
		for _, name := range append(slices.Clone(s.Names), s.Name) {
			if name != "" && !isToken(name) {
				return fmt.Errorf("%q can't be a header's name; it has letters, digits and dashes", name)
			}
		}
		p.headers = s.headers()
	case "json":
		path, err := compileJSONPath(s.Name)
		if err != nil {
			return err
		}
		p.signature.path = path
	}
	if s.Each != "" {
		if s.header() != "json" || s.Groups != "" {
			return errors.New("each needs one signature in json for every element; set in to json, and drop groups")
		}
		path, err := compileJSONPath(s.Each)
		if err != nil {
			return err
		}
		p.each = path
	}
	if len(s.Tags) > 0 && s.Separator == "" {
		return errors.New("tags need a list; set separator to what stands between the items")
	}
	if s.Groups != "" && s.Separator == "" {
		return errors.New("groups are lists; set separator to what stands between the items")
	}
	if s.Assign != "" && s.Separator == "" {
		return errors.New("assign stands in a list's items; set separator to what stands between them")
	}
	p.assign = cmp.Or(s.Assign, "=")
	if s.Separator != "" && (s.Separator == s.Groups || s.Separator == p.assign && len(s.Tags) > 0) {
		return fmt.Errorf("separator %q can't stand both between the items and elsewhere in the list; set another", s.Separator)
	}
	if err := optional(s.Encoding, sortedKeys(encodings)); err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	p.encoding = encodings[s.Encoding]
	p.size = p.scheme.algorithm().Size()
	if p.paired = p.scheme.paired(); p.paired {
		p.size = pairKinds[p.scheme.Construction].size
	}
	return nil
}

// several tells whether signatures may stand in more than one header.
func (p *plan) several() bool { return p.scheme.Signature.several() }

func (s Signature) several() bool { return s.Numbered || len(s.Names) > 1 || s.Repeated }

// header is In with its default filled in.
func (s Signature) header() string { return cmp.Or(s.In, "header") }

// headers are the headers in which a signature may stand.
func (s Signature) headers() []string {
	if s.Numbered {
		names := make([]string, maxSignatures)
		for i := range names {
			names[i] = canonical(fmt.Sprintf("%s%d", s.Name, i+1))
		}
		return names
	}
	if s.Name != "" {
		return []string{canonical(s.Name)}
	}
	names := make([]string, len(s.Names))
	for i, name := range s.Names {
		names[i] = canonical(name)
	}
	return names
}

// compilePrefixes makes a plan for each other beginning of the headers' names.
func (p *plan) compilePrefixes() error {
	prefixes := p.scheme.HeaderPrefixes
	if len(prefixes) == 0 {
		return nil
	}
	if len(prefixes) == 1 || !slices.ContainsFunc(p.headers, func(name string) bool { return hasPrefixFold(name, prefixes[0]) }) {
		return errors.New("write how the signature's header begins, and how else it may begin")
	}
	for _, prefix := range prefixes[1:] {
		if !isToken(prefix) {
			return fmt.Errorf("%q can't begin a header's name; it has letters, digits and dashes", prefix)
		}
		other, err := compile(p.scheme.withPrefix(prefixes[0], prefix))
		if err != nil {
			return err
		}
		p.others = append(p.others, other)
	}
	return nil
}

// withPrefix is the scheme with another beginning of its headers' names.
func (s Scheme) withPrefix(old, prefix string) Scheme {
	s.HeaderPrefixes = nil
	s.Signature.Names = slices.Clone(s.Signature.Names)
	names := []*string{&s.Signature.Name}
	for i := range s.Signature.Names {
		names = append(names, &s.Signature.Names[i])
	}
	if s.Timestamp.In == "header" {
		names = append(names, &s.Timestamp.Name)
	}
	for _, f := range []*Field{&s.ID, &s.EventType} {
		if f.In == "header" {
			names = append(names, &f.Name)
		}
	}
	for _, name := range names {
		if hasPrefixFold(*name, old) {
			*name = prefix + (*name)[len(old):]
		}
	}
	return s
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// signs tells whether a signature stands where the scheme has it.
func (p *plan) signs(h http.Header) bool {
	return slices.ContainsFunc(p.headers, func(name string) bool { return len(h[name]) > 0 })
}

func (p *plan) compileTimestamp() error {
	t := p.scheme.Timestamp
	if err := optional(t.Format, sortedKeys(timeFormats)); err != nil {
		return fmt.Errorf("format: %w", err)
	}
	p.format = timeFormats[t.Format]
	if max(t.Past, t.Future) > maxTolerance {
		return fmt.Errorf("a tolerance is over %d days; if any age will do, say that it is off", int(maxTolerance/hours(24)))
	}
	switch t.In {
	case "":
		if t.Name != "" {
			return errors.New("it has a name and no place; say in which of header, field, query, json or form it stands")
		}
		return nil
	case "first":
		if p.scheme.Signature.Separator == "" {
			return errors.New("first is the list's first item; set the signature's separator")
		}
		p.timestamp = place{in: "first"}
		return nil
	case "field":
		if p.scheme.Signature.Separator == "" {
			return errors.New("field is an item of the signature's list; set the signature's separator")
		}
		if len(p.scheme.Signature.Tags) == 0 {
			return errors.New("field is an item with a tag; set the signature's tags too")
		}
		if t.Name == "" {
			return errors.New("no name; give the item's, such as t")
		}
		p.timestamp = place{in: "field", name: t.Name}
		return nil
	}
	place, err := compilePlace(t.In, t.Name, "")
	p.timestamp = place
	return err
}

func compileField(f Field) (place, error) {
	if f == (Field{}) {
		return place{}, nil
	}
	return compilePlace(f.In, f.Name, f.Pattern)
}

func compilePlace(in, name, pattern string) (place, error) {
	p := place{in: in, name: name}
	if err := oneOf(in, []string{"header", "query", "json", "form"}); err != nil {
		return p, fmt.Errorf("in: %w", err)
	}
	if name == "" {
		return p, fmt.Errorf("no name; say which %s it is", in)
	}
	if in == "header" {
		if !isToken(name) {
			return p, fmt.Errorf("%q can't be a header's name; it has letters, digits and dashes", name)
		}
		p.name = canonical(name)
	}
	if in == "json" {
		path, err := compileJSONPath(name)
		if err != nil {
			return p, err
		}
		p.path = path
	}
	if pattern != "" {
		re, err := regexp.Compile(pattern) // by itself, since its parentheses could close the one around it
		if err != nil {
			return p, fmt.Errorf("pattern: %w", err)
		}
		if _, constant := re.LiteralPrefix(); constant {
			return p, fmt.Errorf("pattern %q matches nothing but itself; there is one name, and behind it a regular expression such as \"[0-9a-f]{32}\"", pattern)
		}
		p.pattern, p.fixed = regexp.MustCompile("^(?:"+pattern+")$"), ofOneLength(pattern)
	}
	return p, nil
}

func (p *plan) compileHandshake() error {
	name := p.scheme.Handshake
	if name == "" {
		return nil
	}
	h, ok := handshakes[name]
	if !ok {
		return fmt.Errorf("there is no %q; it is one of %s", name, strings.Join(sortedKeys(handshakes), ", "))
	}
	p.handshake = h
	return nil
}

func checkStatus(status int) error {
	switch {
	case status == 0, status >= 400 && status <= 499 && status != 410:
		return nil
	case status == 410:
		return errors.New("410 tells senders to stop for good; use 401 or 403")
	}
	return fmt.Errorf("%d is no refusal; use one from 400 to 499", status)
}

func checkAcknowledge(a Acknowledge) error {
	if a != (Acknowledge{}) && (a.Status < 200 || a.Status > 299) {
		return fmt.Errorf("%d is no success; use one from 200 to 299", a.Status)
	}
	return nil
}

// optional checks a word, which may be left out, against those that are known.
func optional(word string, known []string) error {
	if word == "" {
		return nil
	}
	return oneOf(word, known)
}

// oneOf checks a word against those that are known.
func oneOf(word string, known []string) error {
	if slices.Contains(known, word) {
		return nil
	}
	if word == "" {
		return fmt.Errorf("nothing is set; it is one of %s", strings.Join(known, ", "))
	}
	return fmt.Errorf("there is no %q; it is one of %s", word, strings.Join(known, ", "))
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(s string) bool { return s == "" })
}

func canonical(header string) string { return textproto.CanonicalMIMEHeaderKey(header) }

// isToken says whether a header may have this name.
func isToken(s string) bool { return isMadeOf(s, "!#$%&'*+-.^_`|~") }
