package verify

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The bounds of what is tried and read for one request.
const (
	maxSecrets       = 16
	maxSignatures    = 100      // DocuSign sends up to so many
	maxAsymmetric    = 4        // of key pairs: each costs as much as hashing 100 KiB
	maxEd25519Bytes  = 64 << 20 // bytes over all tries of Ed25519, each of which hashes the content anew
	maxItems         = 128      // of a signature's list
	maxGroups        = 8        // of lists
	maxSignatureText = 8 << 10  // bytes of a signature's text
	maxValue         = 8 << 10  // bytes of a list of headers that are signed
	maxContent       = 4 << 10  // bytes of a template
	maxID            = 256
	maxElements      = 1000     // of a body whose elements are signed one by one
	maxParsedBody    = 16 << 20 // bytes of a body that must be parsed
	largeBody        = 1 << 20  // bytes of one that takes turns with others
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
	macSize     int  // of a MAC; 0 where it depends on the key
	asymmetric  bool // the keys are pairs
	content     *template
	formContent *template
	tagContents map[string]*template
	timestamp   place
	format      timeFormat
	id          place
	eventType   place
	handshake   *handshake
	bodyHashes  []crypto.Hash
	signsURL    bool // a content holds the URL
	bounds      Bounds
	jsonFields  []jsonPath // of id and event type, in this order
	alternates  []*plan    // the same under other names of the headers
	formOnly    bool       // nothing but a form can be judged
}

// Validate says what is wrong with a scheme: it names the field, and what to
// do about it.
func (s Scheme) Validate() error {
	_, err := compile(s)
	return err
}

// compile makes a scheme ready for use.
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
		{"algorithm", func() error { return checkAlgorithm(s) }},
		{"key", func() error { return checkKey(s) }},
		{"signature", p.compileSignature},
		{"timestamp", p.compileTimestamp},
		{"id", func() (err error) { p.id, err = compileField(s.ID); return }},
		{"event_type", func() (err error) {
			p.eventType, err = compileField(s.EventType)
			p.eventType.allowSpaces = true
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
		{"timestamp", p.checkTimestampCovered},
		{"handshake", p.compileHandshake},
		{"default_port", func() error { return checkOptional(s.DefaultPort, []string{"either"}) }},
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
	p.formOnly = s.JSONField == "" && (p.needsForm(p.content) || p.signature.in == "form")
	p.bounds = p.computeBounds()
	for _, at := range [...]place{p.id, p.eventType} {
		if at.in == "json" {
			p.jsonFields = append(p.jsonFields, at.path)
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

var constructions = append([]string{"hmac", "hash", "token"}, sortedKeys(keyPairKinds)...)

func checkAlgorithm(s Scheme) error {
	if s.Algorithm != "" && (s.Construction == "token" || s.Construction == "ed25519") {
		return fmt.Errorf("construction %s has none of its own; drop it", s.Construction)
	}
	if s.Algorithm == "sha1" && s.asymmetric() {
		return errors.New("what a provider signs with sha1 can be forged by whoever chooses a part of it; use sha256, sha384 or sha512")
	}
	return checkOptional(s.Algorithm, sortedKeys(algorithms))
}

func checkKey(s Scheme) error {
	if s.asymmetric() {
		return checkOneOf(s.Key, keyPairKinds[s.Construction].keys)
	}
	if s.Key == "ed25519" || s.Key == "pem" {
		return fmt.Errorf("%q is a key pair's, and construction %s has none; set both", s.Key, cmp.Or(s.Construction, "hmac"))
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
	if err := checkOptional(s.Encoding, sortedKeys(encodings)); err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	p.encoding, p.assign = encodings[s.Encoding], s.assign()
	p.macSize = p.scheme.algorithm().Size()
	if p.asymmetric = p.scheme.asymmetric(); p.asymmetric {
		p.macSize = keyPairKinds[p.scheme.Construction].size
	}
	return nil
}

// placeSignature finds where the signature stands: at one place, or in several
// headers.
func (p *plan) compileSignaturePlace() (err error) {
	s := p.scheme.Signature
	in := cmp.Or(s.In, "header")
	switch {
	case s.Name == "" && len(s.Names) == 0:
		return errors.New("no name; say where the signature stands, such as header X-Acme-Signature")
	case len(s.Names) > 0 && (s.Name != "" || s.Numbered || in != "header"):
		return errors.New("names are several headers; set either one name or names")
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

// headers are those in which a signature may stand.
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
		return errors.New("headers that are repeated sign the same; drop repeated, or groups, the contents of tags and the time in the list")
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

// checkLists refuses the parts of a list where there is none, and a separator that
// means two things.
func (s Signature) checkLists() error {
	if s.Separator == "" {
		switch {
		case len(s.Tags) > 0:
			return errors.New("tags need a list; set separator to what stands between the items")
		case s.Groups != "":
			return errors.New("groups are lists; set separator to what stands between the items")
		case s.Assign != "":
			return errors.New("assign stands in a list's items; set separator to what stands between them")
		}
		return nil
	}
	if s.Separator == s.Groups || s.Separator == s.assign() && len(s.Tags) > 0 {
		return fmt.Errorf("separator %q can't stand both between the items and elsewhere in the list; set another", s.Separator)
	}
	return nil
}

// assign is what stands between a tag and its value.
func (s Signature) assign() string { return cmp.Or(s.Assign, "=") }

// several tells whether signatures may stand in more than one header.
func (s Signature) multipleHeaders() bool { return s.Numbered || len(s.Names) > 1 || s.Repeated }

func (p *plan) compileTimestamp() (err error) {
	t := p.scheme.Timestamp
	if err := checkOptional(t.Format, sortedKeys(timeFormats)); err != nil {
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
		if t.Past > 0 || t.Future > 0 { // which would be taken for a protection that isn't there
			return errors.New("a tolerance needs a signed time that it could be held against, and there is none: leave it out; replay ack 24h remembers what was seen")
		}
		return nil
	case "first", "field":
		p.timestamp = place{in: t.In, name: t.Name}
		return p.checkListTimestamp()
	}
	p.timestamp, err = compilePlace(t.In, t.Name, "")
	return err
}

// checkListTime is about a time that stands in the signature's list.
func (p *plan) checkListTimestamp() error {
	s, t := p.scheme.Signature, p.scheme.Timestamp
	switch {
	case s.Separator == "":
		return fmt.Errorf("%s is an item of the signature's list; set the signature's separator", t.In)
	case t.In == "field" && len(s.Tags) == 0:
		return errors.New("field is an item with a tag; set the signature's tags too")
	case t.In == "field" && t.Name == "":
		return errors.New("no name; give the item's, such as t")
	}
	return nil
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
func checkOptional(word string, known []string) error {
	if word == "" {
		return nil
	}
	return checkOneOf(word, known)
}

// oneOf checks a word against those that are known.
func checkOneOf(word string, known []string) error {
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
