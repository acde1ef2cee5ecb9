// Package spool keeps request bodies while they are verified and read by the app.
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
	// headSize is the memory that each body has in any case. Most webhooks fit in
	// it, and it is no more than the buffers of the connection.
	headSize = 4 << 10

	// A body may stay in memory while it arrives for promptGrace, plus a second for
	// each promptRate bytes. One that takes longer is moved to a file, so that slow
	// clients can't use up all the memory.
	promptGrace = 250 * time.Millisecond
	promptRate  = 1 << 20
)

// Error is returned if a body can't be kept, which isn't the client's fault.
type Error struct{ err error }

func (e *Error) Error() string {
	if errors.Is(e.err, room.ErrFull) {
		return "keeping a body in a temporary file: the files of all bodies together are as large as they may be; set max_body to what the provider sends, so that others can't fill them"
	}
	return fmt.Sprintf("keeping a body in a temporary file: %v; make sure that %s is writable and has free space, or set TMPDIR to a directory that is and has", e.err, os.TempDir())
}

func (e *Error) Unwrap() error { return e.err }

// Spool holds a body, which can be read any number of times. It is in memory at
// first. Beyond a threshold, if it arrives slowly, or if there is no room left for
// bodies, it is moved to a temporary file, which is unlinked while it is open.
type Spool struct {
	memory    room.Part
	disk      room.Part // of the file
	threshold int64
	declared  int64 // the Content-Length; -1 if there is none

	mu       sync.RWMutex // guards the following against a reader that outlives the request
	size     int64
	complete bool            // the body was read to its end
	head     *[headSize]byte // the first bytes
	first    int64           // how many bytes of the body are in the head
	chunks   [][]byte
	free     int64 // how many bytes of the last chunk are free
	file     *os.File
	name     string // of the file, if it couldn't be unlinked while open
	closed   bool
}

// New returns an empty spool that takes up to threshold bytes of the memory, and beyond
// that as many of the disk as there is room for. The declared length is -1 if it isn't
// known.
func New(memory, disk *room.Room, threshold, declared int64) *Spool {
	return &Spool{memory: memory.Part(), disk: disk.Part(), threshold: threshold, declared: declared, head: heads.Get().(*[headSize]byte)}
}

// Size returns how many bytes were read.
func (s *Spool) Size() int64 { return s.size }

// Fill reads src to its end, and writes each piece to tee as it arrives. It reads at
// most limit+1 bytes. Errors are room.ErrTooLarge, room.ErrSlow, an *Error, or that
// of src or tee.
func (s *Spool) Fill(src io.Reader, limit int64, tee io.Writer) error {
	start := time.Now()
	for {
		buf, err := s.space()
		if err != nil {
			return err
		}
		if left := limit - s.size; int64(len(buf)) > left {
			buf = buf[:left+1] // one more, to see that the body is too large
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
		if took > room.Patience(s.size) { // a read that never returns is left to the server's read_idle_timeout
			return room.ErrSlow
		}
		if took > promptTime(s.size) && len(s.chunks) > 0 && s.file == nil {
			// It stays in memory, while there is room, if no file can be made; but not
			// if others have filled the files, or else they could fill the memory too.
			if err := s.spill(0); errors.Is(err, room.ErrFull) {
				return &Error{err}
			}
		}
	}
}

// promptTime returns how long a body of this size may stay in memory while it
// arrives.
func promptTime(size int64) time.Duration {
	return promptGrace + time.Duration(float64(size)/promptRate*float64(time.Second))
}

// space returns the buffer to read the next bytes into.
func (s *Spool) space() ([]byte, error) {
	switch {
	case s.file != nil:
		return s.scratch(), nil
	case len(s.chunks) == 0 && s.size <= headSize/2: // with less space, reads would be too short
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
	// A body that has reached the threshold gets another chunk, because it may end
	// there, which only the next read shows.
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

// scratch returns the buffer for bytes that are written to the file next.
func (s *Spool) scratch() []byte {
	if len(s.chunks) > 0 {
		c := s.chunks[0]
		return c[s.size%int64(len(c)):] // so that writes are aligned with the file's pages
	}
	return s.head[:]
}

// keep adds bytes that were read into the buffer returned by space.
func (s *Spool) keep(p []byte) error {
	switch {
	case s.file != nil:
		if !s.disk.Grow(int64(len(p))) {
			return &Error{room.ErrFull}
		}
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

// spill moves the body from memory to a file. On error, the body stays in memory. It
// keeps a number of chunks as read buffers.
func (s *Spool) spill(keep int) error {
	if !s.disk.Grow(s.size) {
		return room.ErrFull
	}
	if err := s.toFile(); err != nil {
		s.disk.Release()
		return err
	}
	s.drop(min(keep, len(s.chunks)))
	return nil
}

// toFile copies the body from memory to a new file.
func (s *Spool) toFile() error {
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
	return nil
}

// discard closes a temporary file, and removes it if it still has a name.
func discard(f *os.File, name string) {
	f.Close()
	if name != "" {
		os.Remove(name)
	}
}

// drop gives the chunks back, except for the first keep ones.
func (s *Spool) drop(keep int) {
	for _, c := range s.chunks[keep:] {
		s.memory.Grow(-int64(len(c)))
		giveChunk(c)
	}
	s.chunks = s.chunks[:keep]
}

// ReadAt implements io.ReaderAt. After Release it returns an error.
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

// from returns the bytes in memory from an offset to the end of the head or chunk
// that contains it.
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
	return nil // not reached: callers check that off < s.size
}

// Release frees the memory and the file. It may be called more than once.
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
	s.disk.Release()
}
