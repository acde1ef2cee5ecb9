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

func timed(content string) func(*verify.Scheme) {
	return func(s *verify.Scheme) {
		withID(content)(s)
		s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time"}
	}
}

func at(value, body string) func(*http.Request) string {
	return func(r *http.Request) string {
		r.Header.Set("X-Time", unixNow)
		return id(value, body)(r)
	}
}

func path2(uri, value, body string) func(*http.Request) string {
	return func(r *http.Request) string {
		r.RequestURI = uri
		return id(value, body)(r)
	}
}

func path3(uri, body string) func(*http.Request) string {
	return func(r *http.Request) string {
		r.RequestURI = uri
		return at("i", body)(r)
	}
}

func header2(value, ident, body string) func(*http.Request) string {
	return func(r *http.Request) string {
		r.Header.Set("X-A", value)
		return id(ident, body)(r)
	}
}

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
		}, neither: true},
		{name: "an id before a time, and JSON", scheme: timed("{id}{timestamp}{body}"), signed: "i" + unixNow + `{"a":"` + unixNow + `{}"}`, first: at("i", `{"a":"`+unixNow+`{}"}`), second: at("i"+unixNow+`{"a":"`, `{}"}`)},
		{name: "an id before a time and a dot", scheme: timed("{id}{timestamp}.{body}"), signed: "i" + unixNow + ".a=1&b=" + unixNow + ".c", first: at("i", "a=1&b="+unixNow+".c"), second: at("i"+unixNow+".a=1&b=", "c")},
		{name: "an id behind the body and a time", scheme: timed("{body}.{timestamp}{id}"), signed: "c." + unixNow + "x." + unixNow + "i", first: at("i", "c."+unixNow+"x"), second: at("x."+unixNow+"i", "c")},
		{name: "a URL, an id and the body", scheme: withID("{uri}.{id}.{body}"), signed: "/a.i.x.y", first: path2("/a", "i", "x.y"), second: path2("/a.i", "x", "y")},
		{name: "a time that need not be there", scheme: optional, signed: unixNow + `{"a":1}`, first: func(r *http.Request) string {
			r.Header.Set("X-Time", unixNow)
			return `{"a":1}`
		}, second: func(*http.Request) string { return unixNow + `{"a":1}` }},
		{name: "a path with the literal in it", scheme: content("{path}.{body}"), signed: "/pb/.amount=1.5&to=bob", first: path("/pb/", "amount=1.5&to=bob"), second: path("/pb/.amount=1", "5&to=bob")},
		{name: "a path with the literal in it, and JSON", scheme: content("{path}.{body}"), signed: `/hooks.php.{"a":1.5}`, first: path("/hooks.php", `{"a":1.5}`), second: path(`/hooks.php.{"a":1`, `5}`)},
		{name: "a path that could be longer by what stands before JSON", scheme: content("{path}.{body}"), signed: `/hooks.php.{"a":1}`, first: path("/hooks.php", `{"a":1}`), second: path("/hooks", `php.{"a":1}`)},
		{name: "a query that could be longer by what stands behind JSON", scheme: content("{body}&{query}"), signed: `{"a":1}&b=2&c=3`, first: path("/in?b=2&c=3", `{"a":1}`), second: path("/in?c=3", `{"a":1}&b=2`)},
		{name: "a path that could be the body", scheme: content("{path}.{body}"), signed: "/hooks.php.", first: path("/hooks", "php."), second: path("/hooks.php", "")},
		{name: "the body between path and query", scheme: content("{path}.{body}.{query}"), signed: "/in.b.{}.c.d", first: path("/in?d", "b.{}.c"), second: path("/in.b?c.d", "{}")},
		{name: "a path and a query", scheme: content("{path}.{query}.{body}"), signed: "/in.b.c.{}", first: path("/in?b.c", "{}"), second: path("/in.b?c", "{}")},
		{name: "a path and a query, apart by more", scheme: content("{path}.{method}.{query}.{body_sha256}"), signed: "/in.POST.b.POST.c." + sha256sum(""), first: path("/in?b.POST.c", ""), second: path("/in.POST.b?c", "")},
		{name: "a URL that meets a form", scheme: content("{uri}{body}"), signed: "/in?x=1a=1&b=2", first: path("/in?x=1", "a=1&b=2"), second: path("/in?x=1a=1&", "b=2"), neither: true},
		{name: "a form that meets a URL", scheme: content("{body}{url}"), signed: in + "?u=" + in, first: path("/in?u="+in, ""), second: path("/in", in+"?u=")},
		{name: "a query that could be the body", scheme: content("{body}{query}"), signed: `{"a":1}`, first: path("/in", `{"a":1}`), second: path(`/in?{"a":1}`, "")},
		{name: "a path with an array for its end", scheme: content("{path}{body}"), signed: "/in[1]", first: path("/in", "[1]"), second: path("/in[1]", "")},
		{name: "a URL before a time and a form", scheme: timed("{uri}{timestamp}{body}"), signed: "/in?a=" + unixNow + "b=" + unixNow + "&c=1", first: path3("/in?a=", "b="+unixNow+"&c=1"), second: path3("/in?a="+unixNow+"b=", "&c=1"), neither: true},
		{name: "a header before an id of one length", scheme: func(s *verify.Scheme) {
			withID("{header.X-A}{id}{body}")(s)
			s.ID.Pattern = "[0-9]{2}"
		}, signed: "x1122", first: header2("x", "11", "22"), second: header2("x1", "12", "2"), neither: true},
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

// What is clear is not refused.
func TestClearBoundaries(t *testing.T) {
	for _, c := range []struct {
		scheme       func(*verify.Scheme)
		signed, body string
	}{
		{content("{url}.{body}"), in + ".a=1.5", "a=1.5"},
		{content("{url}:{body}"), in + ":text", "text"},
		{content("{host}.{body}"), "hooks.example.com.a.b", "a.b"},
		{content("{path}/{body}"), "/in/{}", "{}"},
		{content("{path}.{body}"), "/in.a.[b].c", "a.[b].c"},
		{content(`{path}\n{body}\n{query}`), "/in\nsee [1]\n", "see [1]"},
		{content(`{path}\n{json.a*}:{body_sha256}`), "/in\nb:c:" + sha256sum(`{"a":"b:c"}`), `{"a":"b:c"}`},
		{content("{path}?{query}.{body}"), "/in?.{}", "{}"},
		{content("{url}{body}"), in + "{}", "{}"},
		{content(`{method}\n\n{body}`), "POST\n\n\ntext", "\ntext"},
		{timed(`{timestamp}\n\n{body}`), unixNow + "\n\n\ntext", "\ntext"},
		{timed(`{body}\n\n{timestamp}`), "text\n\n\n" + unixNow, "text\n"},
		{timed("{timestamp}::{body}"), unixNow + ":::x", ":x"},
		{timed("{timestamp}{body}"), unixNow + "123", "123"},
		{timed("{id}.{timestamp}.{body}"), "i." + unixNow + ".a.b.1", "a.b.1"},
	} {
		r := post(in, "X-Sig", sha256hex("secret", c.signed), "X-Time", unixNow, "X-Id", "i")
		if _, err := verifierOf(t, base(c.scheme)).Verify(r, []byte(c.body)); err != nil {
			t.Errorf("%q is refused: %v", c.signed, err)
		}
	}
}

// Schemes that could never tell their values apart don't load.
func TestNeighbours(t *testing.T) {
	for _, text := range []string{
		"{uri}{id}.{body}", "{path}{header.X-A}.{body}", "{id}{query}.{body}", "{path}{query}.{body}",
		"{id}{header.X-A}{body}", "{id}{event_type}.{body}", "{query.a}{query.b}{body}", "{json.a}{json.b}.{body}", "{field.a}{header.B}.{body}",
		"{header.X-A}{body}{id}", "{path}{body}{query}", "{id}.{uri}{body}{event_type}", "{header.X-A}{timestamp}{id}.{body}",
	} {
		s := base(func(s *verify.Scheme) {
			withID(text)(s)
			s.EventType = verify.Field{In: "header", Name: "X-Event"}
			if strings.Contains(text, "{timestamp}") {
				s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time"}
			}
			s.Signature.Separator, s.Signature.Tags = ",", []string{"v1"}
		})
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "side by side") {
			t.Errorf("%s: %v", text, err)
		}
		if s.UnboundBody = true; s.Validate() != nil {
			t.Errorf("%s, with what it binds accepted: %v", text, s.Validate())
		}
	}
	for _, text := range []string{"{timestamp}{id}.{body}", "{id}{timestamp}.{body}"} {
		for name, change := range map[string]func(*verify.Timestamp){
			"no time":     func(at *verify.Timestamp) { at.Optional = true },
			"either unit": func(at *verify.Timestamp) { at.Format = "unix_or_ms" },
		} {
			s := base(timed(text))
			change(&s.Timestamp)
			if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "side by side") {
				t.Errorf("%s, %s: %v", text, name, err)
			}
		}
	}
	for pattern, fixed := range map[string]bool{
		"[0-9a-f]{32}": true, "[0-9a-f]{8}-[0-9a-f]{4}": true, "evt_[a-z]{4}": true, "(ab|cd)": true, "^[a-z]{3}$": true,
		"[0-9]+": false, "a?": false, "a|bc": false, "[^a]{3}": false, ".{3}": false, "é{2}": false, "[0-9]{2,3}": false, `\w{4}`: true, "(?i)sk_[0-9]{4}": false, "(?i)ab_[0-9]{4}": true,
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
