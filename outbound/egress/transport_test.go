package egress

import (
	"bufio"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// receiver is a server on all IPv4 addresses of this machine, so that it sees a delivery
// that slips through to a denied one.
type receiver struct {
	*httptest.Server
	connections atomic.Int64 // accepted so far
	port        string
}

// serve starts a receiver, with TLS if secure.
func serve(t *testing.T, h http.HandlerFunc, secure bool) *receiver {
	t.Helper()
	listener := must.Get(net.Listen("tcp4", "0.0.0.0:0"))(t)
	r := new(receiver)
	_, r.port, _ = net.SplitHostPort(listener.Addr().String())
	r.Server = &httptest.Server{Listener: listener, EnableHTTP2: true, Config: &http.Server{
		Handler:  h,
		ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				r.connections.Add(1)
			}
		},
	}}
	if secure {
		r.StartTLS()
	} else {
		r.Start()
	}
	t.Cleanup(r.Close)
	return r
}

// trust returns the TLS settings of a client that trusts a secure receiver. The
// receiver's certificate is valid for example.com and for loopback addresses.
func (r *receiver) trust() *tls.Config {
	return r.Client().Transport.(*http.Transport).TLSClientConfig
}

func newClient(t *testing.T, o Options) *http.Client {
	t.Helper()
	client := &http.Client{Transport: NewTransport(o)}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// post sends a small delivery and returns the answer, its body already read.
func post(t *testing.T, c *http.Client, url string) (*http.Response, error) {
	t.Helper()
	response, err := c.Post(url, "application/json", strings.NewReader(`{}`))
	if err != nil {
		return nil, err
	}
	body := must.Get(io.ReadAll(response.Body))(t)
	response.Body.Close()
	response.Body = io.NopCloser(strings.NewReader(string(body)))
	return response, nil
}

// wantOK posts to a URL, which must answer 200.
func wantOK(t *testing.T, c *http.Client, url string) *http.Response {
	t.Helper()
	response := must.Get(post(t, c, url))(t)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("got status %d, want 200", response.StatusCode)
	}
	return response
}

// wantDenied posts to a URL, which the policy must deny with that verdict.
func wantDenied(t *testing.T, c *http.Client, url string, want Verdict) {
	t.Helper()
	_, err := post(t, c, url)
	denied, ok := errors.AsType[*DeniedError](err)
	if !ok {
		t.Fatalf("got %v, want a *DeniedError", err)
	}
	if denied.verdict != want {
		t.Errorf("got %s, want %q", denied.Detail(), want)
	}
}

// echo answers with the protocol, Host header and SNI of the request.
func echo(w http.ResponseWriter, r *http.Request) {
	sni := ""
	if r.TLS != nil {
		sni = r.TLS.ServerName
	}
	fmt.Fprintf(w, "%s host=%s sni=%s", r.Proto, r.Host, sni)
}

func bodyOf(t *testing.T, r *http.Response) string {
	t.Helper()
	b := must.Get(io.ReadAll(r.Body))(t)
	return string(b)
}

func TestTransportReaches(t *testing.T) {
	names := serveNames(t, map[string][]string{
		"example.com":        {"127.0.0.1"},
		"mapped.example.com": {"::ffff:127.0.0.1"},
	})
	plain, secure := serve(t, echo, false), serve(t, echo, true)
	client := newClient(t, Options{
		Policy:   mustPolicy(t, list("127.0.0.1"), nil),
		Resolver: names.resolver(),
		TLS:      secure.trust(),
	})
	tests := []struct{ name, url, want string }{
		{"address", "http://127.0.0.1:" + plain.port, "HTTP/1.1 host=127.0.0.1:" + plain.port + " sni="},
		{"name", "http://example.com:" + plain.port, "HTTP/1.1 host=example.com:" + plain.port + " sni="},
		{"mapped answer", "http://mapped.example.com:" + plain.port, "HTTP/1.1 host=mapped.example.com:" + plain.port + " sni="},
		{"TLS", "https://example.com:" + secure.port, "HTTP/2.0 host=example.com:" + secure.port + " sni=example.com"},
		{"TLS to an address", "https://127.0.0.1:" + secure.port, "HTTP/2.0 host=127.0.0.1:" + secure.port + " sni="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := bodyOf(t, wantOK(t, client, tt.url)); got != tt.want {
				t.Errorf("receiver: got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTransportDenies(t *testing.T) {
	names := serveNames(t, map[string][]string{
		"loopback.example.com":  {"127.0.0.2"},
		"mixed.example.com":     {"127.0.0.1 127.0.0.2"},
		"mixed6.example.com":    {"127.0.0.1 fd12::1"},
		"metadata.example.com":  {"169.254.169.254"},
		"mapped.example.com":    {"::ffff:127.0.0.2"},
		"nat64.example.com":     {"64:ff9b::7f00:2"},
		"sixtofour.example.com": {"2002:7f00:2::"},
		"evil.example.com":      {"127.0.0.1"},
		"0x7f000001":            {"127.0.0.2"},
	})
	r := serve(t, echo, false)
	client := newClient(t, Options{
		Policy:   mustPolicy(t, list("127.0.0.1"), list("evil.example.com")),
		Resolver: names.resolver(),
	})
	tests := []struct {
		name, host string
		want       Verdict
	}{
		{"loopback", "loopback.example.com", Loopback},
		{"one of two", "mixed.example.com", Loopback},
		{"one in each family", "mixed6.example.com", Private},
		{"metadata", "metadata.example.com", Metadata},
		{"mapped", "mapped.example.com", Loopback},
		{"NAT64", "nat64.example.com", Loopback},
		{"6to4", "sixtofour.example.com", SixToFour},
		{"name", "evil.example.com", Closed},
		{"number as a name", "0x7f000001", Loopback},
		{"literal", "127.0.0.2", Loopback},
		{"IPv6 literal", "[::1]", Loopback},
		{"mapped literal", "[::ffff:127.0.0.2]", Loopback},
		{"unspecified literal", "0.0.0.0", Unspecified},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantDenied(t, client, "http://"+tt.host+":"+r.port+"/", tt.want)
		})
	}
	if n := names.asked("evil.example.com"); n != 0 {
		t.Errorf("got %d lookups of a denied name, want 0", n)
	}
	// Connections are accepted in order: this one comes after any that slipped through.
	wantOK(t, client, "http://127.0.0.1:"+r.port)
	if n := r.connections.Load(); n != 1 {
		t.Errorf("receiver: got %d connections, want 1", n)
	}
}

// The address is checked once more on the socket, even if it got past the first check.
func TestDialerChecksSocket(t *testing.T) {
	r := serve(t, echo, false)
	d := newDialer(Options{Policy: mustPolicy(t, list("127.0.0.1"), nil)}, nil)
	for address, want := range map[string]bool{"127.0.0.1": true, "127.0.0.2": false, "::ffff:127.0.0.2": false, "0.0.0.0": false} {
		conn, err := d.direct("tcp", "example.com")(t.Context(), netip.MustParseAddrPort(net.JoinHostPort(address, r.port)))
		if _, denied := errors.AsType[*DeniedError](err); denied == want {
			t.Errorf("%s: got %v, want it denied: %v", address, err, !want)
		}
		if conn != nil {
			io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
			io.ReadAll(conn) // returns once the receiver has accepted it
			conn.Close()
		}
	}
	if n := r.connections.Load(); n != 1 {
		t.Errorf("receiver: got %d connections, want 1", n)
	}
}

// A name is looked up once for each connection, and the addresses that were checked are the
// ones that are connected to. So rebinding a name can't get past the policy.
func TestTransportRebinding(t *testing.T) {
	names := serveNames(t, map[string][]string{
		"rebind.example.com": {"127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.1 127.0.0.2", "127.0.0.1"},
	})
	r := serve(t, echo, false)
	client := newClient(t, Options{Policy: mustPolicy(t, list("127.0.0.1"), nil), Resolver: names.resolver()})
	u := "http://rebind.example.com:" + r.port
	for i, ok := range []bool{true, false, true, false, true} {
		if ok {
			wantOK(t, client, u)
		} else {
			wantDenied(t, client, u, Loopback)
		}
		client.CloseIdleConnections()
		if got := names.asked("rebind.example.com"); got != i+1 {
			t.Fatalf("after %d connections: got %d lookups, want one each", i+1, got)
		}
	}
	if n := r.connections.Load(); n != 3 {
		t.Errorf("receiver: got %d connections, want 3", n)
	}
}

func TestTransportDeniesRedirect(t *testing.T) {
	r := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect)
	}, false)
	client := newClient(t, Options{Policy: mustPolicy(t, list("127.0.0.1"), nil)})
	wantDenied(t, client, "http://127.0.0.1:"+r.port, Metadata)
}

func TestTransportOwnEndpoint(t *testing.T) {
	own, other := serve(t, echo, false), serve(t, echo, false)
	for _, address := range []string{"127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "::"} {
		t.Run(address, func(t *testing.T) {
			endpoint := netip.MustParseAddrPort(net.JoinHostPort(address, own.port))
			client := newClient(t, Options{Policy: mustPolicy(t, list("127.0.0.0/8"), nil), Own: []netip.AddrPort{endpoint}})
			wantDenied(t, client, "http://127.0.0.1:"+own.port, Own)
			wantOK(t, client, "http://127.0.0.1:"+other.port)
		})
	}
	wantOK(t, newClient(t, Options{Policy: mustPolicy(t, list("127.0.0.0/8"), nil)}), "http://127.0.0.1:"+own.port)
	if n := own.connections.Load(); n != 1 {
		t.Errorf("endpoint: got %d connections, want the last only", n)
	}
}

// Denying Caddy's own endpoint denies that address, and for one on all addresses those of
// this machine and its neighbours, but never a public receiver that has the same port.
func TestOwnEndpointIsNoOther(t *testing.T) {
	tests := []struct {
		own, to string
		denied  bool
	}{
		{"127.0.0.1:443", "127.0.0.1:443", true},
		{"127.0.0.1:443", "[64:ff9b::127.0.0.1]:443", true},
		{"127.0.0.1:443", "127.0.0.2:443", false},
		{"127.0.0.1:443", "8.8.8.8:443", false},
		{"0.0.0.0:443", "10.0.0.1:443", true},
		{"[::]:443", "10.0.0.1:443", true},
		{"[::]:443", "10.0.0.1:8443", false},
		{"[::]:443", "8.8.8.8:443", false},
		{"8.8.4.4:443", "8.8.8.8:443", false},
		{"8.8.4.4:443", "8.8.4.4:443", true},
	}
	for _, tt := range tests {
		t.Run(tt.own+" and "+tt.to, func(t *testing.T) {
			d := newDialer(Options{Policy: mustPolicy(t, list("0.0.0.0/0"), nil), Own: []netip.AddrPort{netip.MustParseAddrPort(tt.own)}}, nil)
			err := d.check("example.com", netip.MustParseAddrPort(tt.to))
			if (err != nil) != tt.denied {
				t.Errorf("got %v, want it denied: %v", err, tt.denied)
			}
		})
	}
}

func TestTransportErrors(t *testing.T) {
	names := serveNames(t, map[string][]string{
		"refused.example.com": {"127.0.0.1"},
		"empty.example.com":   {""},
		"slow.example.com":    nil,
	})
	closed := freeport.Get()

	tests := []struct {
		name, host, stage, want string
		timeout                 bool
	}{
		{"unknown name", "nowhere.example.com", StageDNS, "looking up nowhere.example.com: no such host", false},
		{"name without addresses", "empty.example.com", StageDNS, "looking up empty.example.com: no such host", false},
		{"silent name server", "slow.example.com", StageDNS, "looking up slow.example.com: timed out", true},
		{"refused", "refused.example.com", StageConnect, "connecting to refused.example.com: connection refused", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Policy: mustPolicy(t, list("127.0.0.1"), nil), Resolver: names.resolver()}
			if tt.timeout {
				o.DNSTimeout = 50 * time.Millisecond
			}
			_, err := post(t, newClient(t, o), fmt.Sprintf("http://%s:%d", tt.host, closed))
			failed, ok := errors.AsType[*ConnectError](err)
			if !ok {
				t.Fatalf("got %v, want a *ConnectError", err)
			}
			if failed.Stage != tt.stage || failed.Error() != tt.want || failed.Timeout() != tt.timeout {
				t.Errorf("got stage %s, timeout %v: %q; want stage %s: %q", failed.Stage, failed.Timeout(), failed, tt.stage, tt.want)
			}
			if urlError, ok := errors.AsType[*url.Error](err); !ok || urlError.Timeout() != tt.timeout {
				t.Errorf("url.Error: got timeout %v, want %v", !tt.timeout, tt.timeout)
			}
		})
	}
}

func TestTransportCancelled(t *testing.T) {
	names := serveNames(t, map[string][]string{"slow.example.com": nil})
	client := newClient(t, Options{Resolver: names.resolver(), DNSTimeout: time.Hour})
	client.Timeout = 50 * time.Millisecond
	if _, err := post(t, client, "http://slow.example.com/"); err == nil {
		t.Fatal("got an answer, want an error")
	}
}

func TestTransportTLSTimeout(t *testing.T) {
	listener := must.Get(net.Listen("tcp4", "127.0.0.1:0"))(t)
	defer listener.Close() // connections stay in its backlog, unanswered
	client := newClient(t, Options{Policy: mustPolicy(t, list("127.0.0.1"), nil), TLSTimeout: 50 * time.Millisecond})
	if _, err := post(t, client, "https://"+listener.Addr().String()); err == nil || !strings.Contains(err.Error(), "TLS handshake timeout") {
		t.Errorf("got %v, want a TLS handshake timeout", err)
	}
}

func TestTransportVerifiesName(t *testing.T) {
	names := serveNames(t, map[string][]string{"other.example.net": {"127.0.0.1"}})
	r := serve(t, echo, true)
	config := r.trust().Clone()
	config.ServerName = "example.com" // would accept any name
	client := newClient(t, Options{Policy: mustPolicy(t, list("127.0.0.1"), nil), Resolver: names.resolver(), TLS: config})
	_, err := post(t, client, "https://other.example.net:"+r.port)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("got %v, want a *tls.CertificateVerificationError", err)
	}
}

func TestTransportBoundsHeaders(t *testing.T) {
	for _, secure := range []bool{false, true} {
		r := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("a", 2*maxResponseHeader))
		}, secure)
		o := Options{Policy: mustPolicy(t, list("127.0.0.1"), nil)}
		scheme := "http"
		if secure {
			scheme, o.TLS = "https", r.trust()
		}
		if _, err := post(t, newClient(t, o), scheme+"://127.0.0.1:"+r.port); err == nil {
			t.Errorf("%s: got an answer with too large headers, want an error", scheme)
		}
	}
}

func TestTransportUndoesNoCompression(t *testing.T) {
	r := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if e := r.Header.Get("Accept-Encoding"); e != "" {
			t.Errorf("got Accept-Encoding %q, want none", e)
		}
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		zip.Write([]byte("bomb"))
		zip.Close()
	}, false)
	client := newClient(t, Options{Policy: mustPolicy(t, list("127.0.0.1"), nil)})
	body := bodyOf(t, wantOK(t, client, "http://127.0.0.1:"+r.port))
	if !strings.HasPrefix(body, "\x1f\x8b") {
		t.Errorf("got body %q, want it as sent", body)
	}
}

// If the receiver closes the connection after it has read a request, the transport must not
// send the request again.
func TestTransportSendsOnce(t *testing.T) {
	listener := must.Get(net.Listen("tcp4", "127.0.0.1:0"))(t)
	var requests atomic.Int64
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reader := bufio.NewReader(conn)
			for {
				r, err := http.ReadRequest(reader)
				if err != nil {
					break
				}
				io.Copy(io.Discard, r.Body)
				if requests.Add(1) > 1 {
					break
				}
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
			conn.Close()
		}
	})
	client := newClient(t, Options{Policy: mustPolicy(t, list("127.0.0.1"), nil)})
	send := func() error {
		request, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+listener.Addr().String(), io.NopCloser(strings.NewReader("{}")))
		request.ContentLength = 2
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	must.Do(t, send())
	if err := send(); err == nil {
		t.Error("second delivery: got an answer, want an error")
	}
	listener.Close()
	served.Wait()
	if n := requests.Load(); n != 2 {
		t.Errorf("receiver: got %d requests, want 2", n)
	}
}

func TestTransportSettings(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
	tr := NewTransport(Options{MaxIdlePerHost: 7})
	if tr.Proxy != nil {
		t.Error("Proxy: got a function, want none, so that the environment's proxy isn't used")
	}
	if tr.MaxIdleConnsPerHost != 7 {
		t.Errorf("got %d idle connections a host, want the configured number", tr.MaxIdleConnsPerHost)
	}
	if NewTransport(Options{}).MaxIdleConnsPerHost != 16 {
		t.Error("got another default of idle connections a host, want 16")
	}
}
