package outbound

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// OAuth2 says how to get an access token for the receiver, by the client
// credentials grant of RFC 6749, section 4.4. The zero value is for a receiver that
// needs none.
type OAuth2 = store.OAuth2

// How the client's id and secret are sent to a token endpoint.
const (
	AuthHeader = "header" // by HTTP Basic, which every endpoint must support; the default
	AuthBody   = "body"   // in the form
)

const (
	maxTokenRequest  = 8 << 10
	maxTokenAnswer   = 64 << 10
	maxToken         = 8 << 10          // servers commonly accept no more for all headers together
	defaultTokenLife = 5 * time.Minute  // if the endpoint doesn't say
	maxTokenLife     = 24 * time.Hour   // whatever the endpoint says
	tokenMargin      = 30 * time.Second // how long before its expiry a token is replaced, though at most a tenth of its life
)

// oauth2Errors are those of RFC 6749, section 5.2. Nothing else of an error
// response is shown, since an endpoint may repeat what it was sent.
var oauth2Errors = []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}

// bearerTypes are the token types, in lower case, that mean a bearer token: some
// endpoints leave the type out, and Apigee calls it BearerToken.
var bearerTypes = []string{"", "bearer", "bearertoken"}

// checkOAuth2 checks everything but the URL.
func checkOAuth2(o *OAuth2) error {
	switch {
	case reflect.ValueOf(*o).IsZero():
		return nil
	case o.TokenURL == "":
		return missing("oauth2.token_url", "name the endpoint that issues tokens, such as https://login.example.com/oauth2/token")
	case o.ClientID == "":
		return missing("oauth2.client_id", "give the id under which the token endpoint knows this client")
	case o.ClientSecret == "":
		return missing("oauth2.client_secret", "give the client's secret, and give it again whenever token_url changes")
	case !isPrintable(o.ClientID):
		return invalid("oauth2.client_id", "has a line break or another character that isn't printable ASCII")
	case !isPrintable(o.ClientSecret):
		return invalid("oauth2.client_secret", "has a line break or another character that isn't printable ASCII")
	case o.AuthStyle != "" && o.AuthStyle != AuthHeader && o.AuthStyle != AuthBody:
		return invalid("oauth2.auth_style", "must be %s or %s", AuthHeader, AuthBody)
	}
	for _, scope := range o.Scopes {
		if scope == "" || !isPrintable(scope) || strings.ContainsAny(scope, ` "\`) {
			return invalid("oauth2.scopes", "has %q, which is not a scope: give each by itself, without spaces and quotes", scope)
		}
	}
	for _, name := range []string{"grant_type", "scope", "client_id", "client_secret"} {
		if _, ok := o.Params[name]; ok {
			return invalid("oauth2.params", "can't have %s: it is set from the other fields", name)
		}
	}
	if size := len(tokenForm(o)); size > maxTokenRequest {
		return invalid("oauth2", "makes a token request of %d bytes, over the limit of %d", size, maxTokenRequest)
	}
	return nil
}

func checkTokenURL(o *OAuth2, p *egress.Policy) error {
	if o.TokenURL == "" {
		return nil
	}
	if _, err := p.CheckURL(o.TokenURL); err != nil {
		return invalid("oauth2.token_url", "is refused: %v", err)
	}
	return nil
}

// authorization is the header that carries the token.
const authorization = "Authorization"

// checkAuthorization checks that nothing else sets the Authorization header.
func (s *SubscriptionSpec) checkAuthorization(list schemes) error {
	if s.OAuth2.TokenURL == "" {
		return nil
	}
	for name := range s.Headers {
		if strings.EqualFold(name, authorization) {
			return invalid("headers", "can't have %s beside oauth2, whose token goes there: remove one of the two", authorization)
		}
	}
	if header, scheme := list.firstSet([]string{authorization}); header != "" {
		return invalid("oauth2", "can't be used with the scheme %s, whose signature goes where the token does", scheme)
	}
	return nil
}

// isPrintable reports whether a text consists of the characters that RFC 6749
// allows in ids, secrets and tokens.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func tokenForm(o *OAuth2) string {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(o.Scopes) > 0 {
		form.Set("scope", strings.Join(o.Scopes, " "))
	}
	for name, value := range o.Params {
		form.Set(name, value)
	}
	if o.AuthStyle == AuthBody {
		form.Set("client_id", o.ClientID)
		form.Set("client_secret", o.ClientSecret)
	}
	return form.Encode()
}

// tokens gets the access tokens of one subscription. The value of a result is that of
// the Authorization header.
type tokens struct {
	precondition[string]
	endpoint
	header http.Header
	form   []byte
}

// setTokens keeps the old target's tokens if they are requested in the same way.
func (t *target) setTokens(old *target) {
	o := &t.sub.OAuth2
	if o.TokenURL == "" {
		return
	}
	if old != nil && old.tokens != nil && reflect.DeepEqual(old.sub.OAuth2, *o) {
		t.tokens = old.tokens
		return
	}
	to, err := url.Parse(o.TokenURL)
	if err != nil {
		t.err = cmp.Or(t.err, errors.New("the token_url of oauth2 can't be parsed"))
		return
	}
	k := &tokens{precondition: newPrecondition[string](), endpoint: endpoint{url: to}, form: []byte(tokenForm(o))}
	k.header = http.Header{
		"User-Agent": userAgent, "Accept": {"application/json"}, "Accept-Encoding": {"identity"},
		"Content-Type": {"application/x-www-form-urlencoded"},
	}
	if o.AuthStyle != AuthBody {
		client := url.QueryEscape(o.ClientID) + ":" + url.QueryEscape(o.ClientSecret)
		k.header.Set(authorization, "Basic "+base64.StdEncoding.EncodeToString([]byte(client)))
	}
	t.tokens = k
}

// authorize puts a token into the headers of an attempt, or returns the outcome
// with which the attempt fails.
func (k *tokens) authorize(ctx context.Context, s *sender, h http.Header, at time.Time) outcome {
	token := k.get(ctx, at, func() *result[string] { return k.fetch(ctx, s, at) })
	if !token.ok() {
		return tokenFailure(token.outcome)
	}
	h[authorization] = []string{token.value}
	return outcome{}
}

// invalidate drops the token in h, which the receiver has rejected, from the cache.
func (k *tokens) invalidate(h http.Header) {
	if t := k.last.Load(); t != nil && t.value == h.Get(authorization) {
		k.last.CompareAndSwap(t, nil)
	}
}

// fetch makes the request of RFC 6749, section 4.4.2, over the sender's own
// transport. golang.org/x/oauth2 isn't used because it would follow redirects, read
// 1 MiB, put the response into its errors, and make callers wait for each other
// regardless of their deadlines.
func (k *tokens) fetch(ctx context.Context, s *sender, at time.Time) *result[string] {
	resp, err := s.exchange(ctx, http.MethodPost, &k.endpoint, k.header, k.form)
	if err != nil {
		return &result[string]{outcome: failure(err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer+1))
	if err != nil {
		return &result[string]{outcome: failure(err)}
	}
	var answer struct {
		AccessToken string      `json:"access_token"`
		TokenType   string      `json:"token_type"`
		ExpiresIn   json.Number `json:"expires_in"` // some quote it
		Error       string      `json:"error"`
	}
	err = json.Unmarshal(body, &answer)
	var why string
	switch code := resp.StatusCode; {
	case code >= 300 && code < 400:
		why = "redirects are not followed: update its token_url" + redirectTarget(resp)
	case code < 200 || code > 299 || slices.Contains(oauth2Errors, answer.Error):
		why = "the token endpoint answered " + statusText(code)
		if slices.Contains(oauth2Errors, answer.Error) {
			why += ": " + answer.Error
		}
	case len(body) > maxTokenAnswer:
		why = "the token endpoint's response is over 64 KiB"
	case err != nil:
		why = "the token endpoint's response is not the JSON object of RFC 6749"
	case answer.AccessToken == "", len(answer.AccessToken) > maxToken, !isPrintable(answer.AccessToken):
		why = "the token endpoint's response has no access_token, or one that can't be sent"
	case !slices.Contains(bearerTypes, strings.ToLower(answer.TokenType)):
		why = "the token endpoint's response has a token_type that isn't Bearer"
	default:
		return &result[string]{value: "Bearer " + answer.AccessToken, until: at.Add(tokenLifetime(answer.ExpiresIn))}
	}
	return &result[string]{outcome: outcome{class: ClassOAuth2, message: why, retryAfter: retryAfter(resp.Header, at)}}
}

// tokenLifetime returns how long a token is used. Some endpoints mean by 0 that it
// doesn't expire; besides, if each delivery had to get a token first, it would take
// long.
func tokenLifetime(expiresIn json.Number) time.Duration {
	life := defaultTokenLife
	if seconds, err := expiresIn.Float64(); err == nil && seconds > 0 {
		life = time.Duration(min(seconds, maxTokenLife.Seconds()) * float64(time.Second))
	}
	return life - min(life/10, tokenMargin)
}

// tokenFailure turns the outcome of a token request into that of the attempt, in
// which the receiver got no request.
func tokenFailure(o outcome) outcome {
	if !o.aborted {
		o.class = ClassOAuth2
		o.message = "no access token: " + strings.ReplaceAll(o.message, "the receiver", "the token endpoint")
	}
	return o
}

// cloneOAuth2 copies o. Like cloneMap, it returns nil for empty fields.
func cloneOAuth2(o OAuth2) OAuth2 {
	o.Scopes, o.Params = append([]string(nil), o.Scopes...), cloneMap(o.Params)
	return o
}
