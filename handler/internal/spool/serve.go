package spool

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
)

// Serve makes the spool the body of a request, so that the app gets the bytes
// that were judged, with their true length, on each attempt of a proxy.
//
// The request is changed in place: Caddy's {http.request.body} and its error
// routes look at the same value.
func (s *Spool) Serve(r *http.Request) {
	if !s.complete {
		s.serveWithRest(r)
		return
	}
	r.ContentLength = s.size
	r.TransferEncoding = nil
	r.Header["Content-Length"] = []string{strconv.FormatInt(s.size, 10)}
	// the whole body is here, so there is nothing left to ask the app for
	r.Header.Del("Expect")
	if s.size == 0 {
		r.Body = http.NoBody
		r.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
		return
	}
	body := &reader{spool: s}
	r.Body = body
	r.GetBody = func() (io.ReadCloser, error) { return &reader{spool: s}, nil }

	// reverse_proxy gives the same body to each of its attempts. Each attempt
	// begins by getting a connection, and that is where the body starts over. A
	// Close would come too late to tell where one attempt ends: a transport may
	// close the body of an attempt that it gave up while the next one reads.
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { body.rewind() },
	})
	*r = *r.WithContext(ctx)
}

// serveWithRest makes what was read, and whatever the client still sends, the
// body of a request: a dry run passes what it can't hold, once.
func (s *Spool) serveWithRest(r *http.Request) {
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&reader{spool: s}, r.Body), r.Body}
}

// reader is one of a spool: a request's body. Close ends it until
// it is rewound, so that no attempt of a proxy goes on in the middle of what
// another one read.
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
