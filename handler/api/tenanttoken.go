package api

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// tenantToken is a token that confines requests to a tenant, and expires. An app issues
// it to a customer of its own. Nothing is stored: its text says what it is for, and is
// authenticated with a key derived from the manage token that issued it. So it is valid
// wherever that one is configured, and for as long.
type tenantToken struct {
	scope   Scope // ScopeRead or ScopeManage
	tenant  string
	expires time.Time // to the millisecond, by the server's wall clock
}

// The text is the prefix and then, in base64url without padding:
//
//	version   1 byte
//	scope     1 byte, a Scope
//	expires   8 bytes, Unix milliseconds, big-endian
//	tenant    1 to 128 bytes
//	MAC       32 bytes, HMAC-SHA256 of all that precedes
const (
	tenantTokenPrefix  = "wht_"
	tenantTokenVersion = 1
	tenantTokenHead    = 1 + 1 + 8
	tenantTokenMax     = len(tenantTokenPrefix) + (tenantTokenHead+128+sha256.Size)*4/3 + 1
)

// How long a tenant's token is valid.
const (
	tenantTokenDefault = time.Hour
	tenantTokenMost    = 7 * 24 * time.Hour
)

// minIssuer is how many characters a manage token needs to issue tokens: whoever has one
// that it issued can try, offline, what the manage token may be.
const minIssuer = 24

// issuerKey returns the key of the tokens that a manage token issues, or nil if it is
// too short to issue any.
func issuerKey(manageToken string) []byte {
	if len(manageToken) < minIssuer {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(manageToken))
	mac.Write([]byte("caddy-webhooks tenant token")) // the key is for nothing else
	return mac.Sum(nil)
}

// sign returns the token's text.
func (t tenantToken) sign(key []byte) string {
	b := []byte{tenantTokenVersion, byte(t.scope)}
	b = binary.BigEndian.AppendUint64(b, uint64(t.expires.UnixMilli()))
	return tenantTokenText(append(b, t.tenant...), key)
}

func tenantTokenText(payload, key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(payload)
	return tenantTokenPrefix + base64.RawURLEncoding.EncodeToString(mac.Sum(payload))
}

// parseTenantToken reads what a token claims to be. Nothing of it is true until its text
// has been compared with what sign returns.
func parseTenantToken(text string) (t tenantToken, ok bool) {
	encoded, ok := strings.CutPrefix(text, tenantTokenPrefix)
	if !ok || len(text) > tenantTokenMax {
		return t, false
	}
	b, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(b) <= tenantTokenHead+sha256.Size || b[0] != tenantTokenVersion {
		return t, false
	}
	t.scope = Scope(b[1])
	t.expires = time.UnixMilli(int64(binary.BigEndian.Uint64(b[2:])))
	t.tenant = string(b[tenantTokenHead : len(b)-sha256.Size])
	return t, (t.scope == ScopeRead || t.scope == ScopeManage) && outbound.CheckTenant(t.tenant) == nil
}

// tenantGrant returns what a tenant's token allows. The whole text is compared, so that
// there is one for each token only, however base64 is decoded.
func (a *auth) tenantGrant(text string) (grant, error) {
	t, ok := parseTenantToken(text)
	valid := 0
	for _, key := range a.issuers { // all of them, as in configured
		valid |= subtle.ConstantTimeCompare([]byte(text), []byte(t.sign(key)))
	}
	if !ok || valid == 0 {
		return grant{}, invalidToken("this token is not valid, or no longer: get a new one where it came from")
	}
	if !time.Now().Before(t.expires) {
		return grant{}, expired(t.expires)
	}
	return grant{scope: t.scope, tenant: t.tenant, until: t.expires}, nil
}

func expired(at time.Time) error {
	return invalidToken("this token expired at %s: get a new one where it came from", at.UTC().Format(time.RFC3339))
}

var tenantTokenFields = []string{"scope", "expires_in"}

// issuedToken is a tenant's token, as it is shown once.
type issuedToken struct {
	Token     string    `json:"token"`
	Tenant    string    `json:"tenant"`
	Scope     string    `json:"scope"`
	ExpiresAt timestamp `json:"expires_at"`
}

// issueToken issues a token for a tenant.
func (c *call) issueToken() error {
	if err := c.engine.MayIssueTokens(); err != nil {
		return err
	}
	key, err := c.auth.issuer(c.r)
	if err != nil {
		return err
	}
	scope, life := "", time.Duration(0)
	err = c.optionalObject(tenantTokenFields, func(field string, value []byte) error {
		if field == "scope" {
			return readNonEmpty(field, value, &scope)
		}
		return readDuration(field, value, &life)
	})
	if err != nil {
		return err
	}
	t, err := newTenantToken(c.id, scope, life)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, issuedToken{t.sign(key), t.tenant, t.scope.String(), timestamp(t.expires)})
}

// newTenantToken returns a token that is valid from now on. The scope may be "" and the
// life 0, for the defaults.
func newTenantToken(tenant, scope string, life time.Duration) (tenantToken, error) {
	t := tenantToken{scope: ScopeManage, tenant: tenant}
	if err := outbound.CheckTenant(tenant); err != nil {
		return t, err
	}
	switch scope {
	case "", ScopeManage.String():
	case ScopeRead.String():
		t.scope = ScopeRead
	default:
		return t, invalidField("scope", "must be read or manage, not %s", quote(scope))
	}
	life = cmp.Or(life, tenantTokenDefault)
	if life < time.Second || life > tenantTokenMost {
		return t, invalidField("expires_in", "must be from 1s to %s", outbound.FormatDuration(tenantTokenMost))
	}
	t.expires = time.Now().Add(life).Truncate(time.Millisecond)
	return t, nil
}

// issuer returns the key of the request's manage token.
func (a *auth) issuer(r *http.Request) ([]byte, error) {
	if a.origins != nil {
		return nil, refuse(codeCannotIssue, "tokens for tenants are made from a manage token, and there is none here: send the request to a webhook_api that has tokens, with one for manage")
	}
	token, err := bearer(r.Header)
	if err != nil {
		return nil, err
	}
	key := issuerKey(token)
	if key == nil {
		return nil, refuse(codeCannotIssue, "whoever gets a token for a tenant could find out a short manage token by trial: replace this one by at least %d random characters", minIssuer)
	}
	return key, nil
}
