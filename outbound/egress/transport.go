// Package egress decides where deliveries may go, and connects to those places.
//
// A subscription's URL and headers are checked when they are set
// ([Policy.CheckURL], [CheckHeaders]). That isn't enough, because a name can be
// pointed to another address at any time. So the transport that [NewTransport]
// returns looks up each name itself, checks every address of it, and connects to
// exactly those addresses; if one is denied, it connects to none. [Classify]
// judges a single address, and a [Policy] is what an operator allows and denies
// beyond that.
//
// By default, deliveries can reach public addresses only.
package egress

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Options are the settings of a transport. The zero value is usable.
type Options struct {
	// Policy is what is allowed and denied; nil allows public addresses only.
	Policy *Policy

	// Own are endpoints that no policy opens, such as Caddy's admin API on
	// loopback: an operator who allows 127.0.0.1 for a receiver doesn't mean to
	// allow that. An unspecified address stands for every address that isn't
	// public, with that port.
	Own []netip.AddrPort

	// Proxy, from ParseProxy, is what all deliveries go through, if it is set. It
	// is asked to connect to the checked address, never to the name. Its own
	// address isn't checked.
	Proxy *url.URL

	// MaxIdlePerHost is how many idle connections to one host are kept; zero means
	// 16. It shouldn't be lower than the concurrency to one endpoint, or else
	// connections are made and thrown away.
	MaxIdlePerHost int

	// Resolver looks up names; nil is the system's.
	Resolver *net.Resolver

	// Time limits for the steps of making a connection; zero means 10 s, 10 s and
	// 12 s. They make for clear errors; the whole attempt is limited by the
	// request's context. A lookup gets more than 10 s so that it survives a name
	// server that doesn't answer: resolvers wait 5 s for it, twice.
	DialTimeout, TLSTimeout, DNSTimeout time.Duration

	// TLS is the configuration for receivers, and for the proxy if its URL is
	// https: a client certificate is presented to whichever of them requests one.
	// Nil is TLS 1.2 or later with the system's roots. ServerName is ignored: it
	// is always that of the URL.
	TLS *tls.Config
}

const (
	// maxResponseHeader limits the headers of a response, including those of
	// informational responses. The limit of net/http is 10 MiB.
	maxResponseHeader = 64 << 10

	// maxIdle limits the idle connections to all hosts; beyond it the one that
	// has been idle for longest is closed.
	maxIdle     = 1024
	idleTimeout = 90 * time.Second
)

// NewTransport returns the transport for deliveries.
//
// It uses no proxy from the environment, and neither asks for compression nor
// decompresses anything. Redirects are up to the http.Client, which should not
// follow them. The policy of a transport can't be changed: replace the transport,
// and call CloseIdleConnections on the old one.
//
// By itself, net/http sends a request again if an idle connection turns out to be
// closed. It only does so for a POST if the server can't have seen it, or if the
// request has GetBody or an Idempotency-Key header: set neither.
func NewTransport(o Options) *http.Transport {
	config := cmp.Or(o.TLS, new(tls.Config)).Clone()
	config.ServerName = "" // net/http sets it to the URL's host
	return &http.Transport{
		DialContext:            newDialer(o, config).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    cmp.Or(o.TLSTimeout, 10*time.Second),
		ForceAttemptHTTP2:      true, // a custom DialContext disables it otherwise
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxResponseHeader,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    cmp.Or(o.MaxIdlePerHost, 16),
		IdleConnTimeout:        idleTimeout,
		HTTP2: &http.HTTP2Config{
			// All deliveries to a host share one connection: without pings, they
			// would all fail if it died silently.
			SendPingTimeout: 15 * time.Second,
			PingTimeout:     5 * time.Second,
		},
	}
}
