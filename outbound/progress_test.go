package outbound

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

// The error of a request that timed out says which step it had reached.
func TestTimeoutErrorsNameTheStep(t *testing.T) {
	policy := must.Get(egress.NewPolicy([]string{"127.0.0.1"}, nil))(t)
	for want, c := range map[string]struct {
		to      func(silent string) string
		options func(silent string) egress.Options
		class   string
	}{
		"the host name was not resolved in time": {
			to: func(string) string { return "https://crm.example.com" },
			options: func(silent string) egress.Options {
				return egress.Options{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", silent)
				}}}
			},
			class: ClassDNS, // the same as when a name server takes too long
		},
		"no connection in time": {
			to: func(string) string { return "https://127.0.0.1:1" },
			options: func(silent string) egress.Options {
				return egress.Options{Proxy: &url.URL{Scheme: "socks5", Host: silent}}
			},
		},
		"the TLS handshake was not completed in time": {to: func(silent string) string { return "https://" + silent }},
		"no response in time":                         {to: func(silent string) string { return "http://" + silent }},
	} {
		t.Run(want, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			silent := silence(t, func() { cancel(context.DeadlineExceeded) })
			var options egress.Options
			if c.options != nil {
				options = c.options(silent)
			}
			options.Policy = policy
			s := &sender{transport: egress.NewTransport(options)}
			defer s.transport.CloseIdleConnections()
			to := must.Get(url.Parse(c.to(silent)))(t)
			resp, err := s.exchange(ctx, http.MethodPost, &endpoint{url: to}, http.Header{}, []byte("{}"))
			if err == nil {
				resp.Body.Close()
				t.Fatal("got an answer, want a timeout")
			}
			if o := failure(err); o.class != cmp.Or(c.class, ClassTimeout) || o.message != want {
				t.Errorf("%v: got %+v, want class %s with message %q", err, o, cmp.Or(c.class, ClassTimeout), want)
			}
		})
	}
}

// silence starts a server that accepts one connection, calls asked when it has received
// something, and never answers. It returns its address.
func silence(t *testing.T, asked func()) string {
	t.Helper()
	listener := must.Get(net.Listen("tcp4", "127.0.0.1:0"))(t)
	var served sync.WaitGroup
	served.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 1))
		asked()
		<-t.Context().Done() // not when the caller hangs up, since an abandoned lookup would linger for seconds
	})
	t.Cleanup(func() { listener.Close(); served.Wait() })
	return listener.Addr().String()
}
