// Package egress says where a delivery may go, and takes it there.
//
// A subscription's URL and headers are judged when they are set ([Policy.CheckURL],
// [CheckHeaders]). That alone would not hold: a name can be pointed elsewhere
// at any time. So the transport of [NewTransport] looks each name up itself,
// judges every address that it has, and connects to those very addresses; one
// that is denied rules out all. What a single address is worth is [Classify],
// and what an operator opens or closes beyond that is a [Policy].
//
// By default deliveries reach public addresses only.
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
	// Policy is what is allowed and denied; nil lets through public addresses only.
	Policy *Policy

	// Own are endpoints that no policy opens, such as Caddy's admin API on
	// loopback: an operator who allows 127.0.0.1 for a receiver does not mean
	// that one. An unspecified address stands for every address that is not
	// public, with that port.
	Own []netip.AddrPort

	// Proxy, from ParseProxy, takes all deliveries if set. It is asked for the
	// checked address, never for the name, and is itself not judged.
	Proxy *url.URL

	// MaxIdlePerHost is how many idle connections are kept to one host; 16 if
	// it is zero. It should not be below the concurrency to one endpoint, or
	// connections are made and thrown away.
	MaxIdlePerHost int

	// Resolver looks names up; nil is the system's.
	Resolver *net.Resolver

	// Limits of the steps of a connection: 10 s, 10 s and 12 s if they are
	// zero. They give clear errors; the deadline of the whole attempt is that
	// of the request's context. A lookup needs more than 10 s to do without a
	// name server that says nothing: resolvers wait 5 s for it, and ask twice.
	DialTimeout, TLSTimeout, DNSTimeout time.Duration

	// TLS is for receivers, and for the proxy if its URL is https: a client
	// certificate is presented to whichever of them requests one. Nil is TLS 1.2
	// or later with the system's roots. The server's name is always that of the
	// URL.
	TLS *tls.Config
}

const (
	// maxResponseHeader bounds the headers of an answer, informational
	// responses included. net/http's own limit is 10 MiB.
	maxResponseHeader = 64 << 10

	// maxIdle bounds the idle connections to all hosts; beyond it the one
	// unused for longest is closed.
	maxIdle     = 1024
	idleTimeout = 90 * time.Second
)

// NewTransport makes the transport for deliveries.
//
// It takes no proxy from the environment, asks for no compression and undoes
// none. Redirects are the affair of the http.Client above, which should not
// follow them. A policy is fixed for a transport's life: replace the transport
// to change it, and call CloseIdleConnections on the old one.
//
// net/http sends a request a second time by itself if a kept connection turns
// out to be closed. For a POST it does so only when the server cannot have
// seen it, or when the request has GetBody or an Idempotency-Key: set neither.
func NewTransport(o Options) *http.Transport {
	config := cmp.Or(o.TLS, new(tls.Config)).Clone()
	config.ServerName = "" // net/http fills in the URL's host
	return &http.Transport{
		DialContext:            newDialer(o, config).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    cmp.Or(o.TLSTimeout, 10*time.Second),
		ForceAttemptHTTP2:      true, // a dialer of one's own turns it off otherwise
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxResponseHeader,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    cmp.Or(o.MaxIdlePerHost, 16),
		IdleConnTimeout:        idleTimeout,
		HTTP2: &http.HTTP2Config{
			// A connection that died in silence would take every delivery of
			// its host down with it, for all share the one.
			SendPingTimeout: 15 * time.Second,
			PingTimeout:     5 * time.Second,
		},
	}
}
