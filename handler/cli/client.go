package cli

import (
	"bytes"
	"cmp"
	"context"
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

	// maxAnswer bounds an answer that is held in memory: a page of events with
	// payloads is the largest.
	maxAnswer = 256 << 20
	// maxProblem bounds an answer that is read for its error.
	maxProblem = 64 << 10
)

// endpoint is where the API is. It has the words for when that can't be used.
type endpoint interface {
	// strange says what an answer means that isn't the API's.
	strange(resp *http.Response, text []byte) error
	// away says what to do where no connection is made.
	away(cause error) string
	// denied says what to do where the API refuses a token: by 401, or by 403 for its scope.
	denied(status int) string
}

// client speaks to the API.
type client struct {
	http    *http.Client
	at      endpoint
	base    string        // URL of the API
	header  http.Header   // of each request
	timeout time.Duration // 0 for none
}

func newClient(at endpoint, base string, timeout time.Duration, transport *http.Transport) *client {
	transport.DisableKeepAlives = true // Caddy waits for idle connections when its config is reloaded
	return &client{
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		at: at, base: base, header: http.Header{}, timeout: timeout,
	}
}

// ask makes a request, and decodes the answer into the value that into points
// to, unless that is nil.
func (c *client) ask(ctx context.Context, method, path string, query url.Values, body []byte, into any) error {
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
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.unreachable(err, true)
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("the answer is over %d MiB: ask for less with --limit", maxAnswer>>20)
	}
	if into == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	return decode(text, into)
}

// patient is a client for work that takes as long as it takes.
func (c *client) patient() *client {
	p := *c
	p.timeout = 0
	return &p
}

func decode(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("reading the answer: %w: see that this command has the version of the Caddy that runs", err)
	}
	return nil
}

// stream makes a request whose answer has no end that could be waited for;
// the timeout is for its beginning.
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

// send makes a request; an answer that isn't 2xx, or isn't what it asks to
// accept, is an error.
func (c *client) send(ctx context.Context, method, path string, query url.Values, accept string, body []byte) (*http.Response, error) {
	target := c.base + path
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
	req.GetBody = nil // nothing is to be sent twice behind our back
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

// page is a list's answer.
type page struct {
	Data       []json.RawMessage `json:"data"`
	NextCursor *string           `json:"next_cursor"`
}

// maxPage is the most that is asked for at once.
const maxPage = 200

// list walks through a list, page by page, to at most limit rows (all, where
// it is 0). When it ends before the list does, next is set to the cursor for
// the rest.
func (c *client) list(ctx context.Context, path string, query url.Values, limit int, next *string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for rows := 0; limit == 0 || rows < limit; {
			size := maxPage
			if limit > 0 {
				size = min(size, limit-rows)
			}
			query.Set("limit", strconv.Itoa(size))
			var p page
			if err := c.ask(ctx, http.MethodGet, path, query, nil, &p); err != nil {
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

// all is a list that is short enough to be held in memory.
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

// problem is an error that the API answered: a problem document of RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`

	document []byte // as it came
	hint     string // what to type next
}

func (p *problem) Error() string {
	text := cmp.Or(p.Detail, p.Title) // which names the field, if one is at fault
	if p.hint != "" {
		text += "\n" + p.hint
	}
	return text
}

// refusal reads what an answer says is wrong.
func (c *client) refusal(resp *http.Response, media, path string) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // half of it is better than nothing
	if media == "application/problem+json" {
		p := &problem{document: text}
		if err := json.Unmarshal(text, p); err == nil && (p.Title != "" || p.Detail != "") {
			p.Status = resp.StatusCode
			p.hint = c.hint(p, resp.Request.URL, path)
			return p
		}
	}
	return c.at.strange(resp, text)
}

// hint says what to type next, where the API can't know it.
func (c *client) hint(p *problem, asked *url.URL, path string) string {
	switch {
	case p.Status == http.StatusUnauthorized, p.Code == "insufficient_scope":
		return c.at.denied(p.Status)
	case p.Status == http.StatusNotFound && p.Code != "no_such_route":
		noun, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		id, action, _ := strings.Cut(rest, "/")
		return notFoundHint(noun, id, action, asked.Query().Has("tenant"))
	case p.Status == http.StatusServiceUnavailable:
		return "If it stays so, see what Caddy's log says, and that the Caddyfile has the `webhooks` option."
	}
	return ""
}

// notFoundHint says where to look for an id that isn't there: under the noun
// that its prefix belongs to, or in the list.
func notFoundHint(noun, id, action string, ofTenant bool) string {
	if noun == "attempts" {
		noun = "deliveries"
	}
	list := "`caddy webhooks " + noun + " list` shows those that there are"
	switch {
	case noun == "dead-letters" && strings.HasPrefix(id, "dlv_"):
		verb := cmp.Or(action, "show")
		return list + "; `caddy webhooks deliveries " + verb + " " + id + "` takes one in any state."
	case noun != "events" && strings.HasPrefix(id, "evt_"):
		return "It is the id of an event: `caddy webhooks events show " + id + "` shows its deliveries."
	case noun != "subscriptions" && strings.HasPrefix(id, "sub_"):
		return "It is the id of a subscription: `caddy webhooks " + noun + " list --subscription-id " + id + "` shows what goes there."
	case noun == "events" && !ofTenant:
		return list + "; to show one of a tenant, add --tenant."
	}
	return list + "."
}

// silence is that there was no answer.
type silence struct {
	text  string
	sent  bool // the request may have arrived
	cause error
}

func (e *silence) Error() string { return e.text }
func (e *silence) Unwrap() error { return e.cause }

// unreachable says why there was no answer, and what to do. Sent tells whether
// there was a connection for the request.
func (c *client) unreachable(err error, sent bool) error {
	var timeout net.Error
	var op *net.OpError
	e := &silence{sent: sent, cause: err}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		e.text = fmt.Sprintf("Caddy at %s did not answer in time: see whether it is overloaded, or give it longer with --timeout", c.at)
	case errors.As(err, &op) && op.Op == "dial":
		e.text = c.at.away(op.Err)
	default:
		e.text = fmt.Sprintf("talking to Caddy at %s: %v", c.at, err)
	}
	return e
}
