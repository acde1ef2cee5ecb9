package spool

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
)

// Serve makes the spool the body of a request, so that on each attempt of a proxy
// the app gets the bytes that were verified, with the right Content-Length.
//
// It changes the request in place, because Caddy's {http.request.body} and error
// routes use the same value.
func (s *Spool) Serve(r *http.Request) {
	if !s.complete {
		s.serveWithRest(r)
		return
	}
	r.ContentLength = s.size
	r.TransferEncoding = nil
	r.Header["Content-Length"] = []string{strconv.FormatInt(s.size, 10)}
	// The client has already sent the body, so the app needn't agree to receive it.
	r.Header.Del("Expect")
	if s.size == 0 {
		r.Body = http.NoBody
		r.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
		return
	}
	body := &reader{spool: s}
	r.Body = body
	r.GetBody = func() (io.ReadCloser, error) { return &reader{spool: s}, nil }

	// reverse_proxy uses the same body for all its attempts. The body is rewound when
	// an attempt gets a connection, which is how each of them begins. Close can't
	// mark the end of an attempt: a transport may close the body of an abandoned
	// attempt while the next one is reading.
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { body.rewind() },
	})
	*r = *r.WithContext(ctx)
}

// serveWithRest makes what was read, followed by what the client still sends, the
// body of a request. A dry run thus passes a body on that it can't hold, but only
// once.
func (s *Spool) serveWithRest(r *http.Request) {
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&reader{spool: s}, r.Body), r.Body}
}

// reader is a request body that reads from a spool. It can't be read after Close
// until it is rewound, so that no attempt of a proxy continues in the middle of what
// another one has read.
type reader struct {
	spool *Spool

	mu     sync.Mutex
	offset int64
	closed bool
}

func (b *reader) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.spool.ReadAt(p, b.offset)
	b.offset += int64(n)
	return n, err
}

// Close implements io.Closer.
func (b *reader) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

func (b *reader) rewind() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offset, b.closed = 0, false
}
