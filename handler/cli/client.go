package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	defaultTimeout = 30 * time.Second
	dialTimeout    = 5 * time.Second

	// maxResponse bounds a response that is held in memory: a page of events
	// with payloads is the largest.
	maxResponse = 256 << 20
	// maxProblem bounds how much of an error response is read.
	maxProblem = 64 << 10
)

// endpoint is where the API is served: Caddy's admin endpoint or a webhook_api.
// Its methods explain, in terms of that place, why the API can't be used.
type endpoint interface {
	// unexpected explains a response that doesn't come from the API.
	unexpected(resp *http.Response, text []byte) error
	// notConnected explains a failed connection and says what to do about it.
	notConnected(cause error) string
	// deniedHint says what to do when the API refuses the token, with 401, or
	// its scope, with 403.
	deniedHint(status int) string
}

// client makes requests to the API.
type client struct {
	http     *http.Client
	endpoint endpoint
	baseURL  string
	header   http.Header   // sent with each request
	timeout  time.Duration // 0 for none

	line func(command string) string // see call.line
}

func newClient(at endpoint, baseURL string, timeout time.Duration, transport *http.Transport) *client {
	transport.DisableKeepAlives = true // Caddy waits for idle connections when its config is reloaded
	return &client{
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		endpoint: at, baseURL: baseURL, header: http.Header{}, timeout: timeout,
	}
}

// do makes a request and decodes the JSON response into the value that into
// points to. If into is nil, the response is discarded.
func (c *client) do(ctx context.Context, method, path string, query url.Values, body []byte, into any) error {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	resp, err := c.send(ctx, method, path, query, "application/json", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err != nil {
		return c.unreachable(err, true)
	}
	if len(text) > maxResponse {
		return fmt.Errorf("the response is larger than %d MiB: ask for less with --limit", maxResponse>>20)
	}
	if into == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	return decode(text, into)
}

// withoutTimeout returns a copy of the client for requests that may take any time.
func (c *client) withoutTimeout() *client {
	p := *c
	p.timeout = 0
	return &p
}

func decode(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("reading the response: %w: check that this command has the same version as the running Caddy", err)
	}
	return nil
}

// stream makes a request whose response may be long or endless. The timeout only
// applies until the response begins.
func (c *client) stream(ctx context.Context, path string, query url.Values, accept string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	limit := time.AfterFunc(c.timeout, cancel)
	resp, err := c.send(ctx, http.MethodGet, path, query, accept, nil)
	if !limit.Stop() && err == nil {
		resp.Body.Close()
		err = c.unreachable(context.DeadlineExceeded, true)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &streamBody{resp.Body, cancel}, nil
}

type streamBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *streamBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// send makes a request. A response is an error unless it is 2xx and has the
// media type in accept, or is 204.
func (c *client) send(ctx context.Context, method, path string, query url.Values, accept string, body []byte) (*http.Response, error) {
	target := c.baseURL + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	req, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.GetBody = nil // so that net/http never sends a request twice
	req.Header = c.header.Clone()
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err, connected)
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusNoContent && (resp.StatusCode < 200 || resp.StatusCode > 299 || media != accept) {
		defer resp.Body.Close()
		return nil, c.refusal(resp, media, path)
	}
	return resp, nil
}

// page is one page of a list.
type page struct {
	Data       []json.RawMessage `json:"data"`
	NextCursor *string           `json:"next_cursor"`
}

// maxPage is the largest number of rows requested per page.
const maxPage = 200

// list iterates over at most limit rows of a list, or all if limit is 0,
// requesting it page by page. If rows are left, next is set to the cursor that
// continues the list.
func (c *client) list(ctx context.Context, path string, query url.Values, limit int, next *string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for rows := 0; limit == 0 || rows < limit; {
			size := maxPage
			if limit > 0 {
				size = min(size, limit-rows)
			}
			query.Set("limit", strconv.Itoa(size))
			var p page
			if err := c.do(ctx, http.MethodGet, path, query, nil, &p); err != nil {
				yield(nil, err)
				return
			}
			for _, row := range p.Data {
				if !yield(row, nil) {
					return
				}
			}
			rows += len(p.Data)
			*next = ""
			if p.NextCursor == nil || *p.NextCursor == "" {
				return
			}
			*next = *p.NextCursor
			query.Set("cursor", *next)
		}
	}
}

// all returns all rows of a list that is short enough to be held in memory.
func (c *client) all(ctx context.Context, path string) (rows []json.RawMessage, err error) {
	var next string
	for row, err := range c.list(ctx, path, url.Values{}, 0, &next) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// problem is an error response of the API: problem details as of RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`

	document []byte // as received
	hint     string // what the user can do about it
}

func (p *problem) Error() string {
	text := cmp.Or(p.Detail, p.Title) // the detail names the field at fault, if any
	if p.hint != "" {
		text += "\n" + p.hint
	}
	return text
}

// refusal turns a response that isn't the requested one into an error.
func (c *client) refusal(resp *http.Response, media, path string) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // a part of it is better than nothing
	if media == "application/problem+json" {
		p := &problem{document: text}
		if err := json.Unmarshal(text, p); err == nil && (p.Title != "" || p.Detail != "") {
			p.Status = resp.StatusCode
			p.hint = c.hint(p, resp.Request.URL, path)
			return p
		}
	}
	return c.endpoint.unexpected(resp, text)
}

// hint says what the user can do about a problem, in terms of the command line,
// which the API doesn't know.
func (c *client) hint(p *problem, asked *url.URL, path string) string {
	switch {
	case p.Status == http.StatusUnauthorized, p.Code == "insufficient_scope":
		return c.endpoint.deniedHint(p.Status)
	case p.Code == "cannot_issue" && c.header.Get("Authorization") == "": // otherwise, the token is too short
		return "Use --api with the URL of such a webhook_api, and its token in the variable " + tokenVariable + " or with --token-file."
	case p.Status == http.StatusNotFound && p.Code != "no_such_route":
		noun, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		id, action, _ := strings.Cut(rest, "/")
		return c.notFoundHint(noun, id, action, asked.Query().Has("tenant"))
	case p.Status == http.StatusServiceUnavailable && p.Code == "unavailable" && path != "/status":
		return "If this persists, " + c.line("status") + " and Caddy's log say why."
	case p.Status == http.StatusServiceUnavailable && p.Code == "unavailable":
		return "If this persists, Caddy's log says why: a database that can't be reached, for example, or a damaged store that is being salvaged. Also check that the Caddyfile has the `webhooks` option."
	}
	return ""
}

// notFoundHint says where to look for an id that doesn't exist: under the noun
// that its prefix belongs to, or in the list.
func (c *client) notFoundHint(noun, id, action string, withTenant bool) string {
	if noun == "attempts" {
		noun = "deliveries"
	}
	list := c.line(noun+" list") + " lists the existing ones"
	switch {
	case id == "": // a route was taken for an id
		return "Check that the URL of the API is the one that webhook_api is mounted at, such as " + exampleAPI + "."
	case noun == "dead-letters" && strings.HasPrefix(id, "dlv_"):
		verb := cmp.Or(action, "show")
		return list + "; " + c.line("deliveries "+verb+" "+id) + " works in any state."
	case noun != "events" && strings.HasPrefix(id, "evt_"):
		return "This is the id of an event: " + c.line("events show "+id) + " shows its deliveries."
	case noun != "subscriptions" && noun != "event-types" && strings.HasPrefix(id, "sub_"):
		return "This is the id of a subscription: " + c.line(noun+" list --subscription-id "+id) + " lists its " + noun + "."
	case noun == "events" && !withTenant:
		return list + "; for an event of a tenant, add --tenant."
	}
	return list + "."
}

// noResponse is the error of a request that got no response.
type noResponse struct {
	text  string
	sent  bool // whether Caddy may have received the request
	cause error
}

func (e *noResponse) Error() string { return e.text }
func (e *noResponse) Unwrap() error { return e.cause }

// unreachable explains why there was no response, and what to do about it. Sent
// tells whether there was a connection to send the request on.
func (c *client) unreachable(err error, sent bool) error {
	var timeout net.Error
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	e := &noResponse{sent: sent, cause: err}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		e.text = fmt.Sprintf("Caddy at %s did not respond in time: it may be overloaded, or its store doesn't respond; --timeout sets how long to wait", c.endpoint)
	case errors.As(err, &op) && op.Op == "dial":
		e.text = c.endpoint.notConnected(op.Err)
	case errors.As(err, &certificate):
		e.text = fmt.Sprintf("the certificate of %s is not trusted (%v): if it is from a CA of your own, add that to those that this machine trusts, for example with the variable SSL_CERT_FILE", c.endpoint, certificate.Err)
	default:
		if request, ok := errors.AsType[*url.Error](err); ok {
			err = request.Err // without the URL, which the endpoint names
		}
		e.text = fmt.Sprintf("talking to Caddy at %s: %v", c.endpoint, err)
	}
	return e
}
