package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// BenchmarkPublish measures POST /events without sockets, on a real store. Each operation
// waits for an fsync, which is shared by all goroutines.
func BenchmarkPublish(b *testing.B) {
	s := start(b)
	h := open(b, func() *outbound.Engine { return s.engine })
	body := `{"event_type":"order.created","payload":{"text":"` + strings.Repeat("x", 900) + `"}}`
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequest("POST", "/events", strings.NewReader(body))
			r.Header["Content-Type"] = []string{"application/json"}
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != 202 {
				b.Errorf("%d: %s", w.Code, w.Body)
				return
			}
		}
	})
}

// BenchmarkPublishRefused measures the API alone: the engine refuses the event type.
func BenchmarkPublishRefused(b *testing.B) {
	s := start(b)
	h := open(b, func() *outbound.Engine { return s.engine })
	body := `{"event_type":"no type","payload":{"text":"` + strings.Repeat("x", 900) + `"}}`
	r := httptest.NewRequest("POST", "/events", nil)
	r.Header["Content-Type"] = []string{"application/json"}
	r.ContentLength = int64(len(body))
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(body))
		h.ServeHTTP(w, r)
	}
}

// BenchmarkPublishLines measures requests with a thousand lines.
func BenchmarkPublishLines(b *testing.B) {
	s := start(b)
	h := open(b, func() *outbound.Engine { return s.engine })
	line := `{"event_type":"order.created","payload":{"text":"` + strings.Repeat("x", 900) + `"}}` + "\n"
	body := strings.Repeat(line, 1000)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/events", strings.NewReader(body))
		r.Header["Content-Type"] = []string{"application/x-ndjson"}
		h.ServeHTTP(&discard{header: http.Header{}}, r)
	}
}

// discard is a response writer that discards everything.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
