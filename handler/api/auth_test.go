package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestScopes(t *testing.T) {
	for _, s := range []Scope{ScopePublish, ScopeRead, ScopeManage} {
		if got, err := ParseScope(s.String()); err != nil || got != s {
			t.Errorf("%v: %v, %v", s, got, err)
		}
	}
	for _, name := range []string{"", "admin", "Publish", "publish and read", "publish read"} {
		if _, err := ParseScope(name); err == nil || !strings.Contains(err.Error(), "publish, read or manage") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestInvalidTokens(t *testing.T) {
	for name, c := range map[string]struct {
		tokens []Token
		noAuth bool
		want   string
	}{
		"none":         {nil, false, "has no token"},
		"contradicted": {[]Token{{"x", ScopeRead}}, true, "choose one of the two"},
		"empty":        {[]Token{{"", ScopeRead}}, false, "the token for the scope read is empty"},
		"line break":   {[]Token{{"secret\n", ScopeManage}}, false, "can't be sent in a header"},
		"space":        {[]Token{{"sec ret", ScopeManage}}, false, "can't be sent in a header"},
		"not ASCII":    {[]Token{{"sécret", ScopeManage}}, false, "can't be sent in a header"},
		"no scope":     {[]Token{{"secret", 0}}, false, "a token has no scope"},
		"half a scope": {[]Token{{"secret", scopeManage}}, false, "a token has no scope"},
	} {
		_, err := newAuth(Config{Tokens: c.tokens, NoAuth: c.noAuth})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCharactersOfTokens(t *testing.T) {
	if _, err := newAuth(Config{Tokens: []Token{{"!~", ScopeRead}}}); err != nil {
		t.Error(err)
	}
}

func TestAuthorization(t *testing.T) {
	a := must.Get(newAuth(Config{Tokens: []Token{{"pub", ScopePublish}, {"both", ScopePublish}, {"both", ScopeRead}, {"all", ScopeManage}}}))(t)
	for _, c := range []struct {
		header  []string
		granted Scope
		code    string
	}{
		{[]string{"Bearer pub"}, ScopePublish, ""},
		{[]string{"bearer pub"}, ScopePublish, ""},
		{[]string{"BEARER  pub "}, ScopePublish, ""},
		{[]string{"Bearer both"}, ScopePublish | ScopeRead, ""},
		{[]string{"Bearer all"}, ScopeManage, ""},
		{nil, 0, codeMissingToken},
		{[]string{""}, 0, codeInvalidToken},
		{[]string{"Bearer"}, 0, codeInvalidToken},
		{[]string{"Bearer "}, 0, codeInvalidToken},
		{[]string{"pub"}, 0, codeInvalidToken},
		{[]string{"Basic cHViOg=="}, 0, codeInvalidToken},
		{[]string{"Basic pub"}, 0, codeInvalidToken},
		{[]string{"Bearer pu"}, 0, codeInvalidToken},
		{[]string{"Bearer pubb"}, 0, codeInvalidToken},
		{[]string{"Bearer Pub"}, 0, codeInvalidToken},
		{[]string{"Bearer pub both"}, 0, codeInvalidToken},
		{[]string{"Bearer pub", "Bearer pub"}, 0, codeInvalidToken},
	} {
		r := &http.Request{Header: http.Header{}}
		if c.header != nil {
			r.Header["Authorization"] = c.header
		}
		granted, err := a.check(r)
		if granted.scope != c.granted || (err != nil) != (c.code != "") {
			t.Errorf("%q: %v, %v", c.header, granted, err)
		}
		if err == nil {
			continue
		}
		p := problemOf(err)
		if challenge := p.header.Get("WWW-Authenticate"); p.Code != c.code || !strings.HasPrefix(challenge, `Bearer realm="webhooks"`) {
			t.Errorf("%q: %s, %s", c.header, p.Code, challenge)
		}
		if strings.Contains(p.Detail, "pub") {
			t.Errorf("%q is repeated: %s", c.header, p.Detail)
		}
	}
}

func TestNeeds(t *testing.T) {
	for _, c := range []struct {
		need    need
		allowed []Scope
		refused map[Scope]string // with the scope that is asked for
	}{
		{needPublish, []Scope{ScopePublish, ScopeManage, ScopePublish | ScopeRead}, map[Scope]string{ScopeRead: "publish"}},
		{needRead, []Scope{ScopeRead, ScopeManage, ScopePublish | ScopeRead}, map[Scope]string{ScopePublish: "read"}},
		{needManage, []Scope{ScopeManage}, map[Scope]string{ScopePublish: "manage", ScopeRead: "manage", ScopePublish | ScopeRead: "manage"}},
		{needAny, []Scope{ScopePublish, ScopeRead, ScopeManage}, nil},
	} {
		r, _ := http.NewRequest("GET", "/x", nil)
		for _, s := range c.allowed {
			if err := c.need.allow(s, r); err != nil {
				t.Errorf("%v with %v: %v", c.need, s, err)
			}
		}
		for s, want := range c.refused {
			err := c.need.allow(s, r)
			if err == nil {
				t.Errorf("%v is allowed with %v", c.need, s)
			} else if got := problemOf(err).header.Get("WWW-Authenticate"); !strings.HasSuffix(got, `error="insufficient_scope", scope="`+want+`"`) {
				t.Errorf("%v with %v: %s", c.need, s, got)
			}
		}
	}
}

func TestCrossOriginRequests(t *testing.T) {
	a := must.Get(newAuth(Config{NoAuth: true}))(t)
	for _, c := range []struct {
		method string
		header http.Header
		ok     bool
	}{
		{"POST", http.Header{}, true}, // a program
		{"POST", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://other"}}, true},
		{"POST", http.Header{"Origin": {"http://hooks:2019"}}, true}, // Caddy's own commands
		{"GET", http.Header{"Sec-Fetch-Site": {"cross-site"}}, true},
		{"POST", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		{"DELETE", http.Header{"Sec-Fetch-Site": {"same-site"}}, false},
		{"POST", http.Header{"Origin": {"http://evil.example"}}, false},
		{"POST", http.Header{"Origin": {"null"}}, false},
	} {
		r, _ := http.NewRequest(c.method, "http://hooks:2019/events", nil)
		r.Header = c.header
		granted, err := a.check(r)
		if (err == nil) != c.ok || c.ok != (granted.scope == ScopeManage) {
			t.Errorf("%s with %v: %v, %v", c.method, c.header, granted, err)
		}
	}
}
