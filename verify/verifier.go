package verify

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Options configure a Verifier.
type Options struct {
	// Secrets are the configured secrets. A signature may match any of them.
	Secrets []string
	// VerifyToken is the second value that some handshakes need: Meta's verify
	// token, Braintree's public key.
	VerifyToken string
	// PublicURL is the scheme and host of the URL that the provider calls, such as
	// "https://hooks.example.com". If empty, those of the request are used.
	PublicURL string
	// NoHandshake turns off the scheme's handshake.
	NoHandshake bool
	// Now returns the current time. If nil, it is time.Now.
	Now func() time.Time
}

// Request is the part of a request that is checked before its body is read.
type Request struct {
	// Method is the method as it was received.
	Method string
	// URL is the absolute URL as the provider saw it, with its original path and
	// query in their escaped form.
	URL *url.URL
	// Header has the request's headers, except Host, which is that of URL.
	Header http.Header
	// ContentLength is the declared length in bytes, or -1 if there is none.
	ContentLength int64
}

// Verifier verifies requests by one scheme. It is safe for concurrent use.
type Verifier struct {
	plan        *plan
	keys        []*key
	verifyToken string
	publicURL   *url.URL
	handshake   handshake // zero if the scheme has none, or it is turned off
	now         func() time.Time
	alternates  []*Verifier // one for each other prefix of the header names
}

// New returns a verifier for a scheme. An error names the field or the secret that
// is wrong, the secret by its position and never by its value, and says what to do.
func New(s Scheme, o Options) (*Verifier, error) {
	p, err := compile(s)
	if err != nil {
		return nil, err
	}
	v := &Verifier{plan: p, verifyToken: o.VerifyToken, now: o.Now}
	if v.now == nil {
		v.now = time.Now
	}
	if v.keys, err = newKeys(s, o.Secrets); err != nil {
		return nil, fmt.Errorf("verifying %s: %w", s.Name, err)
	}
	v.keys = append(v.keys, alternateKeys(s, o.Secrets)...)
	if v.publicURL, err = parsePublicURL(o.PublicURL); err != nil {
		return nil, fmt.Errorf("verifying %s: %w", s.Name, err)
	}
	if !o.NoHandshake {
		v.handshake = p.handshake
	}
	for _, alternate := range p.alternates {
		other := *v
		other.plan = alternate
		v.alternates = append(v.alternates, &other)
	}
	return v, nil
}

func parsePublicURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("public_url %q: it needs a scheme and a host; write it as: public_url https://hooks.example.com", text)
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return nil, fmt.Errorf("public_url %q: its port is not valid; write it as: public_url https://hooks.example.com:8443", text)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return nil, fmt.Errorf("public_url: it has more than a scheme and a host; path and query are taken from each request, so write: public_url %s://%s", u.Scheme, u.Host)
	}
	return u, nil
}

// Bounds returns what the scheme's signature protects.
func (v *Verifier) Bounds() Bounds { return v.plan.bounds }

// Begin makes the checks that don't need the body: the method, the content type,
// the timestamp, and whether each value that the scheme reads from the headers or
// the URL is there once and is well-formed. A refusal is an *Error.
func (v *Verifier) Begin(r *Request) (*Check, error) {
	v = v.forHeaders(r.Header)
	c := checks.Get().(*check)
	c.v, c.in = v, v.input(r)
	c.candidates = c.oneCandidate[:0]
	if reason := c.begin(); reason != "" {
		c.recycle()
		return nil, v.refuse(reason)
	}
	return &Check{c}, nil
}

func (v *Verifier) input(r *Request) input {
	in := input{plan: v.plan, method: r.Method, header: r.Header, url: r.URL, size: r.ContentLength}
	if in.url == nil {
		in.url = &url.URL{}
	}
	in.scheme, in.hostport, in.path = in.url.Scheme, in.url.Host, pathAsSent(in.url)
	if v.publicURL != nil {
		in.scheme, in.hostport = v.publicURL.Scheme, v.publicURL.Host
	}
	return in
}

// Verify verifies a request whose body has already been read. The URL is taken
// from the request line and the Host header; if the provider calls another URL,
// set Options.PublicURL. A refusal is an *Error.
func (v *Verifier) Verify(r *http.Request, body []byte) (*Message, error) {
	request := requestOf(r)
	request.ContentLength = int64(len(body))
	check, err := v.Begin(request)
	if err != nil {
		return nil, err
	}
	if reply := check.Reply(); reply != nil {
		return v.unsignedMessage(reply), nil
	}
	_, _ = check.Write(body) // fails only after Finish
	return check.Finish(bytes.NewReader(body), int64(len(body)))
}

// unsignedMessage is the result for a handshake that has no signature.
func (v *Verifier) unsignedMessage(reply *Reply) *Message {
	return &Message{Provider: v.plan.scheme.Name, SecretIndex: -1, Reply: reply}
}

func requestOf(r *http.Request) *Request {
	u := *r.URL
	if original, err := url.ParseRequestURI(r.RequestURI); err == nil {
		u = *original
	}
	u.Host = r.Host
	u.Scheme = "http"
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return &Request{Method: r.Method, URL: &u, Header: r.Header, ContentLength: r.ContentLength}
}

// refuse returns the error for a reason. A provider's own status replaces the 401.
func (v *Verifier) refuse(r Reason) *Error {
	status := r.Status()
	if status == http.StatusUnauthorized && v.plan.scheme.StatusCode != 0 {
		status = v.plan.scheme.StatusCode
	}
	return &Error{Reason: r, Status: status}
}
