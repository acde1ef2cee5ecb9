package handler

import "github.com/caddy-webhooks/caddy-webhooks/outbound"

// OAuth2 gets access tokens for a receiver that requires one, with the client
// credentials grant of [OAuth 2.0](https://www.rfc-editor.org/rfc/rfc6749#section-4.4).
// They are sent as `Authorization: Bearer`, so the subscription can't have an
// `Authorization` header of its own.
//
// A token is kept in memory until shortly before it expires, or the receiver
// responds with 401. Without a token, the attempt fails and is retried like any
// other; its class is `oauth2`.
type OAuth2 struct {
	// The URL of the token endpoint. It is reached in the same way as receivers,
	// so `egress` applies to it too.
	TokenURL string `json:"token_url"`

	// The id of the client.
	ClientID string `json:"client_id"`

	// The secret of the client.
	ClientSecret string `json:"client_secret"`

	// The scopes to ask for.
	Scopes []string `json:"scopes,omitempty"`

	// Other parameters that the token endpoint requires, such as `audience`.
	Params map[string]string `json:"params,omitempty"`

	// How to send the client's id and secret: `header` for HTTP Basic
	// authentication, or `body` for form parameters. Default: `header`.
	AuthStyle string `json:"auth_style,omitempty"`
}

// resolve replaces the placeholders. Errors are left in t, which is that of the
// subscription.
func (o *OAuth2) resolve(t *texts) outbound.OAuth2 {
	if o == nil {
		return outbound.OAuth2{}
	}
	return outbound.OAuth2{
		TokenURL:     t.text("oauth2 token_url", o.TokenURL),
		ClientID:     t.text("oauth2 client_id", o.ClientID),
		ClientSecret: t.secret("oauth2 client_secret", o.ClientSecret),
		Scopes:       t.list("oauth2 scope", o.Scopes),
		Params:       t.named("oauth2 param", o.Params),
		AuthStyle:    t.text("oauth2 auth_style", o.AuthStyle),
	}
}
