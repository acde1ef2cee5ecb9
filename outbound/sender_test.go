package outbound

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

// TestOneRequestOverHTTP2: what the receiver resets, early or when it has all of
// it, is not sent again.
func TestOneRequestOverHTTP2(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	defer certified.Close()
	policy, err := egress.NewPolicy([]string{"127.0.0.1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		size  int
		whole bool
	}{
		{"reset when its headers are there", 2, false},
		{"reset while its body comes", 200_000, false},
		{"reset when all of it is there", 2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := resetter(t, certified.TLS.Certificates, tt.whole)
			transport := egress.NewTransport(egress.Options{Policy: policy, TLS: certified.Client().Transport.(*http.Transport).TLSClientConfig})
			defer transport.CloseIdleConnections()
			to := &target{url: &url.URL{Scheme: "https", Host: r.addr}}
			_, err := transport.RoundTrip(request(t.Context(), to, http.Header{}, bytes.Repeat([]byte("x"), tt.size)))
			if err == nil || !strings.Contains(err.Error(), "PROTOCOL_ERROR") {
				t.Errorf("the error is %v", err)
			}
			if n := r.requests.Load(); n != 1 {
				t.Errorf("the receiver saw %d requests", n)
			}
		})
	}
}

// resets are a receiver that resets all it gets.
type resets struct {
	addr     string
	requests atomic.Int64
}

func resetter(t *testing.T, certificates []tls.Certificate, whole bool) *resets {
	t.Helper()
	listener, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	r := &resets{addr: listener.Addr().String()}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			served.Go(func() { r.serve(conn, whole) })
		}
	})
	t.Cleanup(func() { listener.Close(); served.Wait() })
	return r
}

func (r *resets) serve(conn net.Conn, whole bool) {
	defer conn.Close()
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	_ = framer.WriteSettings()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			r.requests.Add(1)
			if !whole {
				_ = framer.WriteRSTStream(f.StreamID, http2.ErrCodeProtocol)
			}
		case *http2.DataFrame:
			if whole && f.StreamEnded() {
				_ = framer.WriteRSTStream(f.StreamID, http2.ErrCodeProtocol)
			}
		}
	}
}
