package handler

import (
	"net/url"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

// Egress restricts where deliveries may go. Addresses that are not public
// (private, loopback, link-local, CGNAT, metadata services, …) are denied
// unless they are allowed here. Addresses are checked when the connection is
// made, after DNS has been resolved.
type Egress struct {
	// IP addresses, CIDR ranges and host names to allow; `*.example.com` stands for
	// all names below `example.com`. Allowing a name allows all addresses that it
	// has. Metadata services, and IPv6 addresses for tunnels such as 6to4 and Teredo,
	// are only allowed by the address itself.
	Allow []string `json:"allow,omitempty"`

	// IP addresses, CIDR ranges and host names to deny. Takes precedence over
	// `allow`.
	Deny []string `json:"deny,omitempty"`

	// The URL of the HTTP proxy to send deliveries through, such as
	// `http://egress.internal:3128`. It is asked to connect to the address that was
	// checked, not to the name. Default: none.
	Proxy string `json:"proxy,omitempty"`

	// Which CAs to trust, and the client certificate. Default: the system's CAs,
	// and no client certificate.
	TLS EgressTLS `json:"tls,omitzero"`
}

// resolve returns the policy, and the URL of the proxy if there is one.
func (e *Egress) resolve() (*egress.Policy, *url.URL, error) {
	var t texts
	allow, deny := t.list("egress allow", e.Allow), t.list("egress deny", e.Deny)
	address := t.text("egress proxy", e.Proxy)
	if t.err != nil {
		return nil, nil, t.err
	}
	policy, err := egress.NewPolicy(allow, deny)
	if err != nil || address == "" {
		return policy, nil, err
	}
	proxy, err := egress.ParseProxy(address)
	return policy, proxy, err
}
