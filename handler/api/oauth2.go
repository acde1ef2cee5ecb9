package api

import (
	"cmp"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// oauth2 is how a subscription gets its access tokens, as answers show it. The
// client secret is never shown: nobody needs to get it from here.
type oauth2 struct {
	TokenURL  string            `json:"token_url"`
	ClientID  string            `json:"client_id"`
	Scopes    []string          `json:"scopes"`
	Params    map[string]string `json:"params"`
	AuthStyle string            `json:"auth_style"`
}

func (c *call) oauth2Of(o *outbound.OAuth2) *oauth2 {
	if o.TokenURL == "" {
		return nil
	}
	return &oauth2{
		TokenURL: o.TokenURL, ClientID: o.ClientID, Scopes: append([]string{}, o.Scopes...), Params: c.shown(o.Params),
		AuthStyle: cmp.Or(o.AuthStyle, outbound.AuthHeader),
	}
}

var oauth2Fields = []string{"token_url", "client_id", "client_secret", "scopes", "params", "auth_style"}

// mergeOAuth2 merges the object that was sent into the subscription's, as in RFC
// 7396; null removes it. A new token_url removes the client secret, which was
// meant for the old one, unless the secret is sent again.
func mergeOAuth2(field string, value []byte, to *outbound.OAuth2) error {
	if isNull(value) {
		*to = outbound.OAuth2{}
		return nil
	}
	if value[0] != '{' {
		return invalidField(field, "must be an object, as in %s", `{"token_url": "https://login.example.com/oauth2/token", "client_id": "…", "client_secret": "…"}`)
	}
	before, secretSent := to.TokenURL, false
	err := fields(value, oauth2Fields, func(name string, value []byte) error {
		field := field + "." + name
		switch name {
		case "token_url":
			return readString(field, value, &to.TokenURL)
		case "client_id":
			return readString(field, value, &to.ClientID)
		case "client_secret":
			secretSent = true
			return readString(field, value, &to.ClientSecret)
		case "auth_style":
			return readString(field, value, &to.AuthStyle)
		case "scopes":
			return readStrings(field, value, &to.Scopes)
		}
		return mergeStrings(field, value, `{"audience": "crm"}`, sameText, &to.Params)
	})
	if to.TokenURL != before && !secretSent {
		to.ClientSecret = ""
	}
	return err
}
