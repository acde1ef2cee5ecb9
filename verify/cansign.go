package verify

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// CanSign returns an error that says why deliveries can't be signed by the scheme, or
// nil. It signs a sample delivery, since some schemes sign headers or fields that no
// delivery has.
func (s Scheme) CanSign() error {
	if slices.Contains(s.Signature.Tags, "*") {
		return errors.New("its signature has a tag that only the receiver knows, such as its application's key: give that as the signature's tag, in place of *, or choose another scheme")
	}
	secret, err := trialSecret(s)
	if err != nil {
		return err
	}
	signer, err := NewSigner(s, []string{secret})
	if err != nil {
		return err
	}
	return signer.Sign(http.Header{"Content-Type": {"application/json"}}, &Outgoing{
		Method: http.MethodPost, URL: "https://receiver.example/", ID: "evt_0", EventType: "a",
		Timestamp: time.Unix(1e9, 0), Body: []byte("{}"),
	})
}

// trialSecret returns a secret for CanSign, which signs nothing that is sent. RSA keys
// take long to generate, so all calls share one.
func trialSecret(s Scheme) (string, error) {
	if s.Construction == "rsa" {
		return generateKeyPair(s, trialRSA)
	}
	return GenerateSecret(s)
}

var trialRSA = sync.OnceValues(generateRSA)

// canSign returns an error that says why the scheme can't sign, or nil.
func (p *plan) canSign() error {
	s := p.scheme
	switch {
	case s.Construction == "token":
		return errors.New("it sends a shared token and signs nothing; choose a scheme that signs, such as standard-webhooks")
	case p.signature.in != "header":
		where := "body"
		if p.signature.in == "query" {
			where = "URL"
		}
		return fmt.Errorf("its signature is in the %s, and only headers are added to a delivery; choose a scheme with a header, such as standard-webhooks", where)
	case p.timestamp.in == "query", p.signsFromQuery(segID, p.id), p.signsFromQuery(segEventType, p.eventType):
		return errors.New("it signs a timestamp, an id or an event type in the URL, and only headers are added to a delivery; choose a scheme with headers, such as standard-webhooks")
	}
	return nil
}

// signsFromQuery reports whether a content has a placeholder whose value is in the query.
func (p *plan) signsFromQuery(kind segmentKind, at place) bool {
	return at.in == "query" && slices.ContainsFunc(p.contents(), func(t *template) bool { return t.has(kind, "") })
}

// SignsWithAll reports whether a message has the signatures of all secrets, side by
// side. If the scheme has room for only one, the first secret signs.
func (s Scheme) SignsWithAll() bool {
	return s.Signature.Separator != "" && !s.Signature.Single || s.Signature.multipleHeaders()
}

// FirstSet returns the first of these headers that signing by the scheme sets, or "" if
// it sets none of them.
func (s Scheme) FirstSet(headers []string) string {
	if len(headers) == 0 {
		return ""
	}
	p, err := compile(s)
	if err != nil {
		return ""
	}
	return firstIn(headers, p.sets)
}

// CanSignBeside returns an error that says why a message can't have the signatures of
// both schemes, made with the same secrets, or nil. Each must be able to sign by itself.
func (s Scheme) CanSignBeside(other Scheme) error {
	switch {
	case s.Name == other.Name:
		return errors.New("they are the same scheme; name it once")
	case (s.asymmetric() || other.asymmetric()) && (s.Construction != other.Construction || s.Key != other.Key):
		return errors.New("the key pair of one is not a key for the other; leave one out")
	}
	p, err := compile(s)
	if err != nil {
		return err
	}
	q, err := compile(other)
	if err != nil {
		return err
	}
	if name := firstIn(p.headersSet(), q.sets); name != "" {
		return fmt.Errorf("both set the header %s; leave one out", name)
	}
	// Whether the signature covers the header would depend on who signs first.
	if name := firstIn(p.headersSet(), q.signs) + firstIn(q.headersSet(), p.signs); name != "" {
		return fmt.Errorf("one sets the header %s, which the other signs; leave one out", name)
	}
	return nil
}

// headersSet returns the canonical names of the headers that signing sets.
func (p *plan) headersSet() []string {
	set := slices.Clone(p.headers)
	for _, at := range [...]place{p.timestamp, p.id, p.eventType} {
		if at.in == "header" {
			set = append(set, at.name)
		}
	}
	for _, name := range sortedKeys(p.scheme.Sent) {
		set = append(set, canonical(name))
	}
	return set
}

// sets reports whether signing sets a header.
func (p *plan) sets(name string) bool { return slices.Contains(p.headersSet(), canonical(name)) }

// signs reports whether a content names a header, so that its value is signed.
func (p *plan) signs(name string) bool {
	return slices.ContainsFunc(p.contents(), func(t *template) bool { return p.covers(t, place{in: "header", name: name}) })
}

// firstIn returns the first of the names for which is returns true, or "".
func firstIn(names []string, is func(string) bool) string {
	if i := slices.IndexFunc(names, is); i >= 0 {
		return names[i]
	}
	return ""
}
