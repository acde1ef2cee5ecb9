package cli

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// public is a webhook_api: the API for clients on other machines, which usually
// need a token.
type public struct {
	url  string
	from string // where the token comes from; "" if there is none
}

const exampleAPI = "https://hooks.example.com/webhooks"

// newPublicClient makes a client for the webhook_api at a URL. The token, if there
// is one, is sent to that URL only.
func newPublicClient(at, token, from string, timeout time.Duration) (*client, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(at, "?#") {
		return nil, usagef("the URL of the API is wrong: give the one that webhook_api is mounted at, such as %s", exampleAPI)
	}
	if u.User != nil { // it would be visible on the command line, and sent along with the token
		return nil, usagef("the URL of the API contains a user name: leave it out, and give a token with the variable %s or --token-file", tokenVariable)
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
		return c, nil // as a webhook_api with `auth none` expects
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, usagef("over http, anyone on the way to %s could read the token: use https://, or a tunnel to a port of this machine", u.Host)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, usagef("the token from %s contains a blank, a line break or another character that can't be sent", from)
	}
	c.header.Set("Authorization", "Bearer "+token)
	return c, nil
}

// isLoopback reports whether a host is this machine. For such hosts, net/http
// uses no proxy.
func isLoopback(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }

func (p public) String() string { return p.url }

func (p public) unexpected(resp *http.Response, _ []byte) error {
	if to, err := resp.Location(); err == nil {
		return fmt.Errorf("%s redirects to %s, which is not followed, since that server would get the token: if you trust it, use its URL as the URL of the API", p.url, to)
	}
	return fmt.Errorf("the server at %s answered %s and is not a webhook_api: check that this is the URL that webhook_api is mounted at, such as %s, and that nothing in front of it requires more than a bearer token", p.url, resp.Status, exampleAPI)
}

func (p public) notConnected(cause error) string {
	return fmt.Sprintf("the API can't be reached at %s (%v): check that the URL is right and that Caddy is running", p.url, cause)
}

func (p public) deniedHint(status int) string {
	switch {
	case p.from == "":
		return "Set the variable " + tokenVariable + " to a token, or use --token-file with a file that contains one."
	case status == http.StatusForbidden:
		return "The token comes from " + p.from + "; its scope is set on the server, by `token` in webhook_api."
	}
	return "The token comes from " + p.from + "."
}
