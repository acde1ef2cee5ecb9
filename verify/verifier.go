package verify

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Options are what a Verifier needs beside its scheme.
type Options struct {
	// Secrets are the configured secrets, any of which may match.
	Secrets []string
	// VerifyToken is the second value that some handshakes need: Meta's verify
	// token, Braintree's public key.
	VerifyToken string
	// PublicURL is the scheme and host under which the provider knows us, such
	// as "https://hooks.example.com". Empty: those of the request.
	PublicURL string
	// Past and Future override the scheme's tolerance; 0 leaves it.
	Past, Future time.Duration
	// NoHandshake turns the scheme's handshake off.
	NoHandshake bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Request is what is judged of a request before its body is read.
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

// Verifier judges requests by one scheme. It is safe for concurrent use.
type Verifier struct {
	scheme Scheme
	opts   Options
}

// New makes a verifier. The error names the field or the secret (by its place,
// never its value) that is wrong, and says what to do.
func New(s Scheme, o Options) (*Verifier, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return &Verifier{scheme: s, opts: o}, nil
}

// Scheme returns the verifier's scheme.
func (v *Verifier) Scheme() Scheme { return v.scheme }

// Begin makes the checks that need no body. A refusal is an *Error.
func (v *Verifier) Begin(r *Request) (*Check, error) {
	return nil, v.refuse(ReasonBadSignature)
}

// Check is one request under judgement.
type Check struct {
	verifier *Verifier
	reply    *Reply
}

// Reply is the answer to a handshake that needs no body, or nil.
func (c *Check) Reply() *Reply { return c.reply }

// Write takes the body while it is read. It never fails.
func (c *Check) Write(p []byte) (int, error) { return len(p), nil }

// Finish gives the verdict. Body is the whole body, for the schemes that must
// parse it; it is read only where it is needed. A refusal is an *Error.
func (c *Check) Finish(body io.ReaderAt, size int64) (*Message, error) {
	return nil, c.verifier.refuse(ReasonBadSignature)
}

// Verify judges a request whose body has been read already.
func (v *Verifier) Verify(r *http.Request, body []byte) (*Message, error) {
	check, err := v.Begin(requestOf(r))
	if err != nil {
		return nil, err
	}
	if reply := check.Reply(); reply != nil {
		return &Message{Provider: v.scheme.Name, Reply: reply}, nil
	}
	check.Write(body)
	return check.Finish(bytes.NewReader(body), int64(len(body)))
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
	if status == http.StatusUnauthorized && v.scheme.StatusCode != 0 {
		status = v.scheme.StatusCode
	}
	return &Error{Reason: r, Status: status}
}
