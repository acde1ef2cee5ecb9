package verify

import (
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
