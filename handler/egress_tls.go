package handler

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

// EgressTLS configures TLS connections to receivers, and to the egress proxy if
// its URL is https. A receiver's certificate must be valid for the host of the
// subscription's URL; there is no way to turn that off.
//
// Files are read when the config is loaded. To use renewed ones, run
// `caddy reload --force`: without it, Caddy ignores a config that hasn't changed.
type EgressTLS struct {
	// The CAs to trust: those of every pool listed here, instead of the system's.
	// As this applies to all receivers, include the `system` pool if some of them
	// have certificates of public CAs. Placeholders aren't replaced in the pools.
	CARaw []json.RawMessage `json:"ca,omitempty" caddy:"namespace=tls.ca_pool.source inline_key=provider"`

	// The PEM file with the client certificate, followed by its intermediates. It is
	// presented to every receiver that requests one, and to the egress proxy.
	ClientCertificateFile string `json:"client_certificate_file,omitempty"`

	// The PEM file with the key of the client certificate.
	ClientCertificateKeyFile string `json:"client_certificate_key_file,omitempty"`
}

func (t *EgressTLS) config(ctx caddy.Context) (*tls.Config, error) {
	roots, err := t.roots(ctx)
	if err != nil {
		return nil, fmt.Errorf("egress tls_trust_pool: %w", err)
	}
	certificates, err := t.clientCertificates()
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: roots, Certificates: certificates}, nil
}

// roots returns the certificates of all pools, or nil, which means the system's,
// if no pool is configured. Caddy's own `combined` pool can't contain `system`,
// whose certificates can't be listed; here, the other pools are added to it.
func (t *EgressTLS) roots(ctx caddy.Context) (*x509.CertPool, error) {
	if len(t.CARaw) == 0 {
		return nil, nil
	}
	pools, err := ctx.LoadModule(t, "CARaw")
	if err != nil {
		return nil, err
	}
	var roots *x509.CertPool
	var listed []*x509.Certificate
	for _, pool := range pools.([]any) {
		if p, ok := pool.(caddytls.CertificateProvider); ok {
			if len(p.Certificates()) == 0 {
				return nil, errors.New("a pool contains no certificates: give it PEM files that begin with -----BEGIN CERTIFICATE-----")
			}
			listed = append(listed, p.Certificates()...)
			continue
		}
		ca, ok := pool.(caddytls.CA)
		if !ok || roots != nil {
			return nil, fmt.Errorf("%T can't be combined with other pools: leave it out", pool)
		}
		roots = ca.CertPool().Clone()
	}
	if roots == nil {
		roots = x509.NewCertPool()
	}
	for _, c := range listed {
		roots.AddCert(c)
	}
	return roots, nil
}

func (t *EgressTLS) clientCertificates() ([]tls.Certificate, error) {
	const option = "egress tls_client_auth"
	var paths texts
	certificate, key := paths.text(option, t.ClientCertificateFile), paths.text(option, t.ClientCertificateKeyFile)
	if paths.err != nil || certificate == "" && key == "" {
		return nil, paths.err
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: write the PEM file with the certificate, then the one with its key; the user that Caddy runs as must be able to read both", option, err)
	}
	return []tls.Certificate{pair}, nil
}
