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

// judging is what the verify command is told.
type judging struct {
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
	var j judging
	cmd := t.command(verb{
		use:   "verify [<provider>]",
		short: "Verifies the signature of a request, offline",
		long: `
Verifies a request like webhook_verify, but without a server. It prints "valid"
and what is known about the message, or the reason for refusing it. The exit
code is 0 if the request is valid, and 1 if it isn't.

The request is a file, as sent over the wire, read from --request or standard
input:

	POST /github HTTP/1.1
	Host: hooks.example.com
	X-Hub-Signature-256: sha256=…

	{"zen":"…"}

or it is made up from --header, and --body or --body-file. If the request has no
Content-Length, everything after the headers is the body; note that editors add
a newline at the end of a file.

A request that was captured some time ago is stale by now. Use --at to verify it
as of then.
` + schemeHelp,
		example: `
caddy webhooks verify github --secret-file github.secret --request captured.http
caddy webhooks verify stripe --secret-file stripe.secret --request captured.http --at 2026-01-31T15:04:05Z
caddy webhooks verify github --secret-file github.secret -H 'X-Hub-Signature-256: sha256=…' --body-file body.json
caddy webhooks verify acme --config Caddyfile --request captured.http`,
		max: 1,
		run: j.run,
	})
	f := cmd.Flags()
	f.StringVarP(&j.request, "request", "r", stdin, "File to read the request from, - for standard input")
	f.StringArrayVarP(&j.headers, "header", "H", nil, "A header of the request, as \"Name: value\"")
	j.body.register(f, "body", "body")
	j.scheme.register(f)
	f.StringVar(&j.method, "method", http.MethodPost, "The request's method, with --header")
	f.StringVar(&j.url, "url", "http://localhost/", "The request's URL, with --header")
	f.StringVar(&j.publicURL, "public-url", "", "Scheme and host that the provider calls, such as https://hooks.example.com, if it signs the URL")
	f.StringVar(&j.verifyToken, "verify-token", "", "The second value that some handshakes need")
	f.StringVar(&j.at, "at", "", "Verify as of this time")
	f.DurationVar(&j.tolerance, "tolerance", 0, "How old the request may be (default: the provider's tolerance)")
	return cmd
}

func (j *judging) run(c *call) error {
	row, o, err := j.scheme.read(c)
	if err != nil {
		return err
	}
	o.VerifyToken, o.PublicURL = cmp.Or(j.verifyToken, o.VerifyToken), cmp.Or(j.publicURL, o.PublicURL)
	o.Past, o.Now = j.tolerance, c.now
	if j.at != "" {
		at, err := c.parseTime(j.at)
		if err != nil {
			return usagef("--at: %v", err)
		}
		o.Now = func() time.Time { return at }
	}
	v, err := verify.New(row, o)
	if err != nil {
		return fmt.Errorf("verifying as %s: %w", row.Name, err)
	}
	r, body, err := j.read(c)
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

// read makes the request of what the flags say.
func (j *judging) read(c *call) (*http.Request, []byte, error) {
	f := c.cmd.Flags()
	inParts := len(j.headers) > 0 || j.body.given(f)
	if !inParts {
		text, err := c.read(j.request, "the request")
		if err != nil {
			return nil, nil, err
		}
		return parseRequest(text)
	}
	if f.Changed("request") {
		return nil, nil, usagef("--request is a whole request: it can't be given together with --header, --body or --body-file")
	}
	h, err := parseHeaders(j.headers)
	if err != nil {
		return nil, nil, err
	}
	u, err := url.Parse(j.url)
	if err != nil || u.Host == "" {
		return nil, nil, usagef("--url %q is not the URL of a request: write it as https://hooks.example.com/path", j.url)
	}
	body, err := j.body.read(c, "the body")
	if err != nil {
		return nil, nil, err
	}
	host := h.Get("Host")
	h.Del("Host")
	r := &http.Request{
		Method: j.method, URL: u, RequestURI: u.RequestURI(), Host: cmp.Or(host, u.Host),
		Header: h, ContentLength: int64(len(body)),
	}
	if u.Scheme == "https" {
		r.TLS = new(tls.ConnectionState)
	}
	return r, body, nil
}

// parseRequest reads a request as it went over the wire. Where it doesn't say
// how long its body is, the body is all that follows.
func parseRequest(text []byte) (*http.Request, []byte, error) {
	from := bufio.NewReader(bytes.NewReader(text))
	r, err := http.ReadRequest(from)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, nil, errors.New("reading the request: it ends before the empty line that follows the headers")
	case err != nil:
		return nil, nil, fmt.Errorf("reading the request: %w: its first line is as in \"POST /path HTTP/1.1\", then come the headers, an empty line, and the body", err)
	}
	declared := r.Header.Get("Content-Length") != "" || len(r.TransferEncoding) > 0
	source := io.Reader(r.Body)
	if !declared {
		source = from
	}
	body, err := io.ReadAll(source)
	switch {
	case err != nil && r.ContentLength >= 0:
		return nil, nil, fmt.Errorf("reading the request's body: there are %d of the %d bytes that its Content-Length says", len(body), r.ContentLength)
	case err != nil:
		return nil, nil, fmt.Errorf("reading the request's body: %w: drop the header Transfer-Encoding if the body is not in chunks", err)
	}
	r.ContentLength = int64(len(body))
	return r, body, nil
}

// judgement is what --json prints.
type judgement struct {
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
		j := judgement{Valid: true, Provider: m.Provider, ID: m.ID, EventType: m.EventType, Signed: strings.Fields(m.Signed.String())}
		if !m.Timestamp.IsZero() {
			j.Timestamp = &m.Timestamp
		}
		if m.Reply != nil {
			j.Handshake = &handshake{m.Reply.Status, string(m.Reply.Body)}
		} else {
			j.SecretIndex = &m.SecretIndex
		}
		return printValue(c.out, j)
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
		err = printValue(c.out, judgement{Reason: string(refused.Reason), Status: refused.Status})
	} else if _, err = fmt.Fprintln(c.out, refused.Reason); err == nil && advice[refused.Reason] != "" {
		fmt.Fprintln(c.err, advice[refused.Reason])
	}
	if err != nil {
		return err
	}
	return &verdict{string(refused.Reason)}
}

// advice says what a reason means to someone who holds the secret.
var advice = map[verify.Reason]string{
	verify.ReasonBadSignature:           "No secret makes this signature: see that the secret is this endpoint's, that the body is as it was sent, to the byte, and, where the URL is signed, that --url or --public-url is the one that the provider calls.",
	verify.ReasonMissingSignature:       "The header that has the signature is not there: `caddy webhooks providers <provider>` names it.",
	verify.ReasonMalformedSignature:     "The signature does not have the provider's form: `caddy webhooks providers <provider>` shows it.",
	verify.ReasonStaleTimestamp:         "The request is older than the tolerance: judge a captured one as of its time with --at.",
	verify.ReasonFutureTimestamp:        "The request was signed later than now: see that the clocks are right, or that --at is.",
	verify.ReasonMissingTimestamp:       "The time of signing is not there: `caddy webhooks providers <provider>` says where it stands.",
	verify.ReasonMissingID:              "The delivery's id is signed, and is not there: `caddy webhooks providers <provider>` says where it stands.",
	verify.ReasonRepeatedHeader:         "A header that the scheme reads is there twice: a proxy may have added it.",
	verify.ReasonMethodNotAllowed:       "Webhooks come by POST.",
	verify.ReasonUnboundBody:            "Nothing in this request binds its body to the signature.",
	verify.ReasonMalformedBody:          "The scheme reads the body, and can't: see that it is whole.",
	verify.ReasonBadVerifyToken:         "The handshake brought another verify token than --verify-token.",
	verify.ReasonUnsupportedContentType: "The provider sends another Content-Type.",
}
