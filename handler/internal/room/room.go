// Package room limits the memory and the time that request bodies may take.
package room

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The reasons why a body isn't read, in addition to errors of its reader.
var (
	ErrTooLarge = errors.New("the body is too large")
	ErrFull     = errors.New("there is no memory left for request bodies")
	ErrSlow     = errors.New("the body arrives too slowly")
	ErrGone     = errors.New("another handler has already read the body")
)

// EndConnection makes the server close the connection after the response, so that
// the rest of the body isn't taken for the next request. From HTTP/2 on, each
// request has a stream of its own, and the Connection header isn't allowed.
func EndConnection(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

// Room is the memory that all bodies may take together, and each tenant half of it. The
// same limits large responses, and the temporary files of bodies.
type Room struct {
	limit int64
	taken atomic.Int64

	mu       sync.Mutex
	byTenant map[string]int64 // how much of it each tenant has taken
}

// A body may take grace, plus a second for each rate bytes.
const (
	grace = 30 * time.Second
	rate  = 64 << 10
)

// Patience returns how long a body of this size may take to arrive.
func Patience(size int64) time.Duration {
	return grace + time.Duration(float64(size)/rate*float64(time.Second))
}

// New returns a room of limit bytes.
func New(limit int64) *Room { return &Room{limit: limit, byTenant: map[string]int64{}} }

// Taken returns how many bytes are taken now.
func (r *Room) Taken() int64 { return r.taken.Load() }

// Part is the memory that one body takes of a room. The zero value takes none, and
// can only be released.
type Part struct {
	room   *Room
	tenant string // "" for none
	size   int64
}

// Part returns a part that takes nothing yet.
func (r *Room) Part() Part { return r.PartOf("") }

// PartOf is Part for a body that a tenant sends.
func (r *Room) PartOf(tenant string) Part { return Part{room: r, tenant: tenant} }

// Release gives the memory back. It must be called when the body is no longer
// needed.
func (p *Part) Release() {
	if p.room != nil {
		p.resize(0)
	}
}

// Grow takes n more bytes, and reports whether there was room for them. If n is
// negative, it gives bytes back.
func (p *Part) Grow(n int64) bool { return p.resize(p.size + n) }

// resize sets the part's size, unless the room would be too full, or its tenant take
// too much of it. A part that is alone may have any size.
func (p *Part) resize(size int64) bool {
	more := size - p.size
	if all := p.room.taken.Add(more); more > 0 && all > p.room.limit && all > size || !p.resizeTenant(size) {
		p.room.taken.Add(-more)
		return false
	}
	p.size = size
	return true
}

// resizeTenant is resize for what the part's tenant has taken.
func (p *Part) resizeTenant(size int64) bool {
	if p.tenant == "" {
		return true
	}
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.byTenant[p.tenant] + size - p.size
	switch {
	case size > p.size && all > r.limit/2 && all > size:
		return false
	case all == 0:
		delete(r.byTenant, p.tenant)
	default:
		r.byTenant[p.tenant] = all
	}
	return true
}

// Read reads a request's body of at most limit bytes; if its Content-Length is
// larger, it reads nothing. The tenant is "" for none. The caller must release the
// part. Errors are ErrTooLarge, ErrFull, ErrSlow, ErrGone, or that of the body's reader.
func (r *Room) Read(from *http.Request, tenant string, limit int64) ([]byte, Part, error) {
	if from.ContentLength > limit {
		return nil, Part{}, ErrTooLarge
	}
	p := r.PartOf(tenant)
	body, err := p.read(from.Body, from.ContentLength, limit)
	if err != nil {
		p.Release()
		return nil, Part{}, err
	}
	return body, p, nil
}

// read reads a body whose declared length is -1 if it isn't known.
func (p *Part) read(from io.Reader, declared, limit int64) ([]byte, error) {
	// The declared length is only a promise, so beyond this, memory is allocated as
	// bytes arrive.
	const first = 64 << 10
	size, most := int64(4<<10), limit
	if declared >= 0 {
		size, most = declared, declared
	}
	if !p.resize(min(size, first) + 1) {
		return nil, ErrFull
	}
	began := time.Now()
	body := make([]byte, 0, min(size, first)+1) // one more, to see the end without growing
	for {
		if len(body) == cap(body) {
			body = slices.Grow(body, max(min(len(body), int(most)+1-len(body)), 1)) // 1: it is longer than declared
			if !p.resize(int64(cap(body))) {
				return nil, ErrFull
			}
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, ErrTooLarge
		case err == io.EOF && int64(len(body)) < declared, errors.Is(err, http.ErrBodyReadAfterClose): // if the client aborts, the error is another
			return nil, ErrGone
		case err == io.EOF:
			return body, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, ErrSlow
		case err != nil:
			return nil, err
		case time.Since(began) > Patience(int64(len(body))): // a read that never returns is left to the server's read_idle_timeout
			return nil, ErrSlow
		}
	}
}
