package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestEgressTLS checks deliveries to a receiver with a certificate of a private CA that
// requires a client certificate of the same CA, which is renewed by a reload. Without either
// of the two, the error of the attempt says what is missing.
func TestEgressTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	r := downReceiver(t)
	r.tls = &tls.Config{
		Certificates: []tls.Certificate{ca.issue("receiver")}, ClientCAs: ca.pool(), ClientAuth: tls.RequireAndVerifyClientCert,
		MaxVersion: tls.VersionTLS12, // by TLS 1.3 it refuses after the handshake, and its alert can get lost
	}
	r.up()
	const trust, present = "tls_trust_pool file ca.pem\n", "tls_client_auth {env.CERTIFICATE} client.key\n"
	config := func(lines string) string {
		return withOptions("retry 20ms 20ms 20ms 20ms\negress {\nallow 127.0.0.1\n" + lines + "}\nsubscription main {\nurl https://" + r.addr + "/\nevent_types *\n}")
	}
	s := newServer(t, config(trust+present), "CERTIFICATE=client.pem")
	write := func(name string, blocks ...*pem.Block) {
		t.Helper()
		var text []byte
		for _, b := range blocks {
			text = append(text, pem.EncodeToMemory(b)...)
		}
		must.Do(t, os.WriteFile(filepath.Join(s.dir, name), text, 0o600))
	}
	renew := func(name string) {
		t.Helper()
		c := ca.issue(name)
		key := must.Get(x509.MarshalPKCS8PrivateKey(c.PrivateKey))(t)
		write("client.pem", &pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
		write("client.key", &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	}
	arrives := func(from string) {
		t.Helper()
		d := r.waitID(s.publish(event{Type: "a"}))
		if d.proto != "HTTP/2.0" || d.tls.PeerCertificates[0].Subject.CommonName != from {
			t.Errorf("it came by %s from %s, want %s", d.proto, d.tls.PeerCertificates[0].Subject, from)
		}
	}
	fails := func(words string) {
		t.Helper()
		attempts := s.attempts(s.settled(s.publish(event{Type: "a"}), "sub_main", "dead"))
		if slices.ContainsFunc(attempts, func(a object) bool {
			return a.text("class") != "tls" || !strings.Contains(a.text("error_message"), words)
		}) {
			t.Errorf("the attempts are %v, want %q", attempts, words)
		}
	}

	write("ca.pem", &pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
	renew("first")
	s.start()
	arrives("first")

	renew("second")
	if got := s.cli("reload", "--force", "--config", s.file(), "--adapter", "caddyfile", "--address", s.admin); got.code != 0 {
		t.Fatalf("the reload failed: %s", got.stderr)
	}
	arrives("second")

	s.reload(config(trust))
	fails("(handshake failure): if it demands a client certificate, set one in the server's configuration: egress { tls_client_auth … }")
	s.reload(config(present))
	fails("its issuer is unknown: send the whole chain, or have the server's configuration trust its CA: egress { tls_trust_pool … }")
}

// authority is a private CA.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	own := a.issue("CA")
	a.cert, a.key = own.Leaf, own.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue returns a certificate for this machine. The first one is the CA's own.
func (a *authority) issue(name string) tls.Certificate {
	a.t.Helper()
	key := must.Get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		template.BasicConstraintsValid, template.IsCA = true, true
		parent, signer = template, key
	}
	der := must.Get(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer))(a.t)
	leaf := must.Get(x509.ParseCertificate(der))(a.t)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}
