package handler

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"
)

// asSent is the method and the URL of a request as the provider sent it: path
// and query as they came, before any rewrite; scheme and host those of this
// server, or of the proxy in front of it where Caddy's trusted_proxies vouch for
// that one.
func asSent(r *http.Request) (method string, u url.URL) {
	method, u = r.Method, *r.URL
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		method, u = original.Method, *original.URL
	}
	// the request line may hold a whole URL, which says nothing that counts
	u.User = nil
	u.Host = r.Host
	u.Scheme = "http"
	if r.TLS != nil {
		u.Scheme = "https"
	}
	host, scheme := lastForwarded(r.Header, "X-Forwarded-Host"), strings.ToLower(lastForwarded(r.Header, "X-Forwarded-Proto"))
	if host == "" && scheme == "" {
		return method, u
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		return method, u
	}
	// a proxy that passes on what anyone wrote could make a path of it
	if host != "" && httpguts.ValidHostHeader(host) {
		u.Host = host
	}
	if scheme == "http" || scheme == "https" {
		u.Scheme = scheme
	}
	return method, u
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
