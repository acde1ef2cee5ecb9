package cli

import "github.com/spf13/pflag"

// oauth2 is how a subscription gets its access tokens, in the API.
type oauth2 struct {
	TokenURL string `json:"token_url"`
	ClientID string `json:"client_id"`
}

func (o *oauth2) String() string {
	if o.TokenURL == "" {
		return ""
	}
	return o.ClientID + " at " + o.TokenURL
}

// oauth2Flags are the flags that set it.
type oauth2Flags struct {
	tokenURL   string
	clientID   string
	secretFile string
	scopes     []string
	params     []string
	authStyle  string
}

func (o *oauth2Flags) register(f *pflag.FlagSet) {
	f.StringVar(&o.tokenURL, "oauth2-token-url", "", "The token endpoint, if the receiver requires access tokens; off for no tokens")
	f.StringVar(&o.clientID, "oauth2-client-id", "", "The client's id at the token endpoint")
	f.StringVar(&o.secretFile, "oauth2-client-secret-file", "", "File to read the client's secret from, - for standard input")
	f.StringSliceVar(&o.scopes, "oauth2-scope", nil, "Scope to ask for; separate several with commas")
	f.StringArrayVar(&o.params, "oauth2-param", nil, "Parameter that the token endpoint requires, such as audience=crm; removed if the value is empty")
	f.StringVar(&o.authStyle, "oauth2-auth-style", "", "How to send the client's id and secret, header or body (default: header)")
}

// addTo adds the fields whose flags are set to the body of a request.
func (o *oauth2Flags) addTo(c *call, body map[string]any) error {
	if o.tokenURL == off {
		body["oauth2"] = nil
		return nil
	}
	fields := c.changedFields("oauth2-", map[string]any{
		"token-url": o.tokenURL, "client-id": o.clientID, "auth-style": o.authStyle,
	})
	f := c.cmd.Flags()
	if f.Changed("oauth2-scope") {
		fields["scopes"] = o.scopes
	}
	if f.Changed("oauth2-client-secret-file") {
		text, err := c.read(o.secretFile, "the client's secret")
		if err != nil {
			return err
		}
		fields["client_secret"] = trimNewline(text)
	}
	params, err := pairs("oauth2-param", o.params)
	if err != nil {
		return err
	}
	if len(params) > 0 {
		fields["params"] = params
	}
	if len(fields) > 0 {
		body["oauth2"] = fields
	}
	return nil
}
