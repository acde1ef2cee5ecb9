package verify

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Limits on the work for one request. Sizes are in bytes.
const (
	maxSecrets       = 16
	maxSignatures    = 100      // DocuSign sends up to 100
	maxAsymmetric    = 4        // asymmetric signatures: verifying one costs as much as hashing 100 KiB
	maxEd25519Bytes  = 64 << 20 // hashed by all tries of Ed25519, each of which hashes the content again
	maxItems         = 128      // in a signature's list
	maxGroups        = 8        // lists in a signature
	maxSignatureText = 8 << 10
	maxValue         = 8 << 10 // a signed header, or the list of them
	maxContent       = 4 << 10 // a content template
	maxID            = 256     // an id or an event type
	maxElements      = 1000    // of a body whose elements are signed separately
	maxParsedBody    = 16 << 20
	largeBody        = 1 << 20 // bodies over this size wait for a slot to be parsed
)

// maxName is the longest name of a scheme.
const maxName = 64

// plan is a compiled scheme: names are in canonical form, templates are compiled,
// and words are resolved.
type plan struct {
	scheme      Scheme
	headers     []string // of the signatures, if they are in headers
	signature   place
	each        jsonPath
	encoding    encoding
	macSize     int  // 0 where it depends on the key
	asymmetric  bool // the keys are key pairs
	content     *template
	formContent *template
	tagContents map[string]*template
	timestamp   place
	timeFormat  timeFormat
	id          place
	eventType   place
	handshake   handshake
	bodyHashes  []crypto.Hash
	signsURL    bool // a content needs the URL's origin
	readsURL    bool // a content may need any part of the URL
	bounds      Bounds
	jsonPaths   []jsonPath // of all values in JSON that a verdict may need
	jsonFields  []jsonPath // of the id and the event type, in this order, if in JSON
	alternates  []*plan    // one for each other prefix of the header names
	formOnly    bool       // the scheme can only read forms
}

// FieldError is what is wrong with a field of a scheme.
type FieldError struct {
	Field string // its name in JSON, such as "signature.encoding"; "tolerance" for past and future
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// Validate returns an error if the scheme is not valid. It says what to do and, in a
// *FieldError, which field is wrong.
func (s Scheme) Validate() error {
	_, err := compile(s)
	return err
}

// constructions are the values of Scheme.Construction.
var constructions = append([]string{"hmac", "hash", "token"}, sortedKeys(keyPairKinds)...)

// compile validates a scheme and makes its plan.
func compile(s Scheme) (*plan, error) {
	if err := checkName(s.Name); err != nil {
		return nil, fmt.Errorf("scheme: name: %w", err)
	}
	p := &plan{scheme: s}
	for _, step := range []struct {
		field string
		do    func() error
	}{
		{"construction", func() error { return checkOptional(s.Construction, constructions) }},
		{"algorithm", s.checkAlgorithm},
		{"key", s.checkKey},
		{"signature", p.compileSignature},
		{"signature.encoding", p.compileEncoding},
		{"timestamp", p.compileTimestamp},
		{"tolerance", s.Timestamp.checkTolerance},
		{"id", p.compileID},
		{"event_type", p.compileEventType},
		{"content", p.compileMainContent},
		{"form_content", p.compileFormContent},
		{"signature.tag_contents", p.compileTagContents},
		{"body_digest", p.compileBodyDigest},
		{"timestamp", p.checkTimestampCovered},
		{"handshake", p.compileHandshake},
		{"default_port", func() error { return checkOptional(s.DefaultPort, []string{"either"}) }},
		{"status_code", s.checkStatus},
		{"acknowledge", s.Acknowledge.check},
		{"header_prefixes", p.compilePrefixes},
	} {
		if err := step.do(); err != nil {
			err = &FieldError{step.field, err}
			if s.Name != "" {
				return nil, fmt.Errorf("scheme %s: %w", s.Name, err)
			}
			return nil, fmt.Errorf("scheme: %w", err)
		}
	}
	p.formOnly = s.JSONField == "" && (p.content.needsForm() || p.signature.in == "form")
	p.bounds = p.computeBounds()
	for _, at := range [...]place{p.id, p.eventType} {
		if at.in == "json" {
			p.jsonFields = append(p.jsonFields, at.path)
		}
	}
	p.jsonPaths = p.listJSONPaths()
	return p, nil
}

// listJSONPaths returns the paths of the values in JSON that a verdict may need. Beyond
// the number that can be looked up together, each is looked up alone.
func (p *plan) listJSONPaths() (paths []jsonPath) {
	add := func(at place) {
		if at.in == "json" && len(paths) < maxJSONPaths && at.path.index(paths) < 0 {
			paths = append(paths, at.path)
		}
	}
	for _, at := range [...]place{p.signature, p.timestamp, p.id, p.eventType} {
		add(at)
	}
	for _, t := range p.contents() {
		for _, s := range t.segments {
			add(s.at)
		}
	}
	return paths
}

// checkName allows what is safe in a header and as a metric label.
func checkName(name string) error {
	if name != "" && (len(name) > maxName || !isMadeOf(name, "._-")) {
		return fmt.Errorf("%q is not a valid name; use at most %d letters, digits, dashes, dots and underscores", name, maxName)
	}
	return nil
}

func (s Scheme) checkAlgorithm() error {
	if s.Algorithm != "" && (s.Construction == "token" || s.Construction == "ed25519") {
		return fmt.Errorf("construction %s doesn't use one; drop it", s.Construction)
	}
	if s.Algorithm == "sha1" && s.asymmetric() {
		return errors.New("a signature with sha1 can be forged by anyone who chooses a part of what the provider signs; use sha256, sha384 or sha512")
	}
	return checkOptional(s.Algorithm, sortedKeys(algorithms))
}

func (s Scheme) checkKey() error {
	if s.asymmetric() {
		return checkOneOf(s.Key, keyPairKinds[s.Construction].keys)
	}
	if s.Key == "ed25519" || s.Key == "pem" {
		return fmt.Errorf("%q is for key pairs, and construction %s has none; set the construction too", s.Key, cmp.Or(s.Construction, "hmac"))
	}
	return checkOptional(s.Key, sortedKeys(keyKinds))
}

func (p *plan) compileSignature() error {
	s := p.scheme.Signature
	for _, step := range [...]func() error{p.compileSignaturePlace, p.checkRepeated, p.compileEach, s.checkLists} {
		if err := step(); err != nil {
			return err
		}
	}
	p.macSize = p.scheme.algorithm().Size()
	if p.asymmetric = p.scheme.asymmetric(); p.asymmetric {
		p.macSize = keyPairKinds[p.scheme.Construction].size
	}
	return nil
}

func (p *plan) compileEncoding() error {
	name := p.scheme.Signature.Encoding
	p.encoding = encodings[name]
	return checkOptional(name, sortedKeys(encodings))
}

// compileSignaturePlace compiles where the signature is: in one place, or in several
// headers.
func (p *plan) compileSignaturePlace() (err error) {
	s := p.scheme.Signature
	in := cmp.Or(s.In, "header")
	switch {
	case s.Name == "" && len(s.Names) == 0:
		return errors.New("no name; say where the signature is, such as header X-Acme-Signature")
	case len(s.Names) > 0 && (s.Name != "" || s.Numbered || in != "header"):
		return errors.New("names is for several headers; set either name or names")
	case s.Numbered && in != "header":
		return errors.New("only headers can be numbered; drop numbered")
	case in != "header":
		p.signature, err = compilePlace(in, s.Name, "")
	default:
		p.signature.in = in
		p.headers, err = s.headers()
	}
	return err
}

// headers returns the names of the headers that may have a signature.
func (s Signature) headers() ([]string, error) {
	names := s.Names
	if s.Name != "" {
		names = []string{s.Name}
	}
	headers := make([]string, len(names))
	for i, name := range names {
		if err := checkHeader(name); err != nil {
			return nil, err
		}
		headers[i] = canonical(name)
	}
	if !s.Numbered {
		return headers, nil
	}
	headers = make([]string, maxSignatures)
	for i := range headers {
		headers[i] = canonical(fmt.Sprintf("%s%d", s.Name, i+1))
	}
	return headers, nil
}

func (p *plan) checkRepeated() error {
	s, time := p.scheme.Signature, p.scheme.Timestamp.In
	switch {
	case !s.Repeated:
		return nil
	case s.Numbered || len(p.headers) != 1:
		return errors.New("only one header can be repeated; drop repeated, or name one header")
	case s.Groups != "" || len(s.TagContents) > 0 || time == "field" || time == "first":
		return errors.New("repeated headers all sign the same content; drop repeated, or drop groups, tag_contents and the timestamp in the list")
	}
	return nil
}

func (p *plan) compileEach() (err error) {
	s := p.scheme.Signature
	if s.Each == "" {
		return nil
	}
	if p.signature.in != "json" || s.Groups != "" {
		return errors.New("each needs one signature in json for every element; set in to json, and drop groups")
	}
	p.each, err = compileJSONPath(s.Each)
	return err
}

// checkLists returns an error for the parts of a list where there is none, and for a
// separator with two meanings.
func (s Signature) checkLists() error {
	if s.Separator == "" {
		switch {
		case len(s.Tags) > 0:
			return errors.New("tags need a list; set separator to the text between the items")
		case s.Groups != "":
			return errors.New("groups are lists; set separator to the text between the items")
		case s.Assign != "":
			return errors.New("assign is for the items of a list; set separator to the text between them")
		case s.Single:
			return errors.New("single is for a list; set separator to the text between the items, or drop single")
		}
		return nil
	}
	if s.Single && (s.Groups != "" || s.multipleHeaders()) {
		return errors.New("single is for one list; drop single, or else groups, repeated, numbered and all names but one")
	}
	if s.Separator == s.Groups || s.Separator == s.assign() && len(s.Tags) > 0 {
		return fmt.Errorf("separator %q can't also be groups or assign; set another", s.Separator)
	}
	return nil
}

// assign returns the text between a tag and its value.
func (s Signature) assign() string { return cmp.Or(s.Assign, "=") }

// multipleHeaders reports whether a request may have several signature headers.
func (s Signature) multipleHeaders() bool { return s.Numbered || len(s.Names) > 1 || s.Repeated }

func (p *plan) compileTimestamp() (err error) {
	t := p.scheme.Timestamp
	if err := checkOptional(t.Format, sortedKeys(timeFormats)); err != nil {
		return fmt.Errorf("format: %w", err)
	}
	p.timeFormat = timeFormats[t.Format]
	switch t.In {
	case "":
		if t.Name != "" {
			return errors.New("it has a name but no place; say whether it is in a header, field, query, json or form")
		}
	case "first", "field":
		p.timestamp = place{in: t.In, name: t.Name}
		err = p.checkListTimestamp()
	default:
		p.timestamp, err = compilePlace(t.In, t.Name, "")
	}
	p.timestamp.fixedLength = t.Format != "unix_or_ms" && !t.Optional
	return err
}

func (t Timestamp) checkTolerance() error {
	if max(t.Past, t.Future) > maxTolerance {
		return fmt.Errorf("it is over %d days; to accept any age, turn it off", int(maxTolerance/hours(24)))
	}
	if t.In == "" && (t.Past > 0 || t.Future > 0) { // it would promise a protection that isn't there
		return errors.New("it needs a signed timestamp, and the scheme has none: leave it out; replay ack 24h remembers the messages that were seen")
	}
	for _, d := range []Duration{t.Past, t.Future} {
		if d > 0 && d < seconds(1) {
			return fmt.Errorf("it is under a second, %s, which hardly any message meets: write a duration such as \"5m\"; a plain number is in nanoseconds", time.Duration(d))
		}
	}
	return nil
}

func (p *plan) checkListTimestamp() error {
	s, t := p.scheme.Signature, p.scheme.Timestamp
	switch {
	case s.Separator == "":
		return fmt.Errorf("%s is an item of the signature's list; set the signature's separator", t.In)
	case t.In == "field" && len(s.Tags) == 0:
		return errors.New("field is an item with a tag; set the signature's tags too")
	case t.In == "field" && t.Name == "":
		return errors.New("no name; give the tag of the item, such as t")
	}
	return nil
}

func (p *plan) compileID() (err error) {
	p.id, err = compileField(p.scheme.ID)
	return err
}

func (p *plan) compileEventType() (err error) {
	p.eventType, err = compileField(p.scheme.EventType)
	p.eventType.allowSpaces = true
	return err
}

func (p *plan) compileHandshake() error {
	name := p.scheme.Handshake
	p.handshake = handshakes[name]
	if p.handshake.oracle != nil && cmp.Or(p.scheme.Construction, "hmac") != "hmac" {
		return fmt.Errorf("%q answers with an HMAC, and construction %s has none; start from a provider without this handshake", name, p.scheme.Construction)
	}
	return checkOptional(name, sortedKeys(handshakes))
}

func (s Scheme) checkStatus() error {
	switch status := s.StatusCode; {
	case status == 0, status >= 400 && status <= 499 && status != 410:
		return nil
	case status == 410:
		return errors.New("410 tells senders to stop for good; use 401 or 403")
	}
	return fmt.Errorf("%d is not a status for refusals; use one from 400 to 499", s.StatusCode)
}

func (a Acknowledge) check() error {
	if a != (Acknowledge{}) && (a.Status < 200 || a.Status > 299) {
		return fmt.Errorf("%d is not a success status; use one from 200 to 299", a.Status)
	}
	return nil
}

// checkOptional checks that a word is empty or one of the known ones.
func checkOptional(word string, known []string) error {
	if word == "" {
		return nil
	}
	return checkOneOf(word, known)
}

func checkOneOf(word string, known []string) error {
	if slices.Contains(known, word) {
		return nil
	}
	if word == "" {
		return fmt.Errorf("nothing is set; use one of %s", strings.Join(known, ", "))
	}
	return fmt.Errorf("there is no %q; use one of %s", word, strings.Join(known, ", "))
}

// sortedKeys returns the keys of a map except "", which stands for the default.
func sortedKeys[V any](m map[string]V) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(s string) bool { return s == "" })
}
