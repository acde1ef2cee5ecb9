package verify_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// recut is a signed content with two requests that could have it.
type recut struct {
	name          string
	scheme        func(*verify.Scheme)
	signed        string
	first, second cut
	neither       bool // the two can't be told apart, so both are refused
}

// cut is a request: its URI, the headers X-A, X-Id and X-Time, and its body.
type cut struct{ uri, a, id, time, body string }

func (c cut) request(signed string) *http.Request {
	r := post(in, "X-Sig", sha256hex("secret", signed))
	if c.uri != "" {
		r.RequestURI = c.uri
	}
	for name, value := range map[string]string{"X-A": c.a, "X-Id": c.id, "X-Time": c.time} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return r
}

func withID(content string) func(*verify.Scheme) {
	return func(s *verify.Scheme) {
		s.Content = content
		s.ID = verify.Field{In: "header", Name: "X-Id"}
	}
}

func fixedID(content string) func(*verify.Scheme) {
	return func(s *verify.Scheme) {
		withID(content)(s)
		s.ID.Pattern = "[0-9]{2}"
	}
}

func twoBytes(content string) func(*verify.Scheme) {
	return func(s *verify.Scheme) {
		withID(content)(s)
		s.ID.Pattern = "[!-~]{2}"
	}
}

func content(text string) func(*verify.Scheme) { return func(s *verify.Scheme) { s.Content = text } }

func timed(content string) func(*verify.Scheme) {
	return func(s *verify.Scheme) {
		withID(content)(s)
		s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time"}
	}
}

// Of two requests with the same signed content, at most one is accepted.
func TestRecuts(t *testing.T) {
	optional := func(s *verify.Scheme) {
		s.Content = "{timestamp}{body}"
		s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time", Optional: true}
	}
	for _, c := range []recut{
		{name: "a literal of two characters", scheme: withID("{id}::{body}"), signed: `i:::{"a":1}`, first: cut{id: "i", body: `:{"a":1}`}, second: cut{id: "i:", body: `{"a":1}`}, neither: true},
		{name: "a literal of two characters, used once", scheme: withID("{id}::{body}"), signed: `i::{"a":1}`, first: cut{id: "i", body: `{"a":1}`}, second: cut{id: "i:", body: `:{"a":1}`}},
		{name: "a dash at the end of an id", scheme: withID("{id}--{body}"), signed: `msg---x`, first: cut{id: "msg-", body: "x"}, second: cut{id: "msg", body: "-x"}, neither: true},
		{name: "a literal that overlaps itself", scheme: withID("{id}aba{body}"), signed: `ababax`, first: cut{id: "ab", body: "x"}, second: cut{body: "bax"}, neither: true},
		{name: "the same after the body", scheme: withID("{body}::{id}"), signed: `{"a":1}:::i`, first: cut{id: ":i", body: `{"a":1}`}, second: cut{id: "i", body: `{"a":1}:`}, neither: true},
		{name: "a pattern of several lengths", scheme: func(s *verify.Scheme) {
			withID("{id}{body}")(s)
			s.ID.Pattern = "[0-9]+"
		}, signed: "127x", first: cut{id: "12", body: "7x"}, second: cut{id: "127", body: "x"}, neither: true},
		{name: "a pattern of one length", scheme: func(s *verify.Scheme) {
			withID("{id}{body}")(s)
			s.ID.Pattern = "[0-9]{2}"
		}, signed: "127x", first: cut{id: "12", body: "7x"}, second: cut{id: "127", body: "x"}},
		{name: "an id before a timestamp", scheme: timed("{id}{timestamp}{body}"), signed: "i" + unixNow + unixNow + "x", first: cut{id: "i" + unixNow, time: unixNow, body: "x"}, second: cut{id: "i", time: unixNow, body: unixNow + "x"}, neither: true},
		{name: "an id before a timestamp, and JSON", scheme: timed("{id}{timestamp}{body}"), signed: "i" + unixNow + `{"a":"` + unixNow + `{}"}`, first: cut{id: "i", time: unixNow, body: `{"a":"` + unixNow + `{}"}`}, second: cut{id: "i" + unixNow + `{"a":"`, time: unixNow, body: `{}"}`}},
		{name: "an id before a timestamp and a dot", scheme: timed("{id}{timestamp}.{body}"), signed: "i" + unixNow + ".a=1&b=" + unixNow + ".c", first: cut{id: "i", time: unixNow, body: "a=1&b=" + unixNow + ".c"}, second: cut{id: "i" + unixNow + ".a=1&b=", time: unixNow, body: "c"}},
		{name: "an id after the body and a timestamp", scheme: timed("{body}.{timestamp}{id}"), signed: "c." + unixNow + "x." + unixNow + "i", first: cut{id: "i", time: unixNow, body: "c." + unixNow + "x"}, second: cut{id: "x." + unixNow + "i", time: unixNow, body: "c"}},
		{name: "a URL, an id and the body", scheme: withID("{uri}.{id}.{body}"), signed: "/a.i.x.y", first: cut{uri: "/a", id: "i", body: "x.y"}, second: cut{uri: "/a.i", id: "x", body: "y"}},
		{name: "an optional timestamp", scheme: optional, signed: unixNow + `{"a":1}`, first: cut{time: unixNow, body: `{"a":1}`}, second: cut{body: unixNow + `{"a":1}`}},
		{name: "a path with the literal in it", scheme: content("{path}.{body}"), signed: "/pb/.amount=1.5&to=bob", first: cut{uri: "/pb/", body: "amount=1.5&to=bob"}, second: cut{uri: "/pb/.amount=1", body: "5&to=bob"}},
		{name: "a path with the literal in it, and JSON", scheme: content("{path}.{body}"), signed: `/hooks.php.{"a":1.5}`, first: cut{uri: "/hooks.php", body: `{"a":1.5}`}, second: cut{uri: `/hooks.php.{"a":1`, body: `5}`}},
		{name: "a path that could include the text before JSON", scheme: content("{path}.{body}"), signed: `/hooks.php.{"a":1}`, first: cut{uri: "/hooks.php", body: `{"a":1}`}, second: cut{uri: "/hooks", body: `php.{"a":1}`}},
		{name: "a query that could include the text after JSON", scheme: content("{body}&{query}"), signed: `{"a":1}&b=2&c=3`, first: cut{uri: "/in?b=2&c=3", body: `{"a":1}`}, second: cut{uri: "/in?c=3", body: `{"a":1}&b=2`}},
		{name: "a path that could be the body", scheme: content("{path}.{body}"), signed: "/hooks.php.", first: cut{uri: "/hooks", body: "php."}, second: cut{uri: "/hooks.php"}},
		{name: "the body between path and query", scheme: content("{path}.{body}.{query}"), signed: "/in.b.{}.c.d", first: cut{uri: "/in?d", body: "b.{}.c"}, second: cut{uri: "/in.b?c.d", body: "{}"}},
		{name: "a path and a query", scheme: content("{path}.{query}.{body}"), signed: "/in.b.c.{}", first: cut{uri: "/in?b.c", body: "{}"}, second: cut{uri: "/in.b?c", body: "{}"}},
		{name: "a path and a query, with more in between", scheme: content("{path}.{method}.{query}.{body_sha256}"), signed: "/in.POST.b.POST.c." + sha256sum(""), first: cut{uri: "/in?b.POST.c"}, second: cut{uri: "/in.POST.b?c"}},
		{name: "a path that ends with a piece of the literal, and a query", scheme: content("{path}--{query}{body_sha256}"), signed: "/in---a" + sha256sum(""), first: cut{uri: "/in?-a"}, second: cut{uri: "/in-?a"}},
		{name: "a URL next to a form", scheme: content("{uri}{body}"), signed: "/in?x=1a=1&b=2", first: cut{uri: "/in?x=1", body: "a=1&b=2"}, second: cut{uri: "/in?x=1a=1&", body: "b=2"}, neither: true},
		{name: "a form next to a URL", scheme: content("{body}{url}"), signed: in + "?u=" + in, first: cut{uri: "/in?u=" + in}, second: cut{uri: "/in", body: in + "?u="}},
		{name: "a query that could be the body", scheme: content("{body}{query}"), signed: `{"a":1}`, first: cut{uri: "/in", body: `{"a":1}`}, second: cut{uri: `/in?{"a":1}`}},
		{name: "a path that ends with an array", scheme: content("{path}{body}"), signed: "/in[1]", first: cut{uri: "/in", body: "[1]"}, second: cut{uri: "/in[1]"}},
		{name: "a URL before a timestamp and a form", scheme: timed("{uri}{timestamp}{body}"), signed: "/in?a=" + unixNow + "b=" + unixNow + "&c=1", first: cut{uri: "/in?a=", id: "i", time: unixNow, body: "b=" + unixNow + "&c=1"}, second: cut{uri: "/in?a=" + unixNow + "b=", id: "i", time: unixNow, body: "&c=1"}, neither: true},
		{name: "a header before an id of one length", scheme: func(s *verify.Scheme) {
			withID("{header.X-A}{id}{body}")(s)
			s.ID.Pattern = "[0-9]{2}"
		}, signed: "x1122", first: cut{a: "x", id: "11", body: "22"}, second: cut{a: "x1", id: "12", body: "2"}, neither: true},
		{name: "a header before an id of one length and a dot", scheme: fixedID("{header.X-A}{id}.{body}"), signed: "x11.y22.z", first: cut{a: "x", id: "11", body: "y22.z"}, second: cut{a: "x11.y", id: "22", body: "z"}},
		{name: "a header after the body, a dot and an id of one length", scheme: fixedID("{body}.{id}{header.X-A}"), signed: "x.11y.22z", first: cut{a: "z", id: "22", body: "x.11y"}, second: cut{a: "y.22z", id: "11", body: "x"}},
		{name: "a header before an id of one length and a longer literal", scheme: fixedID("{header.X-A}{id}=.{body}"), signed: "x11=.11=.z", first: cut{a: "x", id: "11", body: "11=.z"}, second: cut{a: "x11=.", id: "11", body: "z"}},
		{name: "an id of one length that could end the literal", scheme: twoBytes("{header.X-A}{id}.-{body}"), signed: "xyz.-q.-z", first: cut{a: "x", id: "yz", body: "q.-z"}, second: cut{a: "xyz.", id: "-q", body: "z"}},
		{name: "an id of one length that could begin the literal", scheme: twoBytes("{body}.-{id}{header.X-A}"), signed: "x.-q.-yzw", first: cut{a: "w", id: "yz", body: "x.-q"}, second: cut{a: "-yzw", id: "q.", body: "x"}},
		{name: "a query before an id of one length and a dot", scheme: fixedID("{query}{id}.{body}"), signed: `a11.22.{"b":1}`, first: cut{uri: "/in?a11.", id: "22", body: `{"b":1}`}, second: cut{uri: "/in?a", id: "11", body: `22.{"b":1}`}},
		{name: "a header before an id of one length and a timestamp", scheme: func(s *verify.Scheme) {
			timed("{header.X-A}{id}{timestamp}{body}")(s)
			s.ID.Pattern = "[0-9]{2}"
		}, signed: "x11" + unixNow + `{"a":"22` + unixNow + `{}"}`, first: cut{a: "x", id: "11", time: unixNow, body: `{"a":"22` + unixNow + `{}"}`}, second: cut{a: "x11" + unixNow + `{"a":"`, id: "22", time: unixNow, body: `{}"}`}},
		{name: "an id of one length after an empty body, and a query", scheme: twoBytes("{body}{id}{query}"), signed: "{}ab", first: cut{uri: "/in", id: "ab", body: "{}"}, second: cut{uri: "/in?ab", id: "{}"}},
		{name: "an id of one length before an empty body, and a header", scheme: twoBytes("{header.X-A}{id}{body}"), signed: "xab[]", first: cut{a: "x", id: "ab", body: "[]"}, second: cut{a: "xab", id: "[]"}},
		{name: "an id before the method", scheme: withID("{id}{method}{body}"), signed: `iPOST{"a":"POST{}"}`, first: cut{id: "i", body: `{"a":"POST{}"}`}, second: cut{id: `iPOST{"a":"`, body: `{}"}`}},
		{name: "an id before the host", scheme: withID("{id}{host}{body}"), signed: `ihooks.example.com{"a":"hooks.example.com{}"}`, first: cut{id: "i", body: `{"a":"hooks.example.com{}"}`}, second: cut{id: `ihooks.example.com{"a":"`, body: `{}"}`}},
		{name: "a function before a timestamp", scheme: timed("{func.contentful_path}{timestamp}{body}"), signed: "/in" + unixNow + "x" + unixNow + "y", first: cut{uri: "/in", time: unixNow, body: "x" + unixNow + "y"}, second: cut{uri: "/in" + unixNow + "x", time: unixNow, body: "y"}, neither: true},
		{name: "an optional timestamp that ends with a letter", scheme: func(s *verify.Scheme) {
			optional(s)
			s.Content, s.Timestamp.Format = "{body}{timestamp}", "rfc3339"
		}, signed: `{"a":1}` + "2023-11-14T22:13:20Z", first: cut{time: "2023-11-14T22:13:20Z", body: `{"a":1}`}, second: cut{body: `{"a":1}` + "2023-11-14T22:13:20Z"}},
		{name: "a URL before two colons and an optional timestamp", scheme: func(s *verify.Scheme) {
			optional(s)
			s.Content = "{uri}::{timestamp}{body}"
		}, signed: "/in:::x", first: cut{uri: "/in:", body: "x"}, second: cut{uri: "/in", body: ":x"}},
		{name: "a path before two dashes, and a header after an empty body", scheme: content("{path}--{body}{header.X-A}"), signed: "/---12", first: cut{uri: "/", a: "-12"}, second: cut{uri: "/-", a: "12"}},
		{name: "a query after the body", scheme: content("{body}&{query}"), signed: "a=1&b=2&c=3", first: cut{uri: "/in?c=3", body: "a=1&b=2"}, second: cut{uri: "/in?b=2&c=3", body: "a=1"}},
		{name: "a path next to the body", scheme: func(s *verify.Scheme) {
			s.Content, s.EventType = "{path}{body}", verify.Field{In: "json", Name: "type"}
		}, signed: `/in{"a":{"b":1}}`, first: cut{uri: "/in", body: `{"a":{"b":1}}`}, second: cut{uri: `/in{"a":`, body: `{"b":1}}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := verifierOf(t, base(c.scheme))
			if _, err := v.Verify(c.first.request(c.signed), []byte(c.first.body)); (err == nil) == c.neither {
				t.Errorf("the first request: error %v, want refused: %t", err, c.neither)
			}
			refuse(t, v, c.second.request(c.signed), c.second.body, "")
		})
	}
}

// Content that can only be read in one way is accepted.
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
			t.Errorf("%q: refused as %v, want accepted", c.signed, err)
		}
	}
}

// A content with adjacent values of variable length is an error, unless UnboundBody is
// set. A pattern of fixed length separates them.
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
			t.Errorf("%s: error %v, want values side by side", text, err)
		}
		if s.UnboundBody = true; s.Validate() != nil {
			t.Errorf("%s, with UnboundBody: %v", text, s.Validate())
		}
	}
	for _, text := range []string{"{timestamp}{id}.{body}", "{id}{timestamp}.{body}"} {
		for name, change := range map[string]func(*verify.Timestamp){
			"optional":    func(at *verify.Timestamp) { at.Optional = true },
			"either unit": func(at *verify.Timestamp) { at.Format = "unix_or_ms" },
		} {
			s := base(timed(text))
			change(&s.Timestamp)
			if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "side by side") {
				t.Errorf("%s, %s: error %v, want values side by side", text, name, err)
			}
		}
	}
	// Without its timestamp, 17 and 1700000000 could be what comes after it.
	for text, unclear := range map[string]bool{
		"{id}.{timestamp}1{body}": true, "{id}.{timestamp}T{body}": true, "{timestamp}1{id}.{body}": true, "{body}1{timestamp}.{id}": true, "{id}.1{timestamp}.{body}": true,
		"{id}.{timestamp}.1{body}": false, "v1{timestamp}.{body}": false, "{id}1.{timestamp}:{body}": false, "{body}.{timestamp}1": false,
	} {
		for name, change := range map[string]func(*verify.Timestamp){
			"optional":    func(at *verify.Timestamp) { at.Optional = true },
			"either unit": func(at *verify.Timestamp) { at.Format = "unix_or_ms" },
			"fixed":       nil,
		} {
			s, want := base(timed(text)), unclear && change != nil
			if change != nil {
				change(&s.Timestamp)
			}
			if err := s.Validate(); (err != nil) != want || want && !strings.Contains(err.Error(), "could be a piece of it") {
				t.Errorf("%s, %s: error %v, want an unclear end: %t", text, name, err, want)
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
			t.Errorf("pattern %s: error %v, want fixed length: %t", pattern, err, fixed)
		}
	}
}
