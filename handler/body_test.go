package handler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
)

// testBytes are n bytes that repeat at no chunk's distance.
func testBytes(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

// tempDir makes a directory for temporary files, of which none may be left.
func tempDir(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
			t.Errorf("temporary files are left: %v", left)
		}
	})
}

// prompt is the time of a body that comes at once.
func prompt() time.Time { return time.Time{} }

func TestSpoolKeepsExactBytes(t *testing.T) {
	tempDir(t)
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
				t.Run(fmt.Sprintf("%d/%d/%s", size, declared, name), func(t *testing.T) {
					want := testBytes(size)
					m := &memory{limit: 1 << 20}
					s := newSpool(m, threshold, declared)
					var tee bytes.Buffer
					if err := s.fill(source(bytes.NewReader(want)), int64(size), &tee, prompt); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(tee.Bytes(), want) {
						t.Error("the tee got other bytes")
					}
					if inFile := s.file != nil; inFile != (size > threshold) {
						t.Errorf("in a file: %v", inFile)
					}
					got, err := io.ReadAll(io.NewSectionReader(s, 0, s.size))
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("read back %d bytes, %v", len(got), err)
					}
					if name == "whole" { // as far as pieces of memory meet
						part := min(size, headSize+smallChunk+1000)
						if err := iotest.TestReader(io.NewSectionReader(s, 0, int64(part)), want[:part]); err != nil {
							t.Error(err)
						}
					}
					s.release()
					s.release()
					if used := m.used.Load(); used != 0 {
						t.Errorf("%d bytes of memory are still taken", used)
					}
					if n, err := s.ReadAt(make([]byte, 1), 0); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
						t.Errorf("read after release: %d, %v", n, err)
					}
				})
			}
		}
	}
}

// countingReader counts what was taken out of it.
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
	tempDir(t)
	for _, limit := range []int{1, 100, smallChunk - 1, smallChunk, 3 * smallChunk, 20 * smallChunk} {
		for _, over := range []int{0, 1, 10 * smallChunk} {
			t.Run(fmt.Sprintf("%d+%d", limit, over), func(t *testing.T) {
				src := &countingReader{r: bytes.NewReader(testBytes(limit + over))}
				var tee bytes.Buffer
				s := newSpool(&memory{limit: 1 << 20}, 8*smallChunk, -1)
				defer s.release()
				err := s.fill(src, int64(limit), &tee, prompt)
				if want := over > 0; errors.Is(err, room.ErrTooLarge) != want {
					t.Errorf("got error %v", err)
				}
				if src.n > limit+1 {
					t.Errorf("%d bytes were read", src.n)
				}
				if over > 0 && tee.Len() > limit {
					t.Errorf("%d bytes were hashed", tee.Len())
				}
			})
		}
	}
	t.Run("largest limit", func(t *testing.T) {
		s := newSpool(&memory{limit: 1 << 20}, smallChunk, -1)
		defer s.release()
		if err := s.fill(bytes.NewReader(testBytes(10)), 1<<63-1, io.Discard, prompt); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSpoolMemoryOfAllIsBounded: when bodies have used up the memory of all,
// the next one goes to a file, whatever its size.
func TestSpoolMemoryOfAllIsBounded(t *testing.T) {
	tempDir(t)
	m := &memory{limit: 2*smallChunk + 5}
	var spools []*spool
	for i := range 10 {
		want := testBytes(smallChunk/2 + i)
		s := newSpool(m, 1<<20, -1)
		if err := s.fill(bytes.NewReader(want), 1<<20, io.Discard, prompt); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(io.NewSectionReader(s, 0, s.size)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("spool %d: %d bytes, %v", i, len(got), err)
		}
		if inFile := s.file != nil; inFile != (i >= 2) {
			t.Errorf("spool %d in a file: %v", i, inFile)
		}
		if used := m.used.Load(); used > m.limit {
			t.Errorf("%d bytes taken", used)
		}
		spools = append(spools, s)
	}
	for _, s := range spools {
		s.release()
	}
	if used := m.used.Load(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
}

func TestSpoolWithoutRoomOnDisk(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	s := newSpool(&memory{limit: 0}, 1<<20, -1)
	defer s.release()
	err := s.fill(bytes.NewReader(testBytes(headSize+1)), 1<<20, io.Discard, prompt)
	var noRoom *spoolError
	if !errors.As(err, &noRoom) || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
}

// TestSpoolSlowBody: a body may take 30 seconds, and longer only while it
// brings something.
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
		t.Run(tt.name, func(t *testing.T) {
			tempDir(t)
			now := time.Unix(0, 0)
			src := readerFunc(func(r io.Reader) func([]byte) (int, error) {
				return func(p []byte) (int, error) {
					now = now.Add(time.Second)
					return r.Read(p[:min(len(p), tt.second)])
				}
			}(bytes.NewReader(testBytes(tt.size))))
			if tt.second > smallChunk { // a read brings a chunk at most
				src = func(r io.Reader) func([]byte) (int, error) {
					return func(p []byte) (int, error) {
						n, err := r.Read(p)
						now = now.Add(time.Duration(n) * time.Second / time.Duration(tt.second))
						return n, err
					}
				}(bytes.NewReader(testBytes(tt.size)))
			}
			s := newSpool(&memory{limit: 1 << 20}, 1<<20, -1)
			defer s.release()
			err := s.fill(src, 1<<30, io.Discard, func() time.Time { return now })
			if errors.Is(err, room.ErrSlow) != tt.slow || !tt.slow && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a read that the server timed out", func(t *testing.T) {
		s := newSpool(&memory{limit: 1 << 20}, 1<<20, -1)
		defer s.release()
		err := s.fill(iotest.ErrReader(fmt.Errorf("read: %w", os.ErrDeadlineExceeded)), 10, io.Discard, prompt)
		if !errors.Is(err, room.ErrSlow) {
			t.Errorf("got %v", err)
		}
	})
}

// TestSpoolGivesSlowBodiesNoMemory: a body that doesn't come at once goes to a
// file, and stays where it is if there can be none.
func TestSpoolGivesSlowBodiesNoMemory(t *testing.T) {
	for name, missing := range map[string]bool{"to a file": false, "no folder for files": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if missing {
				dir = filepath.Join(dir, "missing")
			}
			t.Setenv("TMPDIR", dir)
			var now time.Time
			want := testBytes(5 * smallChunk)
			m := &memory{limit: 1 << 20}
			s := newSpool(m, 1<<20, -1)
			defer s.release()
			src := bytes.NewReader(want)
			err := s.fill(readerFunc(func(p []byte) (int, error) {
				if src.Len() <= 2*smallChunk {
					now = now.Add(promptGrace + time.Second)
				}
				return src.Read(p[:min(len(p), smallChunk/2)])
			}), 1<<20, io.Discard, func() time.Time { return now })
			if err != nil {
				t.Fatal(err)
			}
			if used := m.used.Load(); (s.file != nil) == missing || (used > 0) != missing {
				t.Errorf("a file: %v, %d bytes of memory", s.file != nil, used)
			}
			if got, err := io.ReadAll(io.NewSectionReader(s, 0, s.size)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read back %d bytes, %v", len(got), err)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// served is a request with a spooled body, as the next handler gets it.
func served(t *testing.T, body []byte) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(bytes.NewReader(body))) // of unknown length
	r.TransferEncoding = []string{"chunked"}
	r.Header.Set("Expect", "100-continue")
	s := newSpool(&memory{limit: 1 << 20}, 1<<20, -1)
	t.Cleanup(s.release)
	if err := s.fill(r.Body, 1<<20, io.Discard, prompt); err != nil {
		t.Fatal(err)
	}
	s.serve(r)
	return r
}

// attempt is what an HTTP transport does first.
func attempt(r *http.Request) { httptrace.ContextClientTrace(r.Context()).GetConn("app:80") }

func TestServedBodyHasItsLength(t *testing.T) {
	r := served(t, []byte("hello"))
	if r.ContentLength != 5 || r.Header.Get("Content-Length") != "5" || r.TransferEncoding != nil || r.Header.Get("Expect") != "" {
		t.Errorf("got %d, %v", r.ContentLength, r.Header)
	}
	if r := served(t, nil); r.ContentLength != 0 || r.Body != http.NoBody {
		t.Errorf("an empty body: %d, %v", r.ContentLength, r.Body)
	}
}

func TestServedBodyStartsOverOnEachAttempt(t *testing.T) {
	want := testBytes(3*smallChunk + 1)
	r := served(t, want)
	for i := range 3 {
		attempt(r)
		io.CopyN(io.Discard, r.Body, int64(i*smallChunk))
		r.Body.Close()
	}
	attempt(r)
	if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the last attempt got %d bytes, %v", len(got), err)
	}
}

// TestServedBodyNeverMixesAttempts: whatever an attempt that was given up does
// late, the next one gets the whole body or an error, never other bytes.
func TestServedBodyNeverMixesAttempts(t *testing.T) {
	want := testBytes(2 * smallChunk)
	late := map[string]func(io.ReadCloser){
		"closes": func(b io.ReadCloser) { b.Close() },
		"reads":  func(b io.ReadCloser) { io.CopyN(io.Discard, b, 100) },
	}
	for name, act := range late {
		t.Run(name, func(t *testing.T) {
			r := served(t, want)
			attempt(r)
			io.CopyN(io.Discard, r.Body, 1000)
			attempt(r)
			first, _ := io.ReadAll(io.LimitReader(r.Body, 500))
			act(r.Body)
			rest, err := io.ReadAll(r.Body)
			got := append(first, rest...)
			if err == nil && len(got) >= len(want) && !bytes.Equal(got, want) {
				t.Error("got a whole body of other bytes")
			}
		})
	}
	t.Run("a body closed half-way doesn't go on without a new attempt", func(t *testing.T) {
		r := served(t, want)
		io.CopyN(io.Discard, r.Body, 1000)
		r.Body.Close()
		if n, err := r.Body.Read(make([]byte, 10)); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("got %d bytes, %v", n, err)
		}
	})
	t.Run("GetBody is apart", func(t *testing.T) {
		r := served(t, want)
		io.CopyN(io.Discard, r.Body, 1000)
		again, err := r.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if got, err := io.ReadAll(again); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
}

// deadConn is a connection that can't be written to once it is told so.
type deadConn struct {
	net.Conn
	dead atomic.Bool
}

func (c *deadConn) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// TestServedBodyOverAConnectionThatDied: Go's transport may repeat a request of
// which nothing has reached the app, and gets the body again.
func TestServedBodyOverAConnectionThatDied(t *testing.T) {
	app := newApp(t)
	var conns []*deadConn
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		dead := &deadConn{Conn: c}
		conns = append(conns, dead)
		return dead, err
	}}
	defer transport.CloseIdleConnections()
	want := testBytes(3 * smallChunk)
	for range 2 {
		r := served(t, want)
		r.RequestURI = ""
		r.URL = &url.URL{Scheme: "http", Host: app.addr, Path: "/"}
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := app.one(t); !bytes.Equal(got.body, want) {
			t.Errorf("the app got %d bytes", len(got.body))
		}
		conns[0].dead.Store(true)
	}
	if len(conns) != 2 {
		t.Errorf("%d connections were made", len(conns))
	}
}

// TestServedRest: a dry run passes a body that is too large to be held.
func TestServedRest(t *testing.T) {
	want := testBytes(10 * smallChunk)
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(want))
	s := newSpool(&memory{limit: 1 << 20}, 1<<20, -1)
	defer s.release()
	if err := s.fill(r.Body, 1000, io.Discard, prompt); !errors.Is(err, room.ErrTooLarge) {
		t.Fatal(err)
	}
	s.serve(r)
	if r.ContentLength != int64(len(want)) {
		t.Errorf("length %d", r.ContentLength)
	}
	if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}
