package egress

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// connectProxy is an HTTP proxy that records what it is asked for.
type connectProxy struct {
	*httptest.Server
	status int // what it answers, if not 200

	mu            sync.Mutex
	targets       []string
	authorization string
}

func serveProxy(t *testing.T, secure bool) *connectProxy {
	t.Helper()
	p := new(connectProxy)
	p.Server = httptest.NewUnstartedServer(p)
	p.EnableHTTP2 = true
	if secure {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.targets = append(p.targets, r.Method+" "+r.RequestURI)
	p.authorization = r.Header.Get("Proxy-Authorization")
	p.mu.Unlock()
	if p.status != 0 {
		w.WriteHeader(p.status)
		return
	}
	receiver, err := net.Dial("tcp", r.RequestURI)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		receiver.Close()
		return
	}
	io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	pipe := func(to, from net.Conn) {
		io.Copy(to, from)
		to.Close()
		from.Close()
	}
	go pipe(receiver, client) // both end with the client's connection
	go pipe(client, receiver)
}

// asked returns the targets that the proxy was asked for, and the last credentials.
func (p *connectProxy) asked() (targets []string, authorization string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.targets), p.authorization
}

func (p *connectProxy) parsed(t *testing.T) *url.URL {
	t.Helper()
	return must.Get(ParseProxy(p.URL))(t)
}

// A proxy is asked for the address that the policy has checked, not for the name, which it
// could resolve to another address.
func TestProxyIsAskedForTheAddress(t *testing.T) {
	names := serveNames(t, map[string][]string{
		"example.com":       {"::ffff:127.0.0.1"}, // which is asked for in its own form
		"evil.example.com":  {"127.0.0.2"},
		"mixed.example.com": {"127.0.0.1 127.0.0.2"},
	})
	plain, secure := serve(t, echo, false), serve(t, echo, true)
	for _, proxyTLS := range []bool{false, true} {
		p := serveProxy(t, proxyTLS)
		config := secure.trust().Clone()
		config.NextProtos = []string{"h2", "http/1.1"} // the tunnel needs HTTP/1.1 all the same
		client := newClient(t, Options{
			Policy:   mustPolicy(t, list("127.0.0.1"), nil),
			Resolver: names.resolver(),
			Proxy:    p.parsed(t),
			TLS:      config, // httptest's certificate is the proxy's as well
		})
		if got, want := bodyOf(t, wantOK(t, client, "http://example.com:"+plain.port)), "HTTP/1.1 host=example.com:"+plain.port+" sni="; got != want {
			t.Errorf("receiver: got %q, want %q", got, want)
		}
		if got, want := bodyOf(t, wantOK(t, client, "https://example.com:"+secure.port)), "HTTP/2.0 host=example.com:"+secure.port+" sni=example.com"; got != want {
			t.Errorf("receiver: got %q, want %q", got, want)
		}
		wantDenied(t, client, "http://evil.example.com:"+plain.port, Loopback)
		wantDenied(t, client, "http://mixed.example.com:"+plain.port, Loopback)
		wantDenied(t, client, "http://169.254.169.254/", Metadata)
		// The proxy itself is no receiver, unless its address is allowed.
		wantDenied(t, client, strings.Replace(p.URL, "127.0.0.1", "[::1]", 1), Loopback)

		want := []string{"CONNECT 127.0.0.1:" + plain.port, "CONNECT 127.0.0.1:" + secure.port}
		got, authorization := p.asked()
		if !slices.Equal(got, want) {
			t.Errorf("proxy: got targets %q, want %q", got, want)
		}
		if authorization != "" {
			t.Errorf("proxy: got unexpected credentials %q", authorization)
		}
		client.CloseIdleConnections()
	}
}

func TestProxyCredentials(t *testing.T) {
	p, r := serveProxy(t, false), serve(t, echo, false)
	u := p.parsed(t)
	u.User = url.UserPassword("user", "pass:word")
	client := newClient(t, Options{Policy: mustPolicy(t, list("127.0.0.1"), nil), Proxy: u})
	wantOK(t, client, "http://127.0.0.1:"+r.port)
	if _, got := p.asked(); got != "Basic dXNlcjpwYXNzOndvcmQ=" {
		t.Errorf("proxy: got unexpected credentials %q", got)
	}
	client.CloseIdleConnections()
}

// A proxy that demands a client certificate gets the one that is sent to receivers.
func TestProxyDemandsACertificate(t *testing.T) {
	p, r := new(connectProxy), serve(t, echo, false)
	p.Server = httptest.NewUnstartedServer(p)
	p.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	p.StartTLS()
	defer p.Close()
	config := p.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.Certificates = p.TLS.Certificates
	client := newClient(t, Options{Policy: mustPolicy(t, list("127.0.0.1"), nil), Proxy: p.parsed(t), TLS: config})
	wantOK(t, client, "http://127.0.0.1:"+r.port)
	client.CloseIdleConnections()
}

func TestProxyErrors(t *testing.T) {
	refusing := serveProxy(t, false)
	refusing.status = http.StatusForbidden
	unauthorized := serveProxy(t, false)
	unauthorized.status = http.StatusProxyAuthRequired
	raw := func(answer string) string {
		listener := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
		var served sync.WaitGroup
		served.Go(func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, answer)
			io.Copy(io.Discard, conn) // until the client gives up
			conn.Close()
		})
		t.Cleanup(func() {
			listener.Close()
			served.Wait()
		})
		return "http://" + listener.Addr().String()
	}

	tests := []struct {
		name, proxy, want string
		timeout           bool
	}{
		{"refuses", refusing.URL, "it answered 403 to CONNECT for port 8080", false},
		{"wants credentials", unauthorized.URL, "it answered 407 to CONNECT for port 8080", false},
		{"is down", "http://" + freeport.Address(), "connection refused", false},
		{"talks nonsense", raw("SSH-2.0-OpenSSH_9.9\r\n"), "the proxy failed", false},
		{"talks too soon", raw("HTTP/1.1 200 OK\r\n\r\nhello"), "the proxy failed", false},
		{"talks without end", raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 2*maxResponseHeader)), "the proxy failed", false},
		{"is silent", raw(""), "timed out", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := must.Get(ParseProxy(tt.proxy))(t)
			o := Options{Proxy: u}
			if tt.timeout {
				o.DialTimeout = 50 * time.Millisecond
			}
			_, err := post(t, newClient(t, o), "http://93.184.216.34:8080/")
			failed, ok := errors.AsType[*ConnectError](err)
			if !ok {
				t.Fatalf("got %v, want a *ConnectError", err)
			}
			want := "connecting to 93.184.216.34 through the egress proxy: " + tt.want
			if failed.Stage != StageProxy || failed.Error() != want || failed.Timeout() != tt.timeout {
				t.Errorf("got stage %s, timeout %v: %q; want %q (cause: %v)", failed.Stage, failed.Timeout(), failed, want, failed.Err)
			}
		})
	}
}

func TestProxyPort(t *testing.T) {
	for proxy, want := range map[string]string{
		"http://10.0.0.1":       "10.0.0.1:80",
		"https://10.0.0.1":      "10.0.0.1:443",
		"http://[fd12::1]:3128": "[fd12::1]:3128",
	} {
		u := must.Get(ParseProxy(proxy))(t)
		if got := newProxy(u, new(tls.Config)).address; got != want {
			t.Errorf("%s: got address %s, want %s", proxy, got, want)
		}
	}
}

func TestParseProxy(t *testing.T) {
	for _, good := range []string{"http://egress.internal:3128", "https://user:pass@proxy.example.com/", "http://10.0.0.1", "http://[fd12::1]:3128"} {
		if _, err := ParseProxy(good); err != nil {
			t.Errorf("%s: got %v, want no error", good, err)
		}
	}
	tests := []struct{ proxy, want string }{
		{"", "http:// or https://"},
		{"egress.internal:3128", "http://egress.internal:3128"},
		{"socks5://egress.internal:1080", "http:// or https://"},
		{"http://", "no host"},
		{"http://:3128", "no host"},
		{"http://egress.internal:0", "1 to 65535"},
		{"http://egress.internal/s3cret", "path"},
		{"http://egress.internal?s3cret", "query"},
		{"http://egress.internal#s3cret", "fragment"},
		{"http://user:s3cret@egress.internal:x", "not a URL"},
	}
	for _, tt := range tests {
		_, err := ParseProxy(tt.proxy)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: got %v, want %q in it", tt.proxy, err, tt.want)
		}
	}
}
