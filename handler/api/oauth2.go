package api

import (
	"cmp"
	"slices"

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

// oauth2Edit merges the object that was sent into the subscription's, as in RFC
// 7396; null removes it. A new token_url removes the client secret, which was
// meant for the old one, unless the secret is sent again.
func oauth2Edit(field string, value []byte) (edit, error) {
	if isNull(value) {
		return func(spec *outbound.SubscriptionSpec) { spec.OAuth2 = outbound.OAuth2{} }, nil
	}
	if value[0] != '{' {
		return nil, invalidField(field, "must be an object, as in %s", `{"token_url": "https://login.example.com/oauth2/token", "client_id": "…", "client_secret": "…"}`)
	}
	var changes []func(*outbound.OAuth2)
	err := fields(value, oauth2Fields, func(name string, value []byte) error {
		change, err := oauth2Change(name, field+"."+name, value)
		if name == "token_url" { // before the client_secret, which it would remove
			changes = slices.Insert(changes, 0, change)
		} else {
			changes = append(changes, change)
		}
		return err
	})
	return func(spec *outbound.SubscriptionSpec) {
		for _, change := range changes {
			change(&spec.OAuth2)
		}
	}, err
}

func oauth2Change(name, field string, value []byte) (func(*outbound.OAuth2), error) {
	var s string
	switch name {
	case "token_url":
		return func(o *outbound.OAuth2) {
			if o.TokenURL != s {
				o.TokenURL, o.ClientSecret = s, ""
			}
		}, readString(field, value, &s)
	case "client_id":
		return func(o *outbound.OAuth2) { o.ClientID = s }, readString(field, value, &s)
	case "client_secret":
		return func(o *outbound.OAuth2) { o.ClientSecret = s }, readString(field, value, &s)
	case "auth_style":
		return func(o *outbound.OAuth2) { o.AuthStyle = s }, readString(field, value, &s)
	case "scopes":
		var scopes []string
		return func(o *outbound.OAuth2) { o.Scopes = scopes }, readStrings(field, value, &scopes)
	}
	var sent map[string]*string
	return func(o *outbound.OAuth2) { o.Params = merge(o.Params, sent) }, readStringMap(field, value, `{"audience": "crm"}`, &sent)
}
