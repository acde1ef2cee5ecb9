package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

type verifyFlags struct {
	body        bodyFlags
	scheme      schemeFlags
	request     string
	headers     []string
	method      string
	url         string
	publicURL   string
	verifyToken string
	at          string
	tolerance   time.Duration
}

func (t *tool) verify() *cobra.Command {
	var flags verifyFlags
	cmd := t.command(verb{
		use:   "verify [<provider>]",
		short: "Verifies the signature of a request, offline",
		long: `
Verifies a request like webhook_verify, but without a server. It prints "valid"
and what is known about the message, or the reason why webhook_verify would refuse
it. The exit code is 0 if the request is valid, and 1 if it isn't.

The request is a file, as sent over the wire, read from --request or standard
input:

	POST /github HTTP/1.1
	Host: hooks.example.com
	X-Hub-Signature-256: sha256=…

	{"zen":"…"}

Or it is put together from --header, and --body or --body-file. If the request has
no Content-Length, everything after the headers is the body; note that editors
add a newline at the end of a file.

A request that was captured some time ago may be too old by now: use --at to
verify it as of the time of its capture.
` + schemeHelp,
		example: `
caddy webhooks verify github --secret-file github.secret --request captured.http
caddy webhooks verify stripe --secret-file stripe.secret --request captured.http --at 2026-01-31T15:04:05Z
caddy webhooks verify github --secret-file github.secret -H 'X-Hub-Signature-256: sha256=…' --body-file body.json
caddy webhooks verify acme --config Caddyfile --request captured.http`,
		max: 1,
		run: flags.run,
	})
	f := cmd.Flags()
	f.StringVarP(&flags.request, "request", "r", stdin, "File to read the request from, - for standard input")
	f.StringArrayVarP(&flags.headers, "header", "H", nil, "A header of the request, as \"Name: value\"")
	flags.body.register(f, "body", "body")
	flags.scheme.register(f)
	f.StringVar(&flags.method, "method", http.MethodPost, "The request's method, with --header")
	f.StringVar(&flags.url, "url", "http://localhost/", "The request's URL, with --header")
	f.StringVar(&flags.publicURL, "public-url", "", "Scheme and host that the provider calls, such as https://hooks.example.com, if it signs the URL")
	f.StringVar(&flags.verifyToken, "verify-token", "", "The verify token that some handshakes require besides the secret")
	f.StringVar(&flags.at, "at", "", "Verify as of this time, such as 2026-01-31T15:04:05Z or 24h (ago) (default: now)")
	f.DurationVar(&flags.tolerance, "tolerance", 0, "How old the request may be (default: the provider's tolerance)")
	return cmd
}

func (flags *verifyFlags) run(c *call) error {
	row, o, err := flags.scheme.read(c)
	if err != nil {
		return err
	}
	o.VerifyToken, o.PublicURL = cmp.Or(flags.verifyToken, o.VerifyToken), cmp.Or(flags.publicURL, o.PublicURL)
	o.Now = c.now
	if flags.tolerance != 0 && row.Timestamp.In != "" {
		row.Timestamp.Past = verify.Duration(flags.tolerance)
	}
	if flags.at != "" {
		at, err := c.parseTime(flags.at)
		if err != nil {
			return usagef("--at: %v", err)
		}
		o.Now = func() time.Time { return at }
	}
	v, err := verify.New(row, o)
	if err != nil {
		return fmt.Errorf("verifying as %s: %w", row.Name, err)
	}
	r, body, err := flags.read(c)
	if err != nil {
		return err
	}
	m, err := v.Verify(r, body)
	var refused *verify.Error
	switch {
	case errors.As(err, &refused):
		return printRefusal(c, refused)
	case err != nil:
		return fmt.Errorf("verifying as %s: %w", row.Name, err)
	}
	return printMessage(c, m, len(o.Secrets))
}

// read returns the request that the flags describe, and its body.
func (flags *verifyFlags) read(c *call) (*http.Request, []byte, error) {
	f := c.cmd.Flags()
	inParts := len(flags.headers) > 0 || flags.body.given(f)
	if !inParts {
		text, err := c.read(flags.request, "the request")
		if err != nil {
			return nil, nil, err
		}
		return parseRequest(text)
	}
	if f.Changed("request") {
		return nil, nil, usagef("--request is a whole request: it can't be given together with --header, --body or --body-file")
	}
	h, err := parseHeaders(flags.headers)
	if err != nil {
		return nil, nil, err
	}
	u, err := url.Parse(flags.url)
	if err != nil || u.Host == "" {
		return nil, nil, usagef("--url %q is not the URL of a request: write it as https://hooks.example.com/path", flags.url)
	}
	body, err := flags.body.read(c, "the body")
	if err != nil {
		return nil, nil, err
	}
	host := h.Get("Host")
	h.Del("Host")
	r := &http.Request{
		Method: flags.method, URL: u, RequestURI: u.RequestURI(), Host: cmp.Or(host, u.Host),
		Header: h, ContentLength: int64(len(body)),
	}
	if u.Scheme == "https" {
		r.TLS = new(tls.ConnectionState)
	}
	return r, body, nil
}

// parseRequest parses a request as sent over the wire. If its headers don't say how
// long the body is, everything after them is the body.
func parseRequest(text []byte) (*http.Request, []byte, error) {
	from := bufio.NewReader(bytes.NewReader(text))
	r, err := http.ReadRequest(from)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, nil, errors.New("reading the request: it ends before the empty line that follows the headers")
	case err != nil:
		return nil, nil, fmt.Errorf("reading the request: %w: it begins with a line such as \"POST /path HTTP/1.1\", followed by the headers, an empty line, and the body", err)
	}
	declared := r.Header.Get("Content-Length") != "" || len(r.TransferEncoding) > 0
	source := io.Reader(r.Body)
	if !declared {
		source = from
	}
	body, err := io.ReadAll(source)
	switch {
	case err != nil && r.ContentLength >= 0:
		return nil, nil, fmt.Errorf("reading the request's body: it has %d bytes, but %d by its Content-Length", len(body), r.ContentLength)
	case err != nil:
		return nil, nil, fmt.Errorf("reading the request's body: %w: remove the header Transfer-Encoding if the body is not in chunks", err)
	}
	r.ContentLength = int64(len(body))
	return r, body, nil
}

// verifyResult is the result that --json prints.
type verifyResult struct {
	Valid       bool       `json:"valid"`
	Reason      string     `json:"reason,omitempty"`
	Status      int        `json:"status,omitempty"`
	Provider    string     `json:"provider,omitempty"`
	ID          string     `json:"id,omitempty"`
	EventType   string     `json:"event_type,omitempty"`
	Timestamp   *time.Time `json:"timestamp,omitempty"`
	SecretIndex *int       `json:"secret_index,omitempty"`
	Signed      []string   `json:"signed,omitempty"`
	Handshake   *handshake `json:"handshake,omitempty"`
}

type handshake struct {
	Status int    `json:"status"`
	Body   string `json:"body,omitempty"`
}

func printMessage(c *call, m *verify.Message, secrets int) error {
	if c.json {
		result := verifyResult{Valid: true, Provider: m.Provider, ID: m.ID, EventType: m.EventType, Signed: strings.Fields(m.Signed.String())}
		if !m.Timestamp.IsZero() {
			at := m.Timestamp.UTC()
			result.Timestamp = &at
		}
		if m.Reply != nil {
			result.Handshake = &handshake{m.Reply.Status, string(m.Reply.Body)}
		} else {
			result.SecretIndex = &m.SecretIndex
		}
		return printValue(c.out, result)
	}
	fmt.Fprintln(c.out, "valid")
	var f fields
	f.addText("Provider", m.Provider)
	f.addText("Id", m.ID)
	f.addText("Event type", m.EventType)
	if !m.Timestamp.IsZero() {
		f.add("Signed at", c.when(m.Timestamp))
	}
	if m.Reply != nil {
		f.addText("Handshake", fmt.Sprintf("answered with %d %s", m.Reply.Status, cut(string(m.Reply.Body), 200)))
	} else {
		f.add("Secret", fmt.Sprintf("%d of %d", m.SecretIndex+1, secrets))
		f.add("Signature covers", cmp.Or(m.Signed.String(), "nothing: the secret itself was sent"))
	}
	return f.flush(c.out)
}

func printRefusal(c *call, refused *verify.Error) error {
	var err error
	if c.json {
		err = printValue(c.out, verifyResult{Reason: string(refused.Reason), Status: refused.Status})
	} else if _, err = fmt.Fprintln(c.out, refused.Reason); err == nil && advice[refused.Reason] != "" {
		fmt.Fprintln(c.err, advice[refused.Reason])
	}
	if err != nil {
		return err
	}
	return &verdict{string(refused.Reason)}
}

// advice says what to check for each reason. Only somebody who holds the secret
// gets to see it.
var advice = map[verify.Reason]string{
	verify.ReasonBadSignature:           "The signature was not made with any of the secrets: check that the secret is that of this endpoint, that the body is byte for byte as it was sent and, if the URL is signed, that --url or --public-url is what the provider calls.",
	verify.ReasonMissingSignature:       "The request has no signature: `caddy webhooks providers <provider>` shows where it should be.",
	verify.ReasonMalformedSignature:     "The signature doesn't have the form that the provider uses: `caddy webhooks providers <provider>` shows it.",
	verify.ReasonStaleTimestamp:         "The request is older than the tolerance: verify a captured request as of its time with --at.",
	verify.ReasonFutureTimestamp:        "The request's timestamp is in the future: check the clocks or, if given, --at.",
	verify.ReasonMissingTimestamp:       "The request has no timestamp: `caddy webhooks providers <provider>` shows where it should be.",
	verify.ReasonMissingID:              "The request has no delivery id, which is signed: `caddy webhooks providers <provider>` shows where it should be.",
	verify.ReasonRepeatedHeader:         "A header that the scheme reads occurs more than once: a proxy may have added one.",
	verify.ReasonMethodNotAllowed:       "The method must be POST.",
	verify.ReasonUnboundBody:            "The signature doesn't cover the body of this request.",
	verify.ReasonMalformedBody:          "The scheme needs a value from the body, which can't be parsed: check that it is complete.",
	verify.ReasonBadVerifyToken:         "The verify token of the handshake is not that of --verify-token.",
	verify.ReasonUnsupportedContentType: "The Content-Type is not one that the provider uses.",
}
