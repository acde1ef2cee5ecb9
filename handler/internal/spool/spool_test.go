package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool/spooltest"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// inBubble runs a test in which time passes only while all goroutines wait.
func inBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

func TestSpoolKeepsExactBytes(t *testing.T) {
	spooltest.TempDir(t)
	const threshold = largeChunk
	sources := map[string]func(io.Reader) io.Reader{
		"whole":         func(r io.Reader) io.Reader { return r },
		"byte by byte":  iotest.OneByteReader,
		"half":          iotest.HalfReader,
		"data with EOF": iotest.DataErrReader,
	}
	for _, size := range []int{0, 1, headSize, headSize + 1, smallChunk - 1, smallChunk, headSize + smallChunk + 1, threshold - 1, threshold, threshold + headSize + smallChunk + largeChunk + 1} {
		for name, source := range sources {
			for _, declared := range []int64{int64(size), -1} {
				inBubble(t, fmt.Sprintf("%d/%d/%s", size, declared, name), func(t *testing.T) {
					want := spooltest.Bytes(size)
					m := room.New(1 << 20)
					s := New(m, room.New(1<<30), threshold, declared)
					var tee bytes.Buffer
					must.Do(t, s.Fill(source(bytes.NewReader(want)), int64(size), &tee))
					if !bytes.Equal(tee.Bytes(), want) {
						t.Error("the tee got other bytes than the body")
					}
					if inFile := s.file != nil; inFile != (size > threshold) {
						t.Errorf("got in a file: %v", inFile)
					}
					got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("read back %d bytes, error %v", len(got), err)
					}
					if name == "whole" { // up to the boundaries of chunks
						part := min(size, headSize+smallChunk+1000)
						if err := iotest.TestReader(io.NewSectionReader(s, 0, int64(part)), want[:part]); err != nil {
							t.Error(err)
						}
					}
					s.Release()
					s.Release()
					if used := m.Taken(); used != 0 {
						t.Errorf("got %d bytes of memory still taken, want 0", used)
					}
					if n, err := s.ReadAt(make([]byte, 1), 0); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
						t.Errorf("read after release: got %d, %v", n, err)
					}
				})
			}
		}
	}
}

// countingReader counts the bytes that were read from it.
type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestSpoolLimit(t *testing.T) {
	spooltest.TempDir(t)
	for _, limit := range []int{1, 100, smallChunk - 1, smallChunk, 3 * smallChunk, 20 * smallChunk} {
		for _, over := range []int{0, 1, 10 * smallChunk} {
			t.Run(fmt.Sprintf("%d+%d", limit, over), func(t *testing.T) {
				src := &countingReader{r: bytes.NewReader(spooltest.Bytes(limit + over))}
				var tee bytes.Buffer
				s := New(room.New(1<<20), room.New(1<<30), 8*smallChunk, -1)
				defer s.Release()
				err := s.Fill(src, int64(limit), &tee)
				if want := over > 0; errors.Is(err, room.ErrTooLarge) != want {
					t.Errorf("got error %v, want room.ErrTooLarge: %t", err, want)
				}
				if src.n > limit+1 {
					t.Errorf("got %d bytes read", src.n)
				}
				if over > 0 && tee.Len() > limit {
					t.Errorf("got %d bytes hashed", tee.Len())
				}
			})
		}
	}
	t.Run("largest limit", func(t *testing.T) {
		s := New(room.New(1<<20), room.New(1<<30), smallChunk, -1)
		defer s.Release()
		must.Do(t, s.Fill(bytes.NewReader(spooltest.Bytes(10)), 1<<63-1, io.Discard))
	})
}

// Once bodies have used up the memory, the next one goes to a file, whatever its size.
func TestSpoolMemoryOfAllIsBounded(t *testing.T) {
	spooltest.TempDir(t)
	const limit = 2*smallChunk + 5
	m := room.New(limit)
	var spools []*Spool
	for i := range 10 {
		want := spooltest.Bytes(smallChunk/2 + i)
		s := New(m, room.New(1<<30), 1<<20, -1)
		must.Do(t, s.Fill(bytes.NewReader(want), 1<<20, io.Discard))
		if got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size())); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("spool %d: got %d bytes, %v", i, len(got), err)
		}
		if inFile := s.file != nil; inFile != (i >= 2) {
			t.Errorf("spool %d: got in a file: %v", i, inFile)
		}
		if used := m.Taken(); used > limit {
			t.Errorf("got %d bytes taken", used)
		}
		spools = append(spools, s)
	}
	for _, s := range spools {
		s.Release()
	}
	if used := m.Taken(); used != 0 {
		t.Errorf("got %d bytes still taken, want 0", used)
	}
}

// Once the files have used up the disk's room, a body that needs it is refused, whether
// it has a file already or not, until another one is released.
func TestSpoolFilesOfAllAreBounded(t *testing.T) {
	spooltest.TempDir(t)
	const size = 3 * smallChunk
	for _, limit := range []int64{2*size + 1, 3*size - 1} {
		disk := room.New(limit)
		fill := func() (*Spool, error) {
			s := New(room.New(1<<20), disk, smallChunk, -1)
			t.Cleanup(s.Release)
			return s, s.Fill(bytes.NewReader(spooltest.Bytes(size)), 1<<20, io.Discard)
		}
		first, err := fill()
		must.Do(t, err)
		_, err = fill()
		must.Do(t, err)
		third, err := fill()
		var noRoom *Error
		if !errors.As(err, &noRoom) || !errors.Is(err, room.ErrFull) {
			t.Fatalf("got error %v", err)
		}
		if used := disk.Taken(); used > limit {
			t.Errorf("got %d bytes taken", used)
		}
		third.Release()
		if used := disk.Taken(); used != 2*size {
			t.Errorf("got %d bytes taken, want %d", used, 2*size)
		}
		first.Release()
		_, err = fill()
		must.Do(t, err)
	}
}

// While the files have no room, a body that arrives slowly is refused, unless it needs
// neither a file nor any of the memory of all bodies.
func TestSpoolSlowBodiesWithoutRoomForFiles(t *testing.T) {
	spooltest.TempDir(t)
	for size, refused := range map[int]bool{headSize / 2: false, headSize: true} {
		inBubble(t, fmt.Sprint(size), func(t *testing.T) {
			m, disk := room.New(1<<20), room.New(1<<20)
			others := disk.Part()
			others.Grow(1 << 20)
			s := New(m, disk, 1<<20, -1)
			defer s.Release()
			src := bytes.NewReader(spooltest.Bytes(size))
			err := s.Fill(readerFunc(func(p []byte) (int, error) {
				time.Sleep(2 * promptGrace)
				return src.Read(p[:min(len(p), headSize/4)])
			}), 1<<20, io.Discard)
			if errors.Is(err, room.ErrFull) != refused || !refused && err != nil {
				t.Errorf("got error %v, want it refused: %t", err, refused)
			}
		})
	}
}

func TestSpoolWithoutRoomOnDisk(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	disk := room.New(1 << 30)
	s := New(room.New(0), disk, 0, -1)
	defer s.Release()
	err := s.Fill(bytes.NewReader(spooltest.Bytes(headSize+1)), 1<<20, io.Discard)
	var noRoom *Error
	if !errors.As(err, &noRoom) || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got error %v", err)
	}
	if used := disk.Taken(); used != 0 {
		t.Errorf("got %d bytes taken without a file", used)
	}
}

// A body may take 30 seconds, and longer only in proportion to its size.
func TestSpoolSlowBody(t *testing.T) {
	tests := []struct {
		name   string
		size   int
		second int // bytes a second
		slow   bool
	}{
		{"within the grace", 29, 1, false},
		{"dripping", 1000, 1, true},
		{"large at a fair rate", 8 << 20, 64<<10 + 1024, false},
		{"large and too slow", 8 << 20, 32 << 10, true},
	}
	for _, tt := range tests {
		spooltest.TempDir(t)
		inBubble(t, tt.name, func(t *testing.T) {
			body := bytes.NewReader(spooltest.Bytes(tt.size))
			s := New(room.New(1<<20), room.New(1<<30), 1<<20, -1)
			defer s.Release()
			err := s.Fill(readerFunc(func(p []byte) (int, error) {
				n, err := body.Read(p[:min(len(p), tt.second)])
				time.Sleep(max(time.Duration(n)*time.Second/time.Duration(tt.second), time.Nanosecond))
				return n, err
			}), 1<<30, io.Discard)
			if errors.Is(err, room.ErrSlow) != tt.slow || !tt.slow && err != nil {
				t.Errorf("got error %v, want room.ErrSlow: %t", err, tt.slow)
			}
		})
	}
	t.Run("a read that the server timed out", func(t *testing.T) {
		s := New(room.New(1<<20), room.New(1<<30), 1<<20, -1)
		defer s.Release()
		err := s.Fill(iotest.ErrReader(fmt.Errorf("read: %w", os.ErrDeadlineExceeded)), 10, io.Discard)
		if !errors.Is(err, room.ErrSlow) {
			t.Errorf("got error %v, want room.ErrSlow", err)
		}
	})
}

// A body that doesn't arrive at once is moved to a file, or stays in memory if that
// fails.
func TestSpoolGivesSlowBodiesNoMemory(t *testing.T) {
	for name, missing := range map[string]bool{"to a file": false, "no folder for files": true} {
		dir := t.TempDir()
		if missing {
			dir = filepath.Join(dir, "missing")
		}
		t.Setenv("TMPDIR", dir)
		inBubble(t, name, func(t *testing.T) {
			want := spooltest.Bytes(5 * smallChunk)
			m := room.New(1 << 20)
			s := New(m, room.New(1<<30), 1<<20, -1)
			defer s.Release()
			src := bytes.NewReader(want)
			err := s.Fill(readerFunc(func(p []byte) (int, error) {
				if src.Len() <= 2*smallChunk {
					time.Sleep(promptGrace + time.Second)
				}
				return src.Read(p[:min(len(p), smallChunk/2)])
			}), 1<<20, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if used := m.Taken(); (s.file != nil) == missing || (used > 0) != missing {
				t.Errorf("got in a file: %v, with %d bytes of memory", s.file != nil, used)
			}
			if got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size())); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read back %d bytes, error %v", len(got), err)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
