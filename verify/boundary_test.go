package verify_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// recut is one signed text that a request could be cut from in two ways.
type recut struct {
	name    string
	scheme  func(*verify.Scheme)
	signed  string
	first   func(*http.Request) string // the body, with what else there is in the request
	second  func(*http.Request) string
	neither bool // the first can't be told from the second, so that both are refused
}

func withID(content string) func(*verify.Scheme) {
	return func(s *verify.Scheme) {
		s.Content = content
		s.ID = verify.Field{In: "header", Name: "X-Id"}
	}
}

func id(value, body string) func(*http.Request) string {
	return func(r *http.Request) string {
		r.Header.Set("X-Id", value)
		return body
	}
}

func path(value, body string) func(*http.Request) string {
	return func(r *http.Request) string {
		r.RequestURI = value
		return body
	}
}

func content(text string) func(*verify.Scheme) { return func(s *verify.Scheme) { s.Content = text } }

// What is signed reads one way: of two requests that have the same signature, one
// passes at the most.
func TestRecuts(t *testing.T) {
	optional := func(s *verify.Scheme) {
		s.Content = "{timestamp}{body}"
		s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time", Optional: true}
	}
	for _, c := range []recut{
		{name: "a literal of two characters", scheme: withID("{id}::{body}"), signed: `i:::{"a":1}`, first: id("i", `:{"a":1}`), second: id("i:", `{"a":1}`), neither: true},
		{name: "a literal of two characters, used once", scheme: withID("{id}::{body}"), signed: `i::{"a":1}`, first: id("i", `{"a":1}`), second: id("i:", `:{"a":1}`)},
		{name: "a dash at the end of an id", scheme: withID("{id}--{body}"), signed: `msg---x`, first: id("msg-", "x"), second: id("msg", "-x"), neither: true},
		{name: "a literal that overlaps itself", scheme: withID("{id}aba{body}"), signed: `ababax`, first: id("ab", "x"), second: id("", "bax"), neither: true},
		{name: "the same behind the body", scheme: withID("{body}::{id}"), signed: `{"a":1}:::i`, first: id(":i", `{"a":1}`), second: id("i", `{"a":1}:`), neither: true},
		{name: "a pattern of several lengths", scheme: func(s *verify.Scheme) {
			withID("{id}{body}")(s)
			s.ID.Pattern = "[0-9]+"
		}, signed: "127x", first: id("12", "7x"), second: id("127", "x"), neither: true},
		{name: "a pattern of one length", scheme: func(s *verify.Scheme) {
			withID("{id}{body}")(s)
			s.ID.Pattern = "[0-9]{2}"
		}, signed: "127x", first: id("12", "7x"), second: id("127", "x")},
		{name: "an id before a time", scheme: func(s *verify.Scheme) {
			withID("{id}{timestamp}{body}")(s)
			s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time"}
		}, signed: "i" + unixNow + unixNow + "x", first: func(r *http.Request) string {
			r.Header.Set("X-Time", unixNow)
			return id("i"+unixNow, "x")(r)
		}, second: func(r *http.Request) string {
			r.Header.Set("X-Time", unixNow)
			return id("i", unixNow+"x")(r)
		}},
		{name: "a time that need not be there", scheme: optional, signed: unixNow + `{"a":1}`, first: func(r *http.Request) string {
			r.Header.Set("X-Time", unixNow)
			return `{"a":1}`
		}, second: func(*http.Request) string { return unixNow + `{"a":1}` }},
		{name: "a path with the literal in it", scheme: content("{path}.{body}"), signed: "/pb/.amount=1.5&to=bob", first: path("/pb/", "amount=1.5&to=bob"), second: path("/pb/.amount=1", "5&to=bob")},
		{name: "a path with the literal in it, and JSON", scheme: content("{path}.{body}"), signed: `/hooks.php.{"a":1.5}`, first: path("/hooks.php", `{"a":1.5}`), second: path(`/hooks.php.{"a":1`, `5}`)},
		{name: "a query behind the body", scheme: content("{body}&{query}"), signed: "a=1&b=2&c=3", first: path("/in?c=3", "a=1&b=2"), second: path("/in?b=2&c=3", "a=1")},
		{name: "a path that meets the body", scheme: func(s *verify.Scheme) {
			s.Content, s.EventType = "{path}{body}", verify.Field{In: "json", Name: "type"}
		}, signed: `/in{"a":{"b":1}}`, first: path("/in", `{"a":{"b":1}}`), second: path(`/in{"a":`, `{"b":1}}`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := verifierOf(t, base(c.scheme))
			judge := func(cut func(*http.Request) string) error {
				r := post(in, "X-Sig", sha256hex("secret", c.signed))
				body := cut(r)
				_, err := v.Verify(r, []byte(body))
				return err
			}
			if err := judge(c.first); (err == nil) == c.neither {
				t.Errorf("the first: %v", err)
			}
			if judge(c.second) == nil {
				t.Error("the second is accepted")
			}
		})
	}
}

// Schemes that could never tell their values apart don't load.
func TestNeighbours(t *testing.T) {
	for _, text := range []string{
		"{id}{header.X-A}{body}", "{id}{event_type}.{body}", "{query.a}{query.b}{body}", "{json.a}{json.b}.{body}", "{field.a}{header.B}.{body}",
	} {
		s := base(func(s *verify.Scheme) {
			withID(text)(s)
			s.EventType = verify.Field{In: "header", Name: "X-Event"}
			s.Signature.Separator, s.Signature.Tags = ",", []string{"v1"}
		})
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "side by side") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for pattern, fixed := range map[string]bool{
		"[0-9a-f]{32}": true, "[0-9a-f]{8}-[0-9a-f]{4}": true, "evt_[a-z]{4}": true, "(ab|cd)": true, "^[a-z]{3}$": true,
		"[0-9]+": false, "a?": false, "a|bc": false, "[^a]{3}": false, ".{3}": false, "é{2}": false, "[0-9]{2,3}": false, `\w{4}`: true,
	} {
		s := base(func(s *verify.Scheme) {
			withID("{id}{header.X-A}.{body}")(s)
			s.ID.Pattern = pattern
		})
		if err := s.Validate(); (err == nil) != fixed {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

// A name stands in a header and in metrics.
func TestNames(t *testing.T) {
	for name, want := range map[string]bool{"acme": true, "Acme_2.x-y": true, "": true, "a\r\nX-Evil: 1": false, "a b": false, "ä": false, strings.Repeat("a", 65): false} {
		s := base(func(s *verify.Scheme) { s.Name = name })
		if err := s.Validate(); (err == nil) != want || err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A hash without a secret in it is anyone's to make.
func TestAHashNeedsASecret(t *testing.T) {
	for name, change := range map[string]func(*verify.Scheme){
		"content":      content(""),
		"body":         content("{body}"),
		"form content": func(s *verify.Scheme) { s.Content, s.FormContent = "{secret}{body}", "{form_sorted}" },
		"tag": func(s *verify.Scheme) {
			s.Content, s.Signature.Separator, s.Signature.Tags = "{secret}{body}", ",", []string{"v1"}
			s.Signature.TagContents = map[string]string{"v1": "{body}"}
		},
	} {
		s := base(change)
		s.Construction = "hash"
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "add {secret}") {
			t.Errorf("%s: %v", name, err)
		}
	}
	github := rowOf(t, "github")
	github.Construction = "hash"
	if github.Validate() == nil {
		t.Error("GitHub's row as a plain hash is accepted")
	}
}
