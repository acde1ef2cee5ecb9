package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Over HTTP/2, a request that the receiver resets isn't sent again, but one that it says it
// hasn't processed is, once.
func TestOneRequestOverHTTP2(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	defer certified.Close()
	policy := must.Get(egress.NewPolicy([]string{"127.0.0.1"}, nil))(t)
	for _, tt := range []struct {
		how      string
		size     int
		requests int64
		class    string
	}{
		{resetsHead, 2, 1, ClassReset},
		{resetsHead, 200_000, 1, ClassReset}, // while its body comes
		{resetsWhole, 2, 1, ClassReset},
		{fails, 2, 1, ClassReset},
		{goesAngry, 2, 1, ClassReset},
		{hasMuch, 2, 1, ClassProtocol},
		{hasNoStatus, 2, 1, ClassProtocol},
		{hasBadFrame, 2, 1, ClassProtocol},
		{refuses, 2, 2, ClassReset},
		{goes, 2, 2, ClassReset},
		{refusesOnce, 2, 2, ""},
		{goesOnce, 2, 2, ""},
	} {
		t.Run(fmt.Sprint(tt.how, " ", tt.size), func(t *testing.T) {
			r := unwilling(t, certified.TLS.Certificates, tt.how)
			s := &sender{transport: egress.NewTransport(egress.Options{Policy: policy, TLS: certified.Client().Transport.(*http.Transport).TLSClientConfig})}
			defer s.transport.CloseIdleConnections()
			to := &endpoint{url: &url.URL{Scheme: "https", Host: r.addr}}
			resp, err := s.exchange(t.Context(), http.MethodPost, to, http.Header{}, bytes.Repeat([]byte("x"), tt.size))
			switch {
			case err == nil:
				resp.Body.Close()
				if tt.class != "" {
					t.Errorf("got answer %s, want an error", resp.Status)
				}
			case failure(err).class != tt.class, strings.Contains(failure(err).message, "stream"):
				t.Errorf("got %v, which is %+v, want class %q", err, failure(err), tt.class)
			}
			if n := r.requests.Load(); n != tt.requests {
				t.Errorf("receiver: got %d requests, want %d", n, tt.requests)
			}
		})
	}
}

// If a connection breaks before anything of a request was sent on it, the request is sent
// on another one.
func TestConnectionLostBeforeTheRequest(t *testing.T) {
	var requests atomic.Int64
	r, s, to := overHTTP2(t, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	var once sync.Once
	losing := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		once.Do(func() {
			r.CloseClientConnections()
			for got.Conn.SetDeadline(time.Time{}) == nil { // until the transport has closed it too
				runtime.Gosched()
			}
		})
	}})
	for i, ctx := range []context.Context{t.Context(), losing} {
		resp, err := s.exchange(ctx, http.MethodPost, to, http.Header{}, []byte("{}"))
		if err != nil {
			t.Fatalf("got %v, which is %+v, want an answer", err, failure(err))
		}
		resp.Body.Close()
		if n := requests.Load(); n != int64(i+1) {
			t.Errorf("receiver: got %d requests, want %d", n, i+1)
		}
	}
}

// An HTTP/2 connection that is open but doesn't answer isn't used any more, although one
// connection could serve all requests.
func TestStuckConnection(t *testing.T) {
	var first atomic.Value // the address of its caller
	arrived := make(chan struct{})
	_, s, to := overHTTP2(t, func(_ http.ResponseWriter, req *http.Request) {
		if first.CompareAndSwap(nil, req.RemoteAddr) || first.Load() == req.RemoteAddr {
			arrived <- struct{}{}
			<-req.Context().Done()
		}
	})
	for attempt := 1; ; attempt++ {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			select {
			case <-arrived:
				cancel() // as when its time is up
			case <-ctx.Done():
			}
		}()
		resp, err := s.exchange(ctx, http.MethodPost, to, http.Header{}, []byte("{}"))
		if err == nil {
			resp.Body.Close()
		}
		cancel()
		if err == nil {
			break
		}
		if attempt == 3 {
			t.Fatalf("third request: got %v, want it on another connection", err)
		}
	}
}

// While too many connections are open, none is kept by a receiver that answers but takes
// no more requests on it.
func TestTooManyConnections(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	defer certified.Close()
	r := unwilling(t, certified.TLS.Certificates, servesOne)
	s := newSender(Settings{
		Policy: must.Get(egress.NewPolicy([]string{"127.0.0.1"}, nil))(t),
		TLS:    certified.Client().Transport.(*http.Transport).TLSClientConfig,
	})
	defer s.transport.CloseIdleConnections()
	to := &endpoint{url: &url.URL{Scheme: "https", Host: r.addr}}
	const before = 3
	for range before {
		resp := must.Get(s.exchange(t.Context(), http.MethodPost, to, http.Header{}, []byte("{}")))(t)
		resp.Body.Close()
	}
	if n := s.conns.open.Load(); n != before {
		t.Fatalf("got %d connections, want %d: the receiver takes one request on each", n, before)
	}
	s.conns.most = before - 1
	for range 3 {
		resp := must.Get(s.exchange(t.Context(), http.MethodPost, to, http.Header{}, []byte("{}")))(t)
		resp.Body.Close()
	}
	must.Eventually(t, "the connections of before", func() bool { return s.conns.open.Load() == before })
}

// There are too many when more are open than attempts may use, and the spare ones.
func TestConnectionsOfASender(t *testing.T) {
	s := newSender(Settings{Concurrency: 10})
	s.conns.open.Store(10 + maxSpare)
	if s.conns.tooMany() {
		t.Errorf("with %d open: got too many, want few enough", 10+maxSpare)
	}
	s.conns.open.Add(1)
	if !s.conns.tooMany() {
		t.Errorf("with %d open: got few enough, want too many", 10+maxSpare+1)
	}
}

// A connection that is closed twice no longer counts, once.
func TestConnectionIsClosedTwice(t *testing.T) {
	r := httptest.NewServer(http.NotFoundHandler())
	defer r.Close()
	var c connections
	conn := must.Get(c.counted(new(net.Dialer).DialContext)(t.Context(), "tcp", r.Listener.Addr().String()))(t)
	conn.Close()
	conn.Close()
	if n := c.open.Load(); n != 0 {
		t.Errorf("got %d connections, want 0", n)
	}
}

// Only the first request after one without a response closes its connection.
func TestRequestAfterNoResponse(t *testing.T) {
	to := &endpoint{url: &url.URL{Scheme: "https", Host: "receiver.example"}}
	to.unanswered.Store(true)
	for _, want := range []bool{true, false} {
		if r := new(sender).request(t.Context(), http.MethodPost, to, nil, nil); r.Close != want {
			t.Errorf("got a request that closes its connection %v, want %v", r.Close, want)
		}
	}
}

// Headers that are too large have another error than an answer that isn't HTTP, in HTTP/1.1
// and HTTP/2.
func TestHeadersThatAreTooLarge(t *testing.T) {
	large := func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			w.Header().Add("X", strings.Repeat("a", 1<<10))
		}
	}
	_, s, two := overHTTP2(t, large)
	r := httptest.NewServer(http.HandlerFunc(large))
	defer r.Close()
	for _, to := range []*endpoint{{url: &url.URL{Scheme: "http", Host: r.Listener.Addr().String()}}, two} {
		resp, err := s.exchange(t.Context(), http.MethodPost, to, http.Header{}, []byte("{}"))
		if err == nil {
			resp.Body.Close()
			t.Fatalf("%s: got an answer, want an error", to.url)
		}
		if o := failure(err); o.class != ClassProtocol || o.message != "the response headers are over 64 KiB" {
			t.Errorf("got %v, which is %+v, want too large headers", err, o)
		}
	}
}

// An event whose payload the store no longer has, or not as it was published, is not sent,
// which no retry changes and isn't the receiver's fault.
func TestWhatIsLostIsNotSent(t *testing.T) {
	for says, ev := range map[string]*store.Event{
		"payload was removed":       {PayloadRemoved: true},
		"is not what was published": {Damaged: true},
	} {
		o := new(sender).send(t.Context(), new(target), ev, new(store.Attempt), nil)
		if o.class != ClassDamaged || !o.final || !o.eventFault || !strings.Contains(o.message, says) {
			t.Errorf("got %+v, want a final failure of class %s: %s", o, ClassDamaged, says)
		}
	}
}

// The headers that are kept of an answer help to understand a failure, and are bounded.
// Cookies aren't among them.
func TestKeptHeaders(t *testing.T) {
	got := keptHeaders(http.Header{"Server": {"nginx"}, "Set-Cookie": {"session=secret"}, "Location": {strings.Repeat("a", 300)}})
	if want := map[string]string{"Server": "nginx", "Location": strings.Repeat("a", 256)}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPort(t *testing.T) {
	for text, want := range map[string]int{"https://a.example/": 443, "http://a.example/": 80, "http://a.example:443/": 443} {
		if got := port(must.Get(url.Parse(text))(t)); got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}

// overHTTP2 starts a receiver that speaks HTTP/2, and returns it with a sender and endpoint
// for it.
func overHTTP2(t *testing.T, receive http.HandlerFunc) (*httptest.Server, *sender, *endpoint) {
	t.Helper()
	r := httptest.NewUnstartedServer(receive)
	r.EnableHTTP2 = true
	r.StartTLS()
	t.Cleanup(r.Close)
	policy := must.Get(egress.NewPolicy([]string{"127.0.0.1"}, nil))(t)
	s := &sender{transport: egress.NewTransport(egress.Options{Policy: policy, TLS: r.Client().Transport.(*http.Transport).TLSClientConfig})}
	t.Cleanup(s.transport.CloseIdleConnections)
	return r, s, &endpoint{url: &url.URL{Scheme: "https", Host: r.Listener.Addr().String()}}
}

// What an unwilling receiver can do with requests.
const (
	resetsHead  = "resets it when its headers are there"
	resetsWhole = "resets it when all of it is there"
	refuses     = "refuses each"
	refusesOnce = "refuses the first"
	goes        = "closes the connection"
	goesOnce    = "closes the first connection"
	fails       = "has an error of its own"
	goesAngry   = "closes the connection because of all the requests"
	servesOne   = "answers, but takes only one on each connection"
	hasMuch     = "answers with more headers than are read"
	hasNoStatus = "answers with a status that is none"
	hasBadFrame = "answers on a stream that is none"
)

// receiverHTTP2 is one that does so.
type receiverHTTP2 struct {
	addr     string
	how      string
	requests atomic.Int64
}

func unwilling(t *testing.T, certificates []tls.Certificate, how string) *receiverHTTP2 {
	t.Helper()
	listener := must.Get(tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: certificates, NextProtos: []string{"h2"}}))(t)
	r := &receiverHTTP2{addr: listener.Addr().String(), how: how}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(t.Context(), func() { conn.Close() })
			served.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(func() { listener.Close(); served.Wait() })
	return r
}

func (r *receiverHTTP2) serve(conn net.Conn) {
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
			n := r.requests.Add(1)
			switch {
			case r.how == resetsHead:
				_ = framer.WriteRSTStream(f.StreamID, http2.ErrCodeProtocol)
			case r.how == refuses, r.how == refusesOnce && n == 1:
				_ = framer.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
			case r.how == goes, r.how == goesOnce && n == 1:
				_ = framer.WriteGoAway(0, http2.ErrCodeNo, nil)
			}
		case *http2.DataFrame:
			switch {
			case !f.StreamEnded():
			case r.how == resetsWhole:
				_ = framer.WriteRSTStream(f.StreamID, http2.ErrCodeProtocol)
			case r.how == fails:
				_ = framer.WriteRSTStream(f.StreamID, http2.ErrCodeInternal)
			case r.how == goesAngry:
				_ = framer.WriteGoAway(f.StreamID, http2.ErrCodeEnhanceYourCalm, nil)
				return
			case r.how == servesOne:
				_ = framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
				_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: answer("200", 0), EndHeaders: true, EndStream: true})
			case r.how == hasMuch:
				_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: answer("200", 100), EndHeaders: true, EndStream: true})
			case r.how == hasNoStatus:
				_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: answer("abc", 0), EndHeaders: true, EndStream: true})
			case r.how == hasBadFrame:
				_ = framer.WriteContinuation(f.StreamID, true, nil)
			case r.requests.Load() == 2 && (r.how == refusesOnce || r.how == goesOnce):
				const ok = "\x88" // status 200
				_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: []byte(ok), EndHeaders: true, EndStream: true})
			}
		}
	}
}

// answer returns the head of an answer, with many headers of 3000 bytes.
func answer(status string, many int) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	_ = e.WriteField(hpack.HeaderField{Name: ":status", Value: status})
	for range many {
		_ = e.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("a", 3000)})
	}
	return b.Bytes()
}
