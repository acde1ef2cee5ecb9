package handler

import (
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

// resolvePublicURL replaces the placeholders of a public_url.
func resolvePublicURL(raw string) (string, error) {
	resolved, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err != nil {
		return "", fmt.Errorf("public_url %s: %w", raw, err)
	}
	return resolved, nil
}
