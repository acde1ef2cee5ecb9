// Package spool keeps the bodies of requests while they are judged, and while
// the app reads them.
package spool

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
)

const (
	// headSize is what each body may take, no more than the connection's own
	// buffers: most webhooks fit in it.
	headSize = 4 << 10

	// promptGrace and promptRate bound how long a body may take memory while it
	// comes: promptGrace, and a second more for each promptRate bytes of it. One
	// that takes longer goes to a file, so that slow clients can't have it all.
	promptGrace = 250 * time.Millisecond
	promptRate  = 1 << 20
)

// Error says that a body could not be kept, which is no fault of the request.
type Error struct{ err error }

func (e *Error) Error() string {
	return fmt.Sprintf("keeping a body in a temporary file: %v; see that %s has room, or set TMPDIR to a directory that has", e.err, os.TempDir())
}

func (e *Error) Unwrap() error { return e.err }

// Spool holds a body while it waits for the verdict and while the app reads it,
// as often as the app's proxy needs: in memory up to a threshold, beyond it, or
// when it comes slowly, or when the room of all bodies is used up, in a temporary
// file that has no name any more.
type Spool struct {
	memory    room.Part
	threshold int64
	declared  int64 // how long the body is said to be, -1 where nothing is said

	mu       sync.RWMutex // guards what follows against a reader that outlives the request
	size     int64
	complete bool            // the body was read to its end
	head     *[headSize]byte // the first bytes
	first    int64           // how many of the body's bytes are in the head
	chunks   [][]byte
	free     int64 // what is free of the last chunk
	file     *os.File
	name     string // the file's name where it could not be unlinked while open
	closed   bool
}

// New makes a spool whose body takes so much of the room in memory, and no more.
// The declared length is -1 where there is none.
func New(memory *room.Room, threshold, declared int64) *Spool {
	return &Spool{memory: memory.Part(), threshold: threshold, declared: declared, head: heads.Get().(*[headSize]byte)}
}

// Size is how much of the body there is.
func (s *Spool) Size() int64 { return s.size }

// Fill reads src to its end, and gives each piece to tee as it comes. It reads
// limit bytes and one more at most. Errors are room.ErrTooLarge, room.ErrSlow,
// a *Error, or what src returned.
func (s *Spool) Fill(src io.Reader, limit int64, tee io.Writer) error {
	start := time.Now()
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
		took := time.Since(start)
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
func (s *Spool) space() ([]byte, error) {
	switch {
	case s.file != nil:
		return s.scratch(), nil
	case len(s.chunks) == 0 && s.size <= headSize/2: // else a read would be short
		return s.head[s.size:], nil
	}
	if s.free > 0 {
		c := s.chunks[len(s.chunks)-1]
		return c[int64(len(c))-s.free:], nil
	}
	size := int64(smallChunk)
	if max(s.size, s.declared-s.size) > smallChunk {
		size = largeChunk
	}
	// at the threshold itself there is room for another chunk, in which a body
	// of that size shows that it is over
	if s.size <= s.threshold && s.memory.Grow(size) {
		c := takeChunk(int(size))
		s.chunks = append(s.chunks, c)
		s.free = size
		return c, nil
	}
	if err := s.spill(1); err != nil {
		return nil, &Error{err}
	}
	return s.scratch(), nil
}

// scratch is where bytes are read that are on their way to the file.
func (s *Spool) scratch() []byte {
	if len(s.chunks) > 0 {
		c := s.chunks[0]
		return c[s.size%int64(len(c)):] // in step with the file's pages
	}
	return s.head[:]
}

// keep takes over bytes that were read into the space.
func (s *Spool) keep(p []byte) error {
	switch {
	case s.file != nil:
		if _, err := s.file.Write(p); err != nil {
			return &Error{err}
		}
	case len(s.chunks) == 0:
		s.first += int64(len(p))
	default:
		s.free -= int64(len(p))
	}
	s.size += int64(len(p))
	return nil
}

// spill moves the body from memory to a file, or leaves it as it is. It keeps so
// many chunks to read with.
func (s *Spool) spill(keep int) error {
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
func (s *Spool) drop(keep int) {
	for _, c := range s.chunks[keep:] {
		s.memory.Grow(-int64(len(c)))
		giveChunk(c)
	}
	s.chunks = s.chunks[:keep]
}

// ReadAt implements io.ReaderAt. After Release it reads nothing.
func (s *Spool) ReadAt(p []byte, off int64) (int, error) {
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
func (s *Spool) from(off int64) []byte {
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

// Release gives memory and file back. It may be called more than once.
func (s *Spool) Release() {
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
