package handler

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestEgressTLSInJSON(t *testing.T) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(`{
		webhooks {
			egress {
				tls_trust_pool system
				tls_trust_pool file {
					pem_file ca.pem
				}
				tls_client_auth {env.CERTIFICATE} client.key
			}
		}
	}`), nil)
	if want := `"egress":{"tls":{"ca":[{"provider":"system"},{"pem_files":["ca.pem"],"provider":"file"}],` +
		`"client_certificate_file":"{env.CERTIFICATE}","client_certificate_key_file":"client.key"}}`; err != nil || !strings.Contains(string(config), want) {
		t.Errorf("got %s, %v, want %s in it", config, err, want)
	}
}

// A client certificate without its key, or the key alone, is refused.
func TestHalfAClientCertificate(t *testing.T) {
	for _, half := range []EgressTLS{{ClientCertificateFile: "client.pem"}, {ClientCertificateKeyFile: "client.key"}} {
		if got, err := half.clientCertificates(); err == nil {
			t.Errorf("%+v: got %d certificates and no error", half, len(got))
		}
	}
}

// The CAs of all pools are trusted, and the system's only if its pool is one of them or
// there is none.
func TestTrustPools(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must.Do(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	alone := x509.NewCertPool()
	alone.AddCert(server.Certificate())
	system := must.Get(x509.SystemCertPool())(t)
	both := system.Clone()
	both.AddCert(server.Certificate())
	const file = "tls_trust_pool file "
	for lines, want := range map[string]*x509.CertPool{
		"":                                    nil,
		file + ca:                             alone,
		file + ca + "\n" + file + ca:          alone,
		"tls_trust_pool system":               system,
		"tls_trust_pool system\n" + file + ca: both,
		file + ca + "\ntls_trust_pool system": both,
	} {
		a := new(App)
		must.Do(t, a.UnmarshalCaddyfile(caddyfile.NewTestDispenser("webhooks {\negress {\n"+lines+"\n}\n}")))
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		defer cancel()
		if got, err := a.Egress.TLS.config(ctx); err != nil || !got.RootCAs.Equal(want) {
			t.Errorf("%q: got other CAs than wanted (%v)", lines, err)
		}
	}
}
