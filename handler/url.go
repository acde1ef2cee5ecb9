package handler

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// providerURL is the URL of a request as the provider saw it: path and query as
// they came, before any rewrite; scheme and host those of this server, or of
// the proxy in front of it where Caddy's trusted_proxies vouch for that one.
func providerURL(r *http.Request) *url.URL {
	u := *r.URL
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		u = *original.URL
	}
	// the request line may hold a whole URL, which says nothing that counts
	u.User = nil
	u.Host = r.Host
	u.Scheme = "http"
	if r.TLS != nil {
		u.Scheme = "https"
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		return &u
	}
	if host := lastForwarded(r.Header, "X-Forwarded-Host"); host != "" {
		u.Host = host
	}
	if scheme := strings.ToLower(lastForwarded(r.Header, "X-Forwarded-Proto")); scheme == "http" || scheme == "https" {
		u.Scheme = scheme
	}
	return &u
}

// lastForwarded is what the proxy next to us says: what stands before it in the
// list may have come from anyone.
func lastForwarded(h http.Header, name string) string {
	values := h[name]
	if len(values) == 0 {
		return ""
	}
	last := values[len(values)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}

// originalMethod is the method as it was received.
func originalMethod(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.Method != "" {
		return original.Method
	}
	return r.Method
}

// resolvePublicURL replaces the placeholders of a public_url and checks that it
// is a scheme and a host.
func resolvePublicURL(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	resolved, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err != nil {
		return "", fmt.Errorf("public_url: %w", err)
	}
	u, err := url.Parse(resolved)
	if err != nil {
		return "", fmt.Errorf("public_url: %w", errors.Unwrap(err))
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return "", fmt.Errorf("public_url %q: write scheme and host as the provider knows them, such as https://hooks.example.com", resolved)
	case u.User != nil, u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return "", fmt.Errorf("public_url %q: write scheme and host alone, such as %s://%s; path and query are the request's", resolved, u.Scheme, u.Host)
	}
	return u.Scheme + "://" + u.Host, nil
}
