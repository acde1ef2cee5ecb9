package handler

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"
)

// asSent returns the method and the URL of a request as the provider sent it. Path
// and query are those before any rewrite. Scheme and host are those that this
// server was called by or, if the request comes from one of Caddy's
// trusted_proxies, the ones that the proxy was called by.
func asSent(r *http.Request) (method string, u url.URL) {
	method, u = r.Method, *r.URL
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		method, u = original.Method, *original.URL
	}
	// The request line may contain an absolute URL; its user and host don't count.
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
	// An invalid host, if the proxy passes on what the client wrote, could reach
	// into the path.
	if host != "" && httpguts.ValidHostHeader(host) {
		u.Host = host
	}
	if scheme == "http" || scheme == "https" {
		u.Scheme = scheme
	}
	return method, u
}

// lastForwarded returns the last value of a header, which the proxy next to this
// server has added. The values before it may come from anyone.
func lastForwarded(h http.Header, name string) string {
	values := h[name]
	if len(values) == 0 {
		return ""
	}
	last := values[len(values)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}
