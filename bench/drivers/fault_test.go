package main

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/ncruces/go-sqlite3/vfs"
	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// failSync makes every sync of a file opened through the VFS "fault" fail.
var failSync atomic.Bool

var errInjected = errors.New("injected")

// TestSyncFault shows that a VFS of our own can make an fsync fail, and that
// the extended code of that arrives.
func TestSyncFault(t *testing.T) {
	registerModernc(t)
	vfs.Register("fault", faultVFS{vfs.Find("")})
	for _, d := range drivers {
		t.Run(d.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db?vfs=fault")
			st, err := openStore(path, d.open, plain)
			if err != nil {
				t.Fatal(err)
			}
			defer st.close()
			e := event{payload: make([]byte, 1024)}
			if err := st.write([]event{e}); err != nil {
				t.Fatal(err)
			}
			failSync.Store(true)
			err = st.write([]event{e})
			failSync.Store(false)
			t.Log(err)
			if code(err) != lib.SQLITE_IOERR_FSYNC {
				t.Errorf("code %d, want SQLITE_IOERR_FSYNC", code(err))
			}
		})
	}
}

// registerModernc registers a copy of SQLite's own VFS whose files have another
// xSync. modernc.org/sqlite and zombiezen.com/go/sqlite share the library, and
// so the VFS.
func registerModernc(t *testing.T) {
	tls := libc.NewTLS()
	lib.Xsqlite3_initialize(tls)
	v := new(lib.Tsqlite3_vfs)
	*v = *(*lib.Tsqlite3_vfs)(pointer(lib.Xsqlite3_vfs_find(tls, 0)))
	open := function[openFunc](v.FxOpen)
	name, err := libc.CString("fault")
	if err != nil {
		t.Fatal(err)
	}
	v.FzName = name
	v.FxOpen = address(openFunc(func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
		rc := open(tls, vfs, name, file, flags, out)
		if f := (*lib.Tsqlite3_file)(pointer(file)); f.FpMethods != 0 {
			f.FpMethods = faulty(tls, f.FpMethods)
		}
		return rc
	}))
	if rc := lib.Xsqlite3_vfs_register(tls, toC(tls, v), 0); rc != lib.SQLITE_OK {
		t.Fatalf("registering the VFS: %d", rc)
	}
}

type (
	openFunc func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	syncFunc func(tls *libc.TLS, file uintptr, flags int32) int32
)

func faulty(tls *libc.TLS, methods uintptr) uintptr {
	m := *(*lib.Tsqlite3_io_methods)(pointer(methods))
	sync := function[syncFunc](m.FxSync)
	m.FxSync = address(syncFunc(func(tls *libc.TLS, file uintptr, flags int32) int32 {
		if failSync.Load() {
			return lib.SQLITE_IOERR_FSYNC
		}
		return sync(tls, file, flags)
	}))
	return toC(tls, &m)
}

// kept holds what C memory points to, out of the collector's sight.
var kept []any

// function is the Go function at the address that the library calls.
func function[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&address)) }

// address is the address by which the library calls f.
func address[F any](f F) uintptr {
	kept = append(kept, f)
	return *(*uintptr)(unsafe.Pointer(&f))
}

// toC copies v into memory of the library, for good.
func toC[T any](tls *libc.TLS, v *T) uintptr {
	p := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*v)))
	*(*T)(pointer(p)) = *v
	return p
}

func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// faultVFS is the same for ncruces, in Go's terms.
type faultVFS struct{ vfs.VFS }

func (v faultVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := v.VFS.(vfs.VFSFilename).OpenFilename(name, flags)
	if err != nil {
		return nil, flags, err
	}
	if s, ok := f.(vfs.FileSharedMemory); ok {
		return faultSharedFile{faultFile{f}, s}, flags, nil
	}
	return faultFile{f}, flags, nil
}

type faultFile struct{ vfs.File }

func (f faultFile) Sync(flags vfs.SyncFlag) error {
	if failSync.Load() {
		return vfs.SystemError(errInjected, uint16(lib.SQLITE_IOERR_FSYNC))
	}
	return f.File.Sync(flags)
}

// faultSharedFile passes the shared memory of the log's index on.
type faultSharedFile struct {
	faultFile
	shared vfs.FileSharedMemory
}

func (f faultSharedFile) SharedMemory() vfs.SharedMemory { return f.shared.SharedMemory() }
