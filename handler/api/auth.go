package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// Scope is what a token allows: a set of bits, one for each kind of request.
type Scope uint8

// The scopes of tokens. ScopeManage includes the others.
const (
	ScopePublish Scope = 1 << iota // POST /events
	ScopeRead                      // every GET except that of signing secrets
	scopeManage
	ScopeManage = ScopePublish | ScopeRead | scopeManage
)

var scopeNames = map[Scope]string{ScopePublish: "publish", ScopeRead: "read", ScopeManage: "manage"}

func (s Scope) String() string {
	if name, ok := scopeNames[s]; ok {
		return name
	}
	return "publish and read" // of a token that is given twice, once with each
}

// ParseScope returns the scope with the given name: publish, read or manage.
func ParseScope(name string) (Scope, error) {
	for s, n := range scopeNames {
		if n == name {
			return s, nil
		}
	}
	return 0, errors.New("unknown scope: after the token write publish, read or manage")
}

// need is what a route requires of a token: at least one of these bits.
type need Scope

const (
	needPublish = need(ScopePublish)
	needRead    = need(ScopeRead)
	needManage  = need(scopeManage)
	needAny     = need(ScopeManage)
)

// scope returns the narrowest scope that meets the need.
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

// Token is a bearer token with its scope.
type Token struct {
	Value string
	Scope Scope
}

// grant is what a request may do.
type grant struct {
	scope  Scope
	tenant string    // the only one that it sees and changes; "" for all of them
	until  time.Time // when it ends; zero if it doesn't
}

// bound returns the request with a context that ends when the grant does, so that a tail,
// for example, doesn't go on. Its cause says why.
func (g grant) bound(r *http.Request) (bounded *http.Request, end func()) {
	if g.until.IsZero() {
		return r, func() {}
	}
	ctx, end := context.WithDeadlineCause(r.Context(), g.until, expired(g.until))
	return r.WithContext(ctx), end
}

// over returns the reason if the request's grant has ended, or the config under which it
// began, as the next one may not have its token.
func (c *call) over(config context.Context) error {
	if cause, ok := errors.AsType[*problem](context.Cause(c.r.Context())); ok {
		return cause
	}
	if config.Err() != nil {
		return refuse(codeUnavailable, "the server has another configuration now, or is stopping: send this again in a new request").retryAfter(soon)
	}
	return nil
}

// auth decides what a request may do.
type auth struct {
	tokens  []tokenHash
	issuers [][]byte                            // the keys of the manage tokens that can issue tokens for tenants
	origins *http.CrossOriginProtection         // set if there is no authentication
	tenant  func(*http.Request) (string, error) // as in Config
}

// tokenHash is a token as it is kept and compared: hashes are of one length, so
// the time of a comparison doesn't reveal that of a token.
type tokenHash struct {
	hash  [sha256.Size]byte
	scope Scope
}

func newAuth(c Config) (*auth, error) {
	switch {
	case c.NoAuth && len(c.Tokens) > 0:
		return nil, errors.New("setting up the API: it has tokens, although authentication is off: choose one of the two")
	case !c.NoAuth && len(c.Tokens) == 0:
		return nil, errors.New("setting up the API: it has no token: add one with its scope (publish, read or manage), or turn authentication off")
	}
	a := &auth{tenant: c.Tenant}
	if c.NoAuth {
		a.origins = http.NewCrossOriginProtection()
	}
	for _, t := range c.Tokens {
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("setting up the API: %w", err)
		}
		a.tokens = append(a.tokens, tokenHash{sha256.Sum256([]byte(t.Value)), t.Scope})
		if key := issuerKey(t.Value); key != nil && t.Scope == ScopeManage {
			a.issuers = append(a.issuers, key)
		}
	}
	return a, nil
}

// check returns an error if the token could never match. The error doesn't
// contain its value.
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

// check returns what the request may do, or an error if its token is missing, unknown
// or for another tenant, or if its tenant isn't known.
func (a *auth) check(r *http.Request) (grant, error) {
	g, err := a.authenticate(r)
	if err != nil {
		return grant{}, err
	}
	tenant, err := a.tenantOf(r)
	if err != nil {
		return grant{}, err
	}
	if g.tenant != "" && tenant != "" && g.tenant != tenant {
		return grant{}, refuse(codeOtherTenant, "this token is for another tenant than this API")
	}
	g.tenant = cmp.Or(g.tenant, tenant)
	return g, nil
}

// authenticate returns what the request's token grants.
func (a *auth) authenticate(r *http.Request) (grant, error) {
	if a.origins != nil {
		// What guards the API instead, such as basic_auth, lets the browser in,
		// and with it requests that another site's page makes it send.
		if a.origins.Check(r) != nil {
			return grant{}, refuse(codeCrossOrigin, "a page of another origin sent this request: send it from a page of this origin, or from a program")
		}
		return grant{scope: ScopeManage}, nil
	}
	token, err := bearer(r.Header)
	if err != nil {
		return grant{}, err
	}
	switch scope := a.configured(token); {
	case scope != 0:
		return grant{scope: scope}, nil
	case strings.HasPrefix(token, tenantTokenPrefix):
		return a.tenantGrant(token)
	}
	return grant{}, invalidToken("the server doesn't know this token: use one of those in its configuration")
}

// configured returns the scope of a token in the configuration, or 0 if it isn't there.
func (a *auth) configured(token string) Scope {
	sent := sha256.Sum256([]byte(token))
	var granted Scope
	for i := range a.tokens { // all of them, so that the time doesn't reveal which one matched
		t := &a.tokens[i]
		same := subtle.ConstantTimeCompare(sent[:], t.hash[:])
		granted |= Scope(subtle.ConstantTimeSelect(same, int(t.scope), 0))
	}
	return granted
}

func invalidToken(format string, args ...any) error {
	return refuse(codeInvalidToken, format, args...).with("WWW-Authenticate", `Bearer realm="webhooks", error="invalid_token"`)
}

// tenantOf returns the tenant that the API is for at this request, or "" if it is for
// all of them.
func (a *auth) tenantOf(r *http.Request) (string, error) {
	if a.tenant == nil {
		return "", nil
	}
	tenant, err := a.tenant(r)
	if err == nil && tenant == "" { // which would mean all tenants
		err = errors.New("no tenant is given")
	}
	if err == nil {
		if err = outbound.CheckTenant(tenant); err != nil {
			err = fmt.Errorf("%s can't be a tenant: %w", quote(tenant), err)
		}
	}
	if err != nil {
		return "", refuse(codeNoTenant, "the server can't tell which tenant this request is from: its log says why").because(err)
	}
	return tenant, nil
}

// bearer returns the token of the Authorization header.
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

// allow returns an error if the granted scope doesn't cover the request.
func (n need) allow(granted Scope, r *http.Request) error {
	if granted&Scope(n) != 0 {
		return nil
	}
	return refuse(codeScope, "this token has the scope %v, and %s %s needs %v: use another token", granted, r.Method, r.URL.Path, n).
		with("WWW-Authenticate", fmt.Sprintf(`Bearer realm="webhooks", error="insufficient_scope", scope="%v"`, n.scope()))
}
