package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// client calls the API with a token.
type client struct {
	s     *server
	token string
}

// A client for each of the three scopes.
func (s *server) publisher() client { return client{s, publishToken} }
func (s *server) reader() client    { return client{s, readToken} }
func (s *server) manager() client   { return client{s, manageToken} }

// plain opens a connection for each request, so that none is left to a process that has
// ended.
var plain = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: must.Patience},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       must.Patience,
}

// answer is the response to a request.
type answer struct {
	t      *testing.T
	asked  string
	status int
	header http.Header
	body   []byte
}

// send sends a request.
func send(t *testing.T, method, url string, body io.Reader, header http.Header) answer {
	t.Helper()
	req := must.Get(http.NewRequestWithContext(t.Context(), method, url, body))(t)
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := plain.Do(req)
	for range 3 {
		// Each config of Caddy has its own listener: a connection to one that is being
		// closed is reset before it is read.
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) || body != nil && req.GetBody == nil {
			break
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				t.Fatal(err)
			}
		}
		res, err = plain.Do(req)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", method, url, err)
	}
	return answer{t, method + " " + url, res.StatusCode, res.Header, got}
}

// do calls the API. A body that is a string is sent as it is; any other is
// written as JSON.
func (c client) do(method, path string, body any) answer {
	c.s.t.Helper()
	header := http.Header{}
	if c.token != "" {
		header.Set("Authorization", "Bearer "+c.token)
	}
	var r io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(body)
		if len(body) > 64<<10 {
			header.Set("Expect", "100-continue") // otherwise a refusal could reset the connection before it is read
		}
	default:
		text := must.Get(json.Marshal(body))(c.s.t)
		r = bytes.NewReader(text)
	}
	if r != nil {
		header.Set("Content-Type", "application/json")
	}
	return send(c.s.t, method, c.s.url("/webhooks"+path), r, header)
}

func (c client) get(path string) object {
	c.s.t.Helper()
	return c.do("GET", path, nil).want(http.StatusOK).object()
}

func (c client) list(path string) []object {
	c.s.t.Helper()
	return c.do("GET", path, nil).want(http.StatusOK).object().list("data")
}

// want fails the test unless the response has the status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.asked, a.status, status, tail(string(a.body), 2048))
	}
	return a
}

// problem fails the test unless the response is a problem document with this status that
// contains all words.
func (a answer) problem(status int, words ...string) {
	a.t.Helper()
	a.want(status)
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Errorf("%s: content type %q of a problem", a.asked, got)
	}
	p := a.object()
	if p.num("status") != float64(status) || p.text("title") == "" || p.text("detail") == "" {
		a.t.Errorf("%s: not a whole problem document: %s", a.asked, a.body)
	}
	for _, w := range words {
		if !strings.Contains(string(a.body), w) {
			a.t.Errorf("%s: %q is not in %s", a.asked, w, a.body)
		}
	}
}

func (a answer) object() object {
	a.t.Helper()
	return decode(a.t, a.body)
}

// object is a JSON object.
type object map[string]any

func decode(t *testing.T, text []byte) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatalf("not a JSON object: %v: %s", err, tail(string(text), 2048))
	}
	return o
}

func (o object) text(name string) string {
	s, _ := o[name].(string)
	return s
}

func (o object) num(name string) float64 {
	n, _ := o[name].(float64)
	return n
}

func (o object) object(name string) object {
	v, _ := o[name].(map[string]any)
	return v
}

func (o object) list(name string) []object {
	all, _ := o[name].([]any)
	out := make([]object, len(all))
	for i, v := range all {
		out[i], _ = v.(map[string]any)
	}
	return out
}

// event is what is published. Payload is JSON text.
type event struct {
	Type    string          `json:"event_type"`
	ID      string          `json:"event_id,omitempty"`
	Tenant  string          `json:"tenant,omitempty"`
	Payload json.RawMessage `json:"payload"`
}

// publish publishes an event, which must be accepted, and returns its id.
func (s *server) publish(e event) string {
	s.t.Helper()
	if e.Payload == nil {
		e.Payload = json.RawMessage(`{}`)
	}
	// Not by json.Marshal, which would rewrite the payload.
	text := fmt.Sprintf(`{"event_type":%q,"payload":%s`, e.Type, e.Payload)
	if e.ID != "" {
		text += fmt.Sprintf(`,"event_id":%q`, e.ID)
	}
	if e.Tenant != "" {
		text += fmt.Sprintf(`,"tenant":%q`, e.Tenant)
	}
	return s.publisher().do("POST", "/events", text+"}").want(http.StatusAccepted).object().text("event_id")
}

// subscribe creates a subscription, and returns its id and secret.
func (s *server) subscribe(fields object) (id, secret string) {
	s.t.Helper()
	o := s.manager().do("POST", "/subscriptions", fields).want(http.StatusCreated).object()
	return o.text("subscription_id"), o.text("secret")
}

// delivery returns the only delivery of an event to a subscription.
func (s *server) delivery(eventID, subscriptionID string) object {
	s.t.Helper()
	list := s.reader().list("/deliveries?event_id=" + eventID + "&subscription_id=" + subscriptionID)
	if len(list) != 1 {
		s.t.Fatalf("event %s has %d deliveries to %s, want 1", eventID, len(list), subscriptionID)
	}
	return list[0]
}

// settled waits until an event's delivery is in a state.
func (s *server) settled(eventID, subscriptionID, state string) object {
	s.t.Helper()
	var d object
	must.Eventually(s.t, "a delivery that is "+state, func() bool {
		d = s.delivery(eventID, subscriptionID)
		return d.text("state") == state
	})
	return d
}

// attempts returns the attempts of a delivery, the oldest first.
func (s *server) attempts(d object) []object {
	s.t.Helper()
	return s.reader().list("/deliveries/" + d.text("delivery_id") + "/attempts")
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	return must.Get(time.Parse(time.RFC3339Nano, s))(t)
}
