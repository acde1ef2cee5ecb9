package verify

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Options are what a Verifier needs besides its scheme.
type Options struct {
	// Secrets are the configured secrets, any of which may match.
	Secrets []string
	// VerifyToken is the second value that some handshakes need: Meta's verify
	// token, Braintree's public key.
	VerifyToken string
	// PublicURL is the scheme and host that the provider knows us by, such as
	// "https://hooks.example.com". If empty, those of the request are used.
	PublicURL string
	// Past and Future override the tolerance of the scheme, unless they are 0;
	// negative: any time will do.
	Past, Future time.Duration
	// NoHandshake turns the scheme's handshake off.
	NoHandshake bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Request is what is verified of a request before its body is read.
type Request struct {
	// Method is the method as it was received.
	Method string
	// URL is the absolute URL as the provider saw it: original path and query,
	// in their escaped form.
	URL *url.URL
	// Header are the request's headers, without Host.
	Header http.Header
	// Host is the request's host.
	Host string
	// ContentLength is the declared length, -1 where there is none.
	ContentLength int64
}

// Verifier verifies requests by one scheme. It is safe for concurrent use.
type Verifier struct {
	plan        *plan
	keys        []*key
	tolerance   tolerance
	verifyToken string
	publicURL   *url.URL
	handshake   *handshake // nil when the scheme has none or it is off
	now         func() time.Time
	alternates  []*Verifier // the same for other names of the headers
}

// New makes a verifier. The error names the field or the secret (by its place,
// never its value) that is wrong, and says what to do.
func New(s Scheme, o Options) (*Verifier, error) {
	p, err := compile(s)
	if err != nil {
		return nil, err
	}
	v := &Verifier{plan: p, tolerance: toleranceOf(s.Timestamp, o), verifyToken: o.VerifyToken, now: o.Now}
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
	for _, p := range p.alternates {
		other := *v
		other.plan = p
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
		return nil, fmt.Errorf("public_url %q: its port is none; write it as: public_url https://hooks.example.com:8443", text)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return nil, fmt.Errorf("public_url: it has more than a scheme and a host; path and query are taken from each request, so write: public_url %s://%s", u.Scheme, u.Host)
	}
	return u, nil
}

// Bounds are what the scheme's signature protects.
func (v *Verifier) Bounds() Bounds { return v.plan.bounds }

// Begin makes the checks that don't need the body: the method, whether what the
// scheme reads is present once and well-formed, the timestamp, and the content
// type. A refusal is an *Error.
func (v *Verifier) Begin(r *Request) (*Check, error) {
	v = v.forHeaders(r.Header)
	c := checks.Get().(*check)
	c.v, c.in = v, v.input(r)
	c.oneCandidate[0].macs = c.twoMACs[:0]
	c.candidates = c.oneCandidate[:0]
	if reason := c.begin(); reason != "" {
		c.recycle()
		return nil, v.refuse(reason)
	}
	return &Check{c}, nil
}

func (v *Verifier) input(r *Request) input {
	in := input{plan: v.plan, method: r.Method, header: r.Header, host: r.Host, url: r.URL, size: r.ContentLength}
	if in.url == nil {
		in.url = &url.URL{}
	}
	in.scheme, in.hostport, in.path = in.url.Scheme, in.url.Host, pathAsSent(in.url)
	if v.publicURL != nil {
		in.scheme, in.hostport = v.publicURL.Scheme, v.publicURL.Host
	} else if in.hostport == "" {
		in.hostport = r.Host
	}
	return in
}

// Verify verifies a request whose body has already been read. The URL is taken
// from the request line and the Host header; if the provider knows another one,
// set Options.PublicURL.
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

// unsigned is a handshake that nothing signs.
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
	return &Request{Method: r.Method, URL: &u, Header: r.Header, Host: r.Host, ContentLength: r.ContentLength}
}

func (v *Verifier) refuse(r Reason) *Error {
	status := r.Status()
	if status == http.StatusUnauthorized && v.plan.scheme.StatusCode != 0 {
		status = v.plan.scheme.StatusCode
	}
	return &Error{Reason: r, Status: status}
}
