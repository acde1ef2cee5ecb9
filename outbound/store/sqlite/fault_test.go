package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/caddy-webhooks/caddy-webhooks/internal/logged"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// faults returns the result code with which a write or sync of SQLite fails, or 0 if it is
// made. If nil, all are made.
var faults atomic.Pointer[func(call faultCall) int32]

// watched is called with the writes and syncs that were made.
var watched atomic.Pointer[func(diskCall)]

// diskCall is a call that has changed or synced a file.
type diskCall struct {
	log  bool
	sync bool
	data []byte // of a write; nil for a truncation
	at   int64  // of a write, or the size
}

// watch calls f for each change until the returned function is called.
func watch(f func(diskCall)) (stop func()) {
	installFaults()
	watched.Store(&f)
	return func() { watched.Store(nil) }
}

// faultCall is a disk call of SQLite.
type faultCall struct {
	name string // write, sync or truncate
	log  bool   // on the write-ahead log instead of the database
}

// fail makes calls fail until the returned function is called.
func fail(f func(faultCall) int32) (stop func()) {
	installFaults()
	faults.Store(&f)
	return func() { faults.Store(nil) }
}

// TestEveryFault makes each disk call fail in turn, either once or from then on. What was
// acknowledged is there, and nothing else. The store recovers by itself as soon as the
// disk does. Most writes are consecutive pages, so not every one is tried.
func TestEveryFault(t *testing.T) {
	installFaults()
	tests := []struct {
		call string
		step int
		code int32
	}{
		{"sync", 1, sqlite3.SQLITE_IOERR_FSYNC},
		{"truncate", 1, sqlite3.SQLITE_IOERR_TRUNCATE},
		{"write", 47, sqlite3.SQLITE_IOERR_WRITE},
		{"write", 47, sqlite3.SQLITE_FULL},
	}
	for _, test := range tests {
		for _, lasting := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, code %d, lasting %t", test.call, test.code, lasting), func(t *testing.T) {
				n := 1
				for runWithFault(t, test.call, n, test.code, lasting) {
					n += test.step
				}
				t.Logf("%d calls", n-1)
			})
		}
	}
}

// runWithFault runs a store whose nth call of a kind fails. It returns false if there are
// fewer calls.
func runWithFault(t *testing.T, call string, n int, code int32, lasting bool) bool {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	s := open(t, path)
	ids := store.NewIDs(0, 0, time.Now)
	calls := 0
	var mu sync.Mutex
	stop := fail(func(c faultCall) int32 {
		mu.Lock()
		defer mu.Unlock()
		if c.name == call {
			calls++
		}
		if c.name == call && calls == n || lasting && calls > n {
			return code
		}
		return 0
	})
	stored, refused := map[store.ID]bool{}, map[store.ID]bool{}
	var settled []store.ID
	for range 6 {
		b := &store.Batch{Publications: []*store.Publication{publication(ids, 1), publication(ids, 1)}}
		b.Publications[0].Event.Payload = bytes.Repeat(payload, 64) // so that there is a checkpoint
		err := s.Commit(context.Background(), b)
		for _, p := range b.Publications {
			if err == nil {
				stored[p.Event.Key] = true
			} else {
				refused[p.Event.Key] = true
			}
		}
		if err != nil && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrFull) {
			t.Errorf("call %d: got %v, want store.ErrUnavailable or store.ErrFull", n, err)
		}
		if err == nil {
			d := b.Publications[0].Deliveries[0]
			if s.Commit(context.Background(), &store.Batch{Settlements: []*store.Settlement{settlement(d)}}) == nil {
				settled = append(settled, d.ID)
			}
		}
	}
	stop()
	last := publication(ids, 1)
	must.Succeed(t, "the store to work again", func() error {
		return s.Commit(context.Background(), &store.Batch{Publications: []*store.Publication{last}})
	})
	stored[last.Event.Key] = true
	check := func(when string) {
		t.Helper()
		events := must.Get(s.Events(context.Background(), store.Query{}))(t)
		found := map[store.ID]bool{}
		for _, e := range events {
			found[e.Key] = true
			if refused[e.Key] {
				t.Errorf("call %d, %s: a refused event is stored", n, when)
			}
		}
		for key := range stored {
			if !found[key] {
				t.Errorf("call %d, %s: an acknowledged event is lost", n, when)
			}
		}
		for _, id := range settled {
			if r, err := s.Delivery(context.Background(), id); err != nil || r.State != store.Delivered {
				t.Errorf("call %d, %s: a settlement is lost: %v", n, when, err)
			}
		}
	}
	check("before it is closed")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = open(t, path)
	check("when it is open again")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return calls >= n
}

// TestFailedSync checks that a commit whose sync failed is not stored, although all of its
// bytes are in the log, and that calls are refused with an error while the disk fails.
func TestFailedSync(t *testing.T) {
	installFaults()
	path := filepath.Join(t.TempDir(), "webhooks.db")
	var log logged.Buffer
	s := openLogging(t, path, &log)
	ids := store.NewIDs(0, 0, time.Now)
	publish(t, s, publication(ids, 1))
	stop := fail(func(c faultCall) int32 {
		if c.name == "sync" {
			return sqlite3.SQLITE_IOERR_FSYNC
		}
		return 0
	})
	defer stop()
	for i := range 3 {
		err := s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{publication(ids, 1)}})
		if i == 0 {
			t.Log(err)
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v, want store.ErrUnavailable", err)
		}
	}
	_, err := s.Events(t.Context(), store.Query{})
	t.Log(err)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("reading while the disk fails: got %v, want store.ErrUnavailable", err)
	}
	stop()
	must.Succeed(t, "the store to work again", func() error {
		return s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{publication(ids, 1)}})
	})
	events, err := s.Events(t.Context(), store.Query{})
	if err != nil || len(events) != 2 {
		t.Errorf("got %d events, error %v, want 2", len(events), err)
	}
	t.Log("\n" + log.String())
	if strings.Contains(log.String(), "the disk is full") || len(s.Salvages()) > 0 {
		t.Error("a failing disk is reported as full, or the file as damaged")
	}
	if !strings.Contains(log.String(), "trying again") {
		t.Error("the reason isn't logged")
	}
}

// TestLogThatCannotBeCopied checks that nothing is lost while the log can't be copied into
// the file, and that this and the recovery are logged once.
func TestLogThatCannotBeCopied(t *testing.T) {
	installFaults()
	var log logged.Buffer
	s := openLogging(t, filepath.Join(t.TempDir(), "webhooks.db"), &log)
	var refused atomic.Int64
	stop := fail(func(c faultCall) int32 {
		if c.name != "write" || c.log {
			return 0
		}
		refused.Add(1)
		return sqlite3.SQLITE_IOERR_WRITE
	})
	defer stop()
	ids := store.NewIDs(0, 0, time.Now)
	until := func(done func() bool) {
		t.Helper()
		for n := 0; !done(); n++ {
			if n == 1000 {
				t.Fatalf("logged %s", log.String())
			}
			var ps []*store.Publication
			for range 64 {
				ps = append(ps, publication(ids, 1))
			}
			publish(t, s, ps...)
		}
	}
	until(func() bool { return refused.Load() >= 3 })
	stop()
	until(func() bool { return strings.Contains(log.String(), "can be copied into the file again") })
	batches := 0
	until(func() bool { batches++; return batches > 50 }) // the log is copied some more times
	for _, said := range []string{"can't copy the log", "can be copied into the file again"} {
		if n := strings.Count(log.String(), said); n != 1 {
			t.Errorf("%q is logged %d times, want once: %s", said, n, log.String())
		}
	}
}

// TestFull checks that a batch for which there is no room is refused with store.ErrFull,
// leaves nothing behind, and can be stored when there is room.
func TestFull(t *testing.T) {
	installFaults()
	s := open(t, filepath.Join(t.TempDir(), "webhooks.db"))
	ids := store.NewIDs(0, 0, time.Now)
	publish(t, s, publication(ids, 1))
	stop := fail(func(c faultCall) int32 {
		if c.name == "write" {
			return sqlite3.SQLITE_FULL
		}
		return 0
	})
	defer stop()
	p := publication(ids, 2)
	err := s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}})
	t.Log(err)
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("got %v, want store.ErrFull", err)
	}
	if events, err := s.Events(t.Context(), store.Query{}); err != nil || len(events) != 1 {
		t.Errorf("got %d events, error %v, want 1", len(events), err)
	}
	stop()
	p.Deliveries[0].Hold = false
	publish(t, s, p)
	claimed, err := s.Claim(t.Context(), time.Now().Add(time.Second), 1<<20, []store.Want{{Subscription: 2, Limit: 1}})
	if err != nil || len(claimed[0].Deliveries) != 1 {
		t.Errorf("the memory of the refused batch isn't released: %v", err)
	}
}

// installFaults installs a copy of SQLite's own file layer as the default, in which calls
// that write ask faults first. SQLite was translated from C: its structs are in its own
// memory, and its functions are called by address.
var installFaults = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	sqlite3.Xsqlite3_initialize(tls)
	v := *(*sqlite3.Tsqlite3_vfs)(inC(sqlite3.Xsqlite3_vfs_find(tls, 0)))
	name, err := libc.CString("faults")
	if err != nil {
		panic(err)
	}
	v.FzName = name
	open := functionAt[func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32](v.FxOpen)
	var mu sync.Mutex
	methods := map[uintptr]uintptr{}
	v.FxOpen = addressOf(func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
		rc := open(tls, vfs, name, file, flags, out)
		f := (*sqlite3.Tsqlite3_file)(inC(file))
		if f.FpMethods == 0 || flags&(sqlite3.SQLITE_OPEN_MAIN_DB|sqlite3.SQLITE_OPEN_WAL) == 0 {
			return rc
		}
		mu.Lock()
		defer mu.Unlock()
		log := flags & sqlite3.SQLITE_OPEN_WAL
		key := f.FpMethods + uintptr(log>>19) // one for each kind of file
		if methods[key] == 0 {
			methods[key] = faultyMethods(tls, f.FpMethods, log != 0)
		}
		f.FpMethods = methods[key]
		return rc
	})
	if rc := sqlite3.Xsqlite3_vfs_register(tls, toC(tls, &v), 1); rc != sqlite3.SQLITE_OK {
		panic(rc)
	}
})

func faultyMethods(tls *libc.TLS, methods uintptr, log bool) uintptr {
	m := *(*sqlite3.Tsqlite3_io_methods)(inC(methods))
	ask := func(name string) int32 {
		if f := faults.Load(); f != nil {
			return (*f)(faultCall{name, log})
		}
		return 0
	}
	write := functionAt[func(tls *libc.TLS, file, data uintptr, size int32, at sqlite3.Tsqlite3_int64) int32](m.FxWrite)
	m.FxWrite = addressOf(func(tls *libc.TLS, file, data uintptr, size int32, at sqlite3.Tsqlite3_int64) int32 {
		if rc := ask("write"); rc != 0 {
			return rc
		}
		return tell(write(tls, file, data, size, at), func() diskCall {
			return diskCall{log: log, data: bytes.Clone(unsafe.Slice((*byte)(inC(data)), size)), at: at}
		})
	})
	sync := functionAt[func(tls *libc.TLS, file uintptr, flags int32) int32](m.FxSync)
	m.FxSync = addressOf(func(tls *libc.TLS, file uintptr, flags int32) int32 {
		if rc := ask("sync"); rc != 0 {
			return rc
		}
		return tell(sync(tls, file, flags), func() diskCall { return diskCall{log: log, sync: true} })
	})
	truncate := functionAt[func(tls *libc.TLS, file uintptr, size sqlite3.Tsqlite3_int64) int32](m.FxTruncate)
	m.FxTruncate = addressOf(func(tls *libc.TLS, file uintptr, size sqlite3.Tsqlite3_int64) int32 {
		if rc := ask("truncate"); rc != 0 {
			return rc
		}
		return tell(truncate(tls, file, size), func() diskCall { return diskCall{log: log, at: size} })
	})
	return toC(tls, &m)
}

// tell passes a call that succeeded to watched.
func tell(rc int32, call func() diskCall) int32 {
	if f := watched.Load(); f != nil && rc == sqlite3.SQLITE_OK {
		(*f)(call())
	}
	return rc
}

// kept are functions whose addresses only SQLite has.
var kept []any

func functionAt[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&address)) }

func addressOf[F any](f F) uintptr {
	kept = append(kept, f)
	return *(*uintptr)(unsafe.Pointer(&f))
}

// toC copies v into SQLite's memory. It is never freed.
func toC[T any](tls *libc.TLS, v *T) uintptr {
	p := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*v)))
	*(*T)(inC(p)) = *v
	return p
}

func inC(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }
