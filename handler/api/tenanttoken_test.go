package api

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

const (
	issuing   = "manage-0123456789-0123456789"
	notManage = "read-0123456789-0123456789-0"
	tooShort  = "manage-0123456789-01234"
)

// issuingAuth accepts a manage token that can issue tokens, one that is too short to,
// and one that is not for manage.
func issuingAuth(t testing.TB, tenant func(*http.Request) (string, error)) *auth {
	t.Helper()
	a := must.Get(newAuth(Config{Tenant: tenant, Tokens: []Token{
		{"other-manage-0123456789-0123456789", ScopeManage}, {issuing, ScopePublish}, {issuing, ScopeManage},
		{tooShort, ScopeManage}, {notManage, ScopeRead}, {notManage, ScopePublish},
	}}))(t)
	return a
}

func (a *auth) checkToken(token string) (grant, error) {
	return a.check(&http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}})
}

// keyOf is what the key of a manage token would be, were it long enough.
func keyOf(manageToken string) []byte {
	if key := issuerKey(manageToken); key != nil {
		return key
	}
	return issuerKey(manageToken + strings.Repeat("\x00", minIssuer)) // the same to HMAC
}

// payload is that of a token, without its MAC.
func payload(version, scope byte, expires time.Time, tenant string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{version, scope}, uint64(expires.UnixMilli())), tenant...)
}

func TestTenantTokens(t *testing.T) {
	a := issuingAuth(t, nil)
	expires := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	for _, tenant := range []string{"a", "...", "wht_", strings.Repeat("x", 128), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"} {
		for _, scope := range []Scope{ScopeRead, ScopeManage} {
			text := tenantToken{scope, tenant, expires}.sign(issuerKey(issuing))
			g, err := a.checkToken(text)
			if want := (grant{scope, tenant, expires}); err != nil || g.scope != want.scope || g.tenant != want.tenant || !g.until.Equal(want.until) {
				t.Errorf("%s for %s: got %v, %v", scope, tenant, g, err)
			}
			if len(text) > tenantTokenMax {
				t.Errorf("got %d characters, want at most %d", len(text), tenantTokenMax)
			}
		}
	}
	late := tenantToken{ScopeManage, "acme", time.Now()}.sign(issuerKey(issuing))
	if g, err := a.checkToken(late); err == nil || g != (grant{}) || !strings.Contains(err.Error(), "this token expired at 20") || problemOf(err).Status != 401 {
		t.Errorf("expired: got %v, %v", g, err)
	}
}

// A token that is in the configuration is that one, whatever it looks like.
func TestConfiguredTokenLikeATenants(t *testing.T) {
	a := must.Get(newAuth(Config{Tokens: []Token{{"wht_configured", ScopePublish}}}))(t)
	if g, err := a.checkToken("wht_configured"); err != nil || g != (grant{scope: ScopePublish}) {
		t.Errorf("got %v, %v", g, err)
	}
}

// Nothing but the very text that was issued is accepted.
func TestForgedTenantTokens(t *testing.T) {
	a := issuingAuth(t, nil)
	expires := time.Now().Add(time.Hour)
	sealed := func(version, scope byte, expires time.Time, tenant string) string {
		return tenantTokenText(payload(version, scope, expires, tenant), issuerKey(issuing))
	}
	for _, tenant := range []string{"a", "ac", "acm"} { // with each number of trailing bits
		text := sealed(1, byte(ScopeRead), expires, tenant)
		if g, err := a.checkToken(text); err != nil || g.tenant != tenant {
			t.Fatalf("got %v, %v", g, err)
		}
		refused := func(what, forged string) {
			t.Helper()
			g, err := a.checkToken(forged)
			if err == nil || g != (grant{}) {
				t.Fatalf("%s: %q is accepted: %v", what, forged, g)
			}
			p := problemOf(err)
			if p.Status != http.StatusUnauthorized || p.Code != codeInvalidToken || strings.Contains(p.Detail, text[:8]) || len(p.Detail) > 200 {
				t.Fatalf("%s: got %v", what, p)
			}
		}
		for i := range text {
			refused("truncated", text[:i])
			for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=.\n\r\x00" {
				if c != rune(text[i]) {
					refused("altered", text[:i]+string(c)+text[i+1:])
				}
				refused("longer", text[:i+1]+string(c)+text[i+1:])
			}
		}
		refused("padded", text+strings.Repeat("=", 3))
		refused("in capitals", strings.ToUpper(text))
		refused("prefixed twice", tenantTokenPrefix+text)
		refused("twice", text+text)
		refused("large", text+strings.Repeat("A", 100<<10))
		refused("large and all zero", tenantTokenPrefix+strings.Repeat("A", 100<<10))

		raw := must.Get(base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, tenantTokenPrefix)))(t)
		mac := raw[len(raw)-32:]
		for what, other := range map[string][]byte{
			"another scope": payload(1, byte(ScopeManage), expires, tenant), "another tenant": payload(1, byte(ScopeRead), expires, "b"+tenant[1:]),
			"extended": payload(1, byte(ScopeRead), expires.Add(time.Hour), tenant), "another version": payload(2, byte(ScopeRead), expires, tenant),
			"no payload": nil, "a longer tenant": payload(1, byte(ScopeRead), expires, tenant+string(mac[:1])),
		} {
			refused(what, tenantTokenPrefix+base64.RawURLEncoding.EncodeToString(append(other, mac...)))
		}
		refused("in another alphabet", tenantTokenPrefix+base64.RawStdEncoding.EncodeToString(append(raw, 0xff, 0xff, 0xff)))
		for what, key := range map[string][]byte{
			"no key": nil, "the manage token as the key": []byte(issuing), "an unknown key": keyOf("unknown-0123456789-0123456789"),
			"the key of a token that is not for manage": keyOf(notManage), "the key of a short token": keyOf(tooShort),
		} {
			refused(what, tenantTokenText(payload(1, byte(ScopeRead), expires, tenant), key))
		}
	}

	// What no server issues is refused even if the MAC is right.
	for what, forged := range map[string]string{
		"no tenant": sealed(1, byte(ScopeRead), expires, ""), "a tenant with a space": sealed(1, byte(ScopeRead), expires, "a b"),
		"a line break": sealed(1, byte(ScopeRead), expires, "a\n"), "a long tenant": sealed(1, byte(ScopeRead), expires, strings.Repeat("x", 129)),
		"no scope": sealed(1, 0, expires, "acme"), "publish": sealed(1, byte(ScopePublish), expires, "acme"), "read and publish": sealed(1, byte(ScopeRead|ScopePublish), expires, "acme"),
		"all bits": sealed(1, 255, expires, "acme"), "version 0": sealed(0, byte(ScopeRead), expires, "acme"), "version 2": sealed(2, byte(ScopeRead), expires, "acme"),
		"before 1970": sealed(1, byte(ScopeRead), time.UnixMilli(-1), "acme"), "only a MAC": tenantTokenText(nil, issuerKey(issuing)),
	} {
		if g, err := a.checkToken(forged); err == nil || g != (grant{}) {
			t.Errorf("%s: got %v, %v", what, g, err)
		}
	}
}

// Where the API is for one tenant, a token for another isn't accepted, and one for the
// same is no more than that.
func TestTenantTokensWhereThereIsATenant(t *testing.T) {
	const own, other = "acme", "rival"
	for of, want := range map[string]string{own: "", other: codeOtherTenant} {
		a := issuingAuth(t, func(*http.Request) (string, error) { return own, nil })
		g, err := a.checkToken(tenantToken{ScopeRead, of, time.Now().Add(time.Hour)}.sign(issuerKey(issuing)))
		if want == "" && (err != nil || g.tenant != own || g.scope != ScopeRead) || want != "" && (err == nil || problemOf(err).Code != want) {
			t.Errorf("%s: got %v, %v", of, g, err)
		}
	}
	for _, tenant := range []string{"", "a b"} {
		a := issuingAuth(t, func(*http.Request) (string, error) { return tenant, nil })
		_, err := a.checkToken(tenantToken{ScopeRead, own, time.Now().Add(time.Hour)}.sign(issuerKey(issuing)))
		if err == nil || problemOf(err).Code != codeNoTenant {
			t.Errorf("%q: got %v", tenant, err)
		}
	}
}

// Whatever is accepted is one of the tokens that were issued.
func FuzzTenantToken(f *testing.F) {
	a := issuingAuth(f, nil)
	issued := map[string]bool{}
	for i, tenant := range []string{"a", "ac", "acm", "acme.eu-1_X", strings.Repeat("x", 128)} {
		scope := []Scope{ScopeRead, ScopeManage}[i%2]
		text := tenantToken{scope, tenant, time.Now().Add(1000 * time.Hour)}.sign(issuerKey(issuing))
		issued[text] = true
		f.Add(text)
		f.Add(tenantTokenText(payload(1, byte(scope), time.Now(), tenant), []byte("unknown")))
	}
	f.Add("wht_")
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := parseTenantToken(text); ok {
			if again, ok := parseTenantToken(p.sign(nil)); !ok || fmt.Sprint(again) != fmt.Sprint(p) {
				t.Errorf("%q is read as %v, and that as %v", text, p, again)
			}
		}
		if g, err := a.tenantGrant(text); err == nil != issued[text] || g.tenant == "" && err == nil {
			t.Errorf("%q: got %v, %v", text, g, err)
		}
	})
}
