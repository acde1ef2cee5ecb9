package room

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func request(body io.Reader, declared int64) *http.Request {
	return &http.Request{Body: io.NopCloser(body), ContentLength: declared}
}

// Bodies of every kind are read, and their memory is released.
func TestRead(t *testing.T) {
	r := New(1 << 20)
	broken := errors.New("broken")
	long := strings.Repeat("x", 300_000)
	for name, tt := range map[string]struct {
		body     io.Reader
		declared int64
		want     string
		err      error
	}{
		"empty":                    {strings.NewReader(""), 0, "", nil},
		"declared":                 {strings.NewReader("abc"), 3, "abc", nil},
		"not declared":             {strings.NewReader("abc"), -1, "abc", nil},
		"byte by byte":             {iotest.OneByteReader(strings.NewReader("abc")), -1, "abc", nil},
		"long":                     {strings.NewReader(long), int64(len(long)), long, nil},
		"long and not declared":    {strings.NewReader(long), -1, long, nil},
		"longer than was declared": {strings.NewReader("abcdef"), 3, "abcdef", nil},
		"as long as may be":        {strings.NewReader(long + long), -1, long + long, nil},
		"too long":                 {strings.NewReader(long + long + "x"), -1, "", ErrTooLarge},
		"declared to be too long":  {iotest.ErrReader(broken), 600_001, "", ErrTooLarge},
		"breaks off":               {io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(broken)), 3, "", broken},
		"promises a lot at all":    {strings.NewReader("ab"), 500_000, "", ErrGone},
		"closed":                   {iotest.ErrReader(http.ErrBodyReadAfterClose), 3, "", ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			body, part, err := r.Read(request(tt.body, tt.declared), "", 600_000)
			if string(body) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %d bytes, %v", len(body), err)
			}
			if taken := r.taken.Load(); taken < int64(len(body)) {
				t.Errorf("%d bytes take %d of the room", len(body), taken)
			}
			part.Release()
			part.Release()
			if taken := r.taken.Load(); taken != 0 {
				t.Errorf("got %d bytes still taken, want 0", taken)
			}
		})
	}
}

// All bodies together have a limit, which a single one may exceed.
func TestFull(t *testing.T) {
	r := New(100)
	body, first, err := r.Read(request(strings.NewReader(strings.Repeat("x", 5000)), 5000), "", 10_000)
	if err != nil || len(body) != 5000 {
		t.Fatal(err)
	}
	if _, _, err := r.Read(request(strings.NewReader("x"), 1), "", 10_000); !errors.Is(err, ErrFull) {
		t.Errorf("a second one: got %v", err)
	}
	first.Release()
	if _, _, err := r.Read(request(strings.NewReader("x"), 1), "", 10_000); err != nil {
		t.Errorf("after the first: got %v", err)
	}
}

// The bodies of one tenant take half of the room together, which a single one may exceed.
func TestTenantsHalf(t *testing.T) {
	r := New(100)
	first, second, other := r.PartOf("acme"), r.PartOf("acme"), r.PartOf("globex")
	for _, tt := range []struct {
		part *Part
		n    int64
		ok   bool
	}{
		{&first, 60, true},
		{&first, -20, true},
		{&second, 11, false},
		{&second, 10, true},
		{&other, 50, true},
		{&first, 1, false},
		{&other, -50, true},
		{&first, 1, false},
		{&second, -10, true},
		{&first, 1, true},
	} {
		if ok := tt.part.Grow(tt.n); ok != tt.ok {
			t.Errorf("%d more for %s: got %t", tt.n, tt.part.tenant, ok)
		}
	}
	for _, p := range []*Part{&first, &second, &other} {
		p.Release()
	}
	if r.Taken() != 0 || len(r.byTenant) > 0 {
		t.Errorf("got %d bytes still taken, of %v", r.Taken(), r.byTenant)
	}
}

// A body that fits beside others is read; one that is refused takes no memory.
func TestShared(t *testing.T) {
	r := New(10_000)
	read := func(size int, declared int64) (Part, error) {
		_, part, err := r.Read(request(strings.NewReader(strings.Repeat("x", size)), declared), "", 100_000)
		return part, err
	}
	first := must.Get(read(5000, 5000))(t)
	for declared, size := range map[int64]int{6000: 6000, -1: 6000} { // the second one takes less at first
		if _, err := read(size, declared); !errors.Is(err, ErrFull) {
			t.Errorf("more than fits, %d declared: got %v", declared, err)
		}
	}
	second, err := read(4998, 4998)
	if err != nil || r.Taken() != 10_000 {
		t.Errorf("what just fits: got %v and %d bytes taken", err, r.Taken())
	}
	first.Release()
	second.Release()
	if taken := r.Taken(); taken != 0 {
		t.Errorf("got %d bytes still taken, want 0", taken)
	}
}

// A body may arrive slowly, but not forever.
func TestSlow(t *testing.T) {
	r := New(1 << 20)
	for name, tt := range map[string]struct {
		pause time.Duration // before each byte
		end   error         // after three bytes
		err   error
	}{
		"in time":    {9 * time.Second, io.EOF, nil},
		"a trickle":  {11 * time.Second, io.EOF, ErrSlow},
		"timed out":  {0, fmt.Errorf("reading: %w", os.ErrDeadlineExceeded), ErrSlow},
		"breaks off": {0, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from, to := io.Pipe()
				go func() {
					for range 3 {
						time.Sleep(tt.pause)
						_, _ = to.Write([]byte("x"))
					}
					_ = to.CloseWithError(tt.end)
				}()
				_, part, err := r.Read(request(from, -1), "", 100)
				_ = from.Close()
				if !errors.Is(err, tt.err) {
					t.Errorf("got %v, want %v", err, tt.err)
				}
				part.Release()
			})
		})
	}
	if taken := r.taken.Load(); taken != 0 {
		t.Errorf("got %d bytes still taken, want 0", taken)
	}
}
