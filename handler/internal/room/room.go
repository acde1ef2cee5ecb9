// Package room bounds what the bodies of requests take: of memory, and of time.
package room

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// The reasons for which a body isn't read, besides those of its reader.
var (
	ErrTooLarge = errors.New("the body is larger than it may be")
	ErrFull     = errors.New("more is sent than there is room for")
	ErrSlow     = errors.New("the body comes too slowly")
	ErrGone     = errors.New("another handler has read the body before")
)

// EndConnection has the connection of a request closed after the answer, where
// what is still to come of its body would pass for the next request. Since HTTP/2
// each request has a stream, and an answer may not have that header.
func EndConnection(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

// Room is what all bodies may take together.
type Room struct {
	limit int64
	taken atomic.Int64
}

// grace and rate bound how long a body may take: grace, and a second more for
// each rate bytes of it.
const (
	grace = 30 * time.Second
	rate  = 64 << 10
)

// Patience is how long a body of so many bytes may take.
func Patience(size int64) time.Duration {
	return grace + time.Duration(float64(size)/rate*float64(time.Second))
}

// New makes room for so many bytes.
func New(limit int64) *Room { return &Room{limit: limit} }

// Taken is what they take at the moment.
func (r *Room) Taken() int64 { return r.taken.Load() }

// Part is what one body takes. The zero value takes nothing.
type Part struct {
	of   *Room
	size int64
}

// Part is one that takes nothing yet.
func (r *Room) Part() Part { return Part{of: r} }

// Release gives it back, which is to be done when the body is no longer needed.
func (p *Part) Release() {
	if p.of != nil {
		p.of.taken.Add(-p.size)
	}
	p.size = 0
}

// Grow takes more, unless there is no room for it, or less.
func (p *Part) Grow(more int64) bool { return p.take(p.size + more) }

// take has the part be so large, unless all together are too large then. One
// that is alone may have what it needs.
func (p *Part) take(size int64) bool {
	more := size - p.size
	if all := p.of.taken.Add(more); more > 0 && all > p.of.limit && all > size {
		p.of.taken.Add(-more)
		return false
	}
	p.size = size
	return true
}

// Read reads a request's body, of limit bytes at most. One that is longer is not
// read at all where its length is told. Errors are ErrTooLarge, ErrFull, ErrSlow,
// ErrGone, or what the reading of it returned.
func (r *Room) Read(from *http.Request, limit int64) ([]byte, Part, error) {
	if from.ContentLength > limit {
		return nil, Part{}, ErrTooLarge
	}
	p := r.Part()
	body, err := p.read(from.Body, from.ContentLength, limit)
	if err != nil {
		p.Release()
		return nil, Part{}, err
	}
	return body, p, nil
}

func (p *Part) read(from io.Reader, told, limit int64) ([]byte, error) {
	// A length is only a promise: room is made as bytes come in.
	const first = 64 << 10
	size, most := int64(4<<10), limit
	if told >= 0 {
		size, most = told, told
	}
	if !p.take(min(size, first) + 1) {
		return nil, ErrFull
	}
	began := time.Now()
	body := make([]byte, 0, min(size, first)+1) // one more: the end is seen without growing
	for {
		if len(body) == cap(body) {
			body = slices.Grow(body, max(min(len(body), int(most)+1-len(body)), 1)) // 1: more comes than was told
			if !p.take(int64(cap(body))) {
				return nil, ErrFull
			}
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, ErrTooLarge
		case err == io.EOF && int64(len(body)) < told, errors.Is(err, http.ErrBodyReadAfterClose): // a sender that breaks off has another error
			return nil, ErrGone
		case err == io.EOF:
			return body, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, ErrSlow
		case err != nil:
			return nil, err
		case time.Since(began) > Patience(int64(len(body))): // one that stalls altogether is up to the server's read_idle_timeout
			return nil, ErrSlow
		}
	}
}
