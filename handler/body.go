package handler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
)

const (
	// headSize is what each body may take, no more than the connection's own
	// buffers: most webhooks fit in it.
	headSize = 4 << 10

	// smallChunk and largeChunk are the units in which a body takes memory beyond
	// that: large ones where it is longer than a small one, since each costs a
	// read.
	smallChunk = 32 << 10
	largeChunk = 256 << 10

	// bodyInMemory is how much of one body stays in memory.
	bodyInMemory = 1 << 20

	// promptGrace and promptRate bound how long a body may take memory while it
	// comes: promptGrace, and a second more for each promptRate bytes of it. One
	// that takes longer goes to a file, so that slow clients can't have it all.
	promptGrace = 250 * time.Millisecond
	promptRate  = 1 << 20
)

// spoolError says that a body could not be kept, which is no fault of the
// request.
type spoolError struct{ err error }

func (e *spoolError) Error() string {
	return fmt.Sprintf("keeping a body in a temporary file: %v; see that %s has room, or set TMPDIR to a directory that has", e.err, os.TempDir())
}

func (e *spoolError) Unwrap() error { return e.err }

// memory is what the bodies of all requests may take together.
type memory struct {
	limit int64
	used  atomic.Int64
}

// bodyMemory is the memory of this process.
var bodyMemory = &memory{limit: 64 << 20}

func (m *memory) take(n int64) bool {
	if m.used.Add(n) <= m.limit {
		return true
	}
	m.used.Add(-n)
	return false
}

func (m *memory) give(n int64) { m.used.Add(-n) }

var (
	heads       = sync.Pool{New: func() any { return new([headSize]byte) }}
	smallChunks = sync.Pool{New: func() any { return new([smallChunk]byte) }}
	largeChunks = sync.Pool{New: func() any { return new([largeChunk]byte) }}
)

// takeChunk returns a chunk of one of the two sizes.
func takeChunk(size int) []byte {
	if size == smallChunk {
		return smallChunks.Get().(*[smallChunk]byte)[:]
	}
	return largeChunks.Get().(*[largeChunk]byte)[:]
}

func giveChunk(c []byte) {
	if len(c) == smallChunk {
		smallChunks.Put((*[smallChunk]byte)(c))
	} else {
		largeChunks.Put((*[largeChunk]byte)(c))
	}
}

// spool holds a body while it waits for the verdict and while the app reads it,
// as often as the app's proxy needs: in memory up to a threshold, beyond it, or
// when it comes slowly, or when the memory of all bodies is used up, in a
// temporary file that has no name any more.
type spool struct {
	memory    *memory
	threshold int64
	declared  int64 // how long the body is said to be, -1 where nothing is said

	mu       sync.RWMutex // guards what follows against a reader that outlives the request
	size     int64
	complete bool            // the body was read to its end
	head     *[headSize]byte // the first bytes
	first    int64           // how many of the body's bytes are in the head
	chunks   [][]byte
	room     int64 // what is free of the last chunk
	file     *os.File
	name     string // the file's name where it could not be unlinked while open
	closed   bool
}

func newSpool(m *memory, threshold, declared int64) *spool {
	return &spool{memory: m, threshold: threshold, declared: declared, head: heads.Get().(*[headSize]byte)}
}

// fill reads src to its end, and gives each piece to tee as it comes. It reads
// limit bytes and one more at most. Errors are room.ErrTooLarge, room.ErrSlow,
// a *spoolError, or what src returned.
func (s *spool) fill(src io.Reader, limit int64, tee io.Writer, now func() time.Time) error {
	start := now()
	for {
		buf, err := s.space()
		if err != nil {
			return err
		}
		if left := limit - s.size; int64(len(buf)) > left {
			buf = buf[:left+1] // one more than there may be
		}
		n, readErr := src.Read(buf)
		if n > 0 {
			if err := s.keep(buf[:n]); err != nil {
				return err
			}
			if s.size > limit {
				return room.ErrTooLarge
			}
			if _, err := tee.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case readErr == io.EOF:
			s.complete = true
			return nil
		case errors.Is(readErr, os.ErrDeadlineExceeded):
			return room.ErrSlow
		case readErr != nil:
			return readErr
		}
		took := now().Sub(start)
		if took > room.Patience(s.size) { // a read that stalls altogether is ended by the server's read_idle_timeout
			return room.ErrSlow
		}
		if took > promptTime(s.size) && s.file == nil {
			_ = s.spill(0) // without a file it stays in memory, as far as there is any
		}
	}
}

// promptTime is how long a body of so many bytes takes that isn't slow.
func promptTime(size int64) time.Duration {
	return promptGrace + time.Duration(float64(size)/promptRate*float64(time.Second))
}

// space returns where the next bytes are to be read.
func (s *spool) space() ([]byte, error) {
	switch {
	case s.file != nil:
		return s.scratch(), nil
	case len(s.chunks) == 0 && s.size <= headSize/2: // else a read would be short
		return s.head[s.size:], nil
	}
	if s.room > 0 {
		c := s.chunks[len(s.chunks)-1]
		return c[int64(len(c))-s.room:], nil
	}
	size := int64(smallChunk)
	if max(s.size, s.declared-s.size) > smallChunk {
		size = largeChunk
	}
	// at the threshold itself there is room for another chunk, in which a body
	// of that size shows that it is over
	if s.size <= s.threshold && s.memory.take(size) {
		c := takeChunk(int(size))
		s.chunks = append(s.chunks, c)
		s.room = size
		return c, nil
	}
	if err := s.spill(1); err != nil {
		return nil, &spoolError{err}
	}
	return s.scratch(), nil
}

// scratch is where bytes are read that are on their way to the file.
func (s *spool) scratch() []byte {
	if len(s.chunks) > 0 {
		c := s.chunks[0]
		return c[s.size%int64(len(c)):] // in step with the file's pages
	}
	return s.head[:]
}

// keep takes over bytes that were read into the space.
func (s *spool) keep(p []byte) error {
	switch {
	case s.file != nil:
		if _, err := s.file.Write(p); err != nil {
			return &spoolError{err}
		}
	case len(s.chunks) == 0:
		s.first += int64(len(p))
	default:
		s.room -= int64(len(p))
	}
	s.size += int64(len(p))
	return nil
}

// spill moves the body from memory to a file, or leaves it as it is. It keeps so
// many chunks to read with.
func (s *spool) spill(keep int) error {
	f, err := os.CreateTemp("", "caddy-webhook-")
	if err != nil {
		return err
	}
	name := ""
	if os.Remove(f.Name()) != nil {
		name = f.Name()
	}
	for off := int64(0); off < s.size; {
		n, err := f.Write(s.from(off))
		if err != nil {
			discard(f, name)
			return err
		}
		off += int64(n)
	}
	s.file, s.name = f, name
	s.drop(min(keep, len(s.chunks)))
	return nil
}

// discard ends a temporary file, whose name is empty if it has none any more.
func discard(f *os.File, name string) {
	f.Close()
	if name != "" {
		os.Remove(name)
	}
}

// drop gives all chunks back but for the first ones.
func (s *spool) drop(keep int) {
	for _, c := range s.chunks[keep:] {
		s.memory.give(int64(len(c)))
		giveChunk(c)
	}
	s.chunks = s.chunks[:keep]
}

// ReadAt implements io.ReaderAt. After release it reads nothing.
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.closed:
		return 0, http.ErrBodyReadAfterClose
	case off >= s.size:
		return 0, io.EOF
	case s.file != nil:
		return s.file.ReadAt(p, off)
	}
	n := 0
	for n < len(p) && off < s.size {
		m := copy(p[n:], s.from(off))
		n += m
		off += int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// from is what is in memory from there to the end of the head or of its chunk.
func (s *spool) from(off int64) []byte {
	if off < s.first {
		return s.head[off:s.first]
	}
	begin := s.first
	for _, c := range s.chunks {
		end := begin + int64(len(c))
		if off < end {
			return c[off-begin : min(s.size, end)-begin]
		}
		begin = end
	}
	return nil // nobody asks for what isn't there
}

// release gives memory and file back. It may be called more than once.
func (s *spool) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	heads.Put(s.head)
	s.head = nil
	s.drop(0)
	if s.file != nil {
		discard(s.file, s.name)
	}
}

// serve makes the spool the body of a request, so that the app gets the bytes
// that were judged, with their true length, on each attempt of a proxy.
//
// The request is changed in place: Caddy's {http.request.body} and its error
// routes look at the same value.
func (s *spool) serve(r *http.Request) {
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
	body := &spoolReader{spool: s}
	r.Body = body
	r.GetBody = func() (io.ReadCloser, error) { return &spoolReader{spool: s}, nil }

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
func (s *spool) serveWithRest(r *http.Request) {
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&spoolReader{spool: s}, r.Body), r.Body}
}

// releaseAfter gives the spool back when the request is over, for the error
// routes that may still want its body.
func (s *spool) releaseAfter(ctx context.Context) {
	context.AfterFunc(ctx, s.release)
}

// spoolReader is one reader of a spool: a request's body. Close ends it until
// it is rewound, so that no attempt of a proxy goes on in the middle of what
// another one read.
type spoolReader struct {
	spool *spool

	mu     sync.Mutex
	offset int64
	closed bool
}

func (b *spoolReader) Read(p []byte) (int, error) {
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
func (b *spoolReader) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

func (b *spoolReader) rewind() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offset, b.closed = 0, false
}
