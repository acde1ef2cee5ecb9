package cli

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// public is a webhook_api, which is the API for whoever has a token.
type public struct {
	url  string
	from string // where the token comes from, "" where there is none
}

const exampleAPI = "https://hooks.example.com/webhooks"

// newPublicClient makes a client that sends a token, if there is one, to the
// webhook_api at a URL and nowhere else.
func newPublicClient(at, token, from string, timeout time.Duration) (*client, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(at, "?#") {
		return nil, usagef("the URL of the API is wrong: write the one that webhook_api is mounted at, as in %s", exampleAPI)
	}
	if u.User != nil { // it would be seen on the command line, and sent beside the token
		return nil, usagef("the URL of the API has a user name: leave it out, and give a token by the variable %s or --token-file", tokenVariable)
	}
	at = strings.TrimRight(at, "/")
	if token == "" {
		from = ""
	}
	c := newClient(public{at, from}, at, timeout, &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
	})
	if token == "" {
		return c, nil // there are those with `auth none`
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, usagef("whoever is between here and %s could read the token: write https://, or make a tunnel to a port of this machine", u.Host)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, usagef("the token of %s has a blank, a line break or another character that can't be sent", from)
	}
	c.header.Set("Authorization", "Bearer "+token)
	return c, nil
}

// isLoopback tells whether a host is this machine. For these, net/http uses no
// proxy.
func isLoopback(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }

func (p public) String() string { return p.url }

func (p public) strange(resp *http.Response, _ []byte) error {
	if to, err := resp.Location(); err == nil {
		return fmt.Errorf("%s redirects to %s, where the request isn't sent, lest somebody else gets the token: if it is right, give the URL of the API anew", p.url, to)
	}
	return fmt.Errorf("what listens at %s answered %s, and is no webhook_api: see that this is the URL that it is mounted at, as in %s, and that nothing in front of it asks for more than a bearer token", p.url, resp.Status, exampleAPI)
}

func (p public) away(cause error) string {
	return fmt.Sprintf("the API can't be reached at %s (%v): see that the URL is right and that Caddy runs", p.url, cause)
}

func (p public) denied(status int) string {
	switch {
	case p.from == "":
		return "Set the variable " + tokenVariable + " to a token, or name a file that has one with --token-file."
	case status == http.StatusForbidden:
		return "The token comes from " + p.from + "; whoever runs the server gives each its scope, by `token` in webhook_api."
	}
	return "The token comes from " + p.from + "."
}
