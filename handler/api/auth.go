package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Scope is what a token allows.
type Scope uint8

// The scopes of tokens. ScopeManage includes the others.
const (
	ScopePublish Scope = 1 << iota // POST /events
	ScopeRead                      // every GET, signing secrets excepted
	scopeManage
	ScopeManage = ScopePublish | ScopeRead | scopeManage
)

var scopeNames = map[Scope]string{ScopePublish: "publish", ScopeRead: "read", ScopeManage: "manage"}

func (s Scope) String() string {
	if name, ok := scopeNames[s]; ok {
		return name
	}
	return "publish and read" // the sum of a token that is given twice
}

// ParseScope reads what String writes.
func ParseScope(name string) (Scope, error) {
	for s, n := range scopeNames {
		if n == name {
			return s, nil
		}
	}
	return 0, errors.New("unknown scope: behind the token write publish, read or manage")
}

// need is what a route asks of a token: to have one of these bits.
type need Scope

const (
	needPublish = need(ScopePublish)
	needRead    = need(ScopeRead)
	needManage  = need(scopeManage)
	needAny     = need(ScopeManage)
)

// scope is the narrowest one that meets the need.
func (n need) scope() Scope {
	if n == needManage {
		return ScopeManage
	}
	return Scope(n)
}

func (n need) String() string {
	if n == needManage {
		return "manage"
	}
	return n.scope().String() + " or manage"
}

// Token is a bearer token with what it allows.
type Token struct {
	Value string
	Scope Scope
}

// auth tells what a request may do. Without tokens, which its caller must have
// asked for, everything.
type auth struct {
	tokens  []sum
	origins *http.CrossOriginProtection
}

// sum is a token as it is kept: of a length that tells nothing.
type sum struct {
	hash  [sha256.Size]byte
	scope Scope
}

func newAuth(tokens []Token, noAuth bool) (*auth, error) {
	switch {
	case noAuth && len(tokens) > 0:
		return nil, errors.New("setting up the API: tokens are given although there is to be no authentication: choose one of the two")
	case !noAuth && len(tokens) == 0:
		return nil, errors.New("setting up the API: no token is given: add one with its scope (publish, read or manage), or say that there is to be no authentication")
	case noAuth:
		return &auth{origins: http.NewCrossOriginProtection()}, nil
	}
	a := &auth{}
	for _, t := range tokens {
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("setting up the API: %w", err)
		}
		a.tokens = append(a.tokens, sum{sha256.Sum256([]byte(t.Value)), t.Scope})
	}
	return a, nil
}

// check refuses tokens that could never match. Errors don't repeat the value.
func (t Token) check() error {
	if _, ok := scopeNames[t.Scope]; !ok {
		return errors.New("a token has no scope: give it publish, read or manage")
	}
	if t.Value == "" {
		return fmt.Errorf("the token for the scope %v is empty: is the variable or file that it comes from set?", t.Scope)
	}
	for _, c := range []byte(t.Value) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("the token for the scope %v has a space, a line break or another character that can't be sent in a header: use letters and digits", t.Scope)
		}
	}
	return nil
}

// check tells what the request may do.
func (a *auth) check(r *http.Request) (Scope, error) {
	if a.origins != nil {
		// Whoever guards this API knows the browser and not the page: what
		// another site's page makes a browser send is not the user's will.
		if a.origins.Check(r) != nil {
			return 0, refuse(codeCrossOrigin, "a page of another origin sent this request: send it from a page of this one, or from a program")
		}
		return ScopeManage, nil
	}
	token, err := bearer(r.Header)
	if err != nil {
		return 0, err
	}
	sent := sha256.Sum256([]byte(token))
	var granted Scope
	for i := range a.tokens { // all of them, so that the time tells nothing
		t := &a.tokens[i]
		same := subtle.ConstantTimeCompare(sent[:], t.hash[:])
		granted |= Scope(subtle.ConstantTimeSelect(same, int(t.scope), 0))
	}
	if granted == 0 {
		return 0, refuse(codeInvalidToken, "the server doesn't know this token: use one of those in its configuration").
			with("WWW-Authenticate", `Bearer realm="webhooks", error="invalid_token"`)
	}
	return granted, nil
}

func bearer(h http.Header) (string, error) {
	sent := h["Authorization"]
	if len(sent) == 0 {
		return "", refuse(codeMissingToken, "a token is needed: send it as Authorization: Bearer <token>").
			with("WWW-Authenticate", `Bearer realm="webhooks"`)
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	token = strings.Trim(token, " ")
	if len(sent) > 1 || token == "" || !strings.EqualFold(scheme, "Bearer") {
		return "", refuse(codeInvalidToken, "the Authorization header holds no bearer token: send it once, as Authorization: Bearer <token>").
			with("WWW-Authenticate", `Bearer realm="webhooks", error="invalid_request"`)
	}
	return token, nil
}

// allow refuses a request that its token's scope doesn't cover.
func (n need) allow(granted Scope, r *http.Request) error {
	if granted&Scope(n) != 0 {
		return nil
	}
	return refuse(codeScope, "this token has the scope %v, and %s %s needs %v: use another token", granted, r.Method, r.URL.Path, n).
		with("WWW-Authenticate", fmt.Sprintf(`Bearer realm="webhooks", error="insufficient_scope", scope="%v"`, n.scope()))
}
