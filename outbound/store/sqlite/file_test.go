package sqlite_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"

	driver "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// execute runs SQL on a file without the store.
func execute(t testing.TB, path, script string) {
	t.Helper()
	c := must.Get(driver.OpenConn(path, driver.OpenReadWrite, driver.OpenCreate))(t)
	defer c.Close()
	for _, statement := range strings.Split(script, ";") {
		must.Do(t, sqlitex.ExecuteTransient(c, statement, nil))
	}
}

// queryNumber reads a number from a file without the store.
func queryNumber(path, sql string, into *int64) error {
	c, err := driver.OpenConn(path, driver.OpenReadWrite)
	if err != nil {
		return err
	}
	defer c.Close()
	return sqlitex.ExecuteTransient(c, sql, &sqlitex.ExecOptions{ResultFunc: func(st *driver.Stmt) error {
		*into = st.ColumnInt64(0)
		return nil
	}})
}

// TestForeignFile checks that a file that isn't a store is refused with an error that says
// why, and that it and its directory are left unchanged.
func TestForeignFile(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		says string
	}{
		{"text", func(t *testing.T, path string) {
			write(t, path, strings.Repeat("a letter to my aunt\n", 20))
		}, "not a SQLite database"},
		{"a little text", func(t *testing.T, path string) { write(t, path, "x") }, "not a SQLite database"},
		{"the start of a database", func(t *testing.T, path string) { write(t, path, "SQLite format 3\x00") }, "not a SQLite database"},
		{"zeros", func(t *testing.T, path string) { write(t, path, strings.Repeat("\x00", 8192)) }, "not a SQLite database"},
		{"another program's database", func(t *testing.T, path string) {
			execute(t, path, "CREATE TABLE event (id INTEGER PRIMARY KEY)")
		}, "another program"},
		{"another program's database, marked", func(t *testing.T, path string) {
			execute(t, path, "PRAGMA application_id = 252006675; PRAGMA user_version = 1; CREATE TABLE event (id INTEGER PRIMARY KEY)")
		}, "another program"},
		{"another program's database in WAL mode", func(t *testing.T, path string) {
			execute(t, path, "PRAGMA journal_mode = WAL; CREATE TABLE event (id INTEGER PRIMARY KEY)")
		}, "another program"},
		{"a newer version's", func(t *testing.T, path string) {
			open(t, path).Close()
			os.Remove(path + ".lock")
			execute(t, path, "PRAGMA user_version = 1000")
		}, "a newer version"},
		{"a directory", func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, "a directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "webhooks.db")
			test.make(t, path)
			before := contents(t, dir)
			s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			if err == nil {
				s.Close()
				t.Fatal("Open accepts it")
			}
			t.Log(err)
			if !errors.Is(err, store.ErrForeign) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want store.ErrForeign with %q", err, test.says)
			}
			if after := contents(t, dir); !maps.Equal(before, after) {
				t.Errorf("files before %v, after %v, want the same", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
		})
	}
}

// TestDevice checks that only files are opened: opening a pipe would block.
func TestDevice(t *testing.T) {
	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: os.DevNull})
	if !errors.Is(err, store.ErrForeign) || !strings.Contains(err.Error(), "a special file") {
		t.Errorf("got %v, want store.ErrForeign", err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must.Do(t, os.WriteFile(path, []byte(text), 0o644))
}

// contents returns the files in a directory.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must.Do(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	}))
	return files
}

// TestNewFile checks that a missing or empty file is created, readable only by its owner.
func TestNewFile(t *testing.T) {
	tests := map[string]func(t *testing.T, path string){
		"missing":                func(*testing.T, string) {},
		"in a missing directory": func(t *testing.T, path string) { os.Remove(filepath.Dir(path)) },
		"empty":                  func(t *testing.T, path string) { os.WriteFile(path, nil, 0o600) },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data", "webhooks.db")
			os.Mkdir(filepath.Dir(path), 0o700)
			prepare(t, path)
			s := open(t, path)
			publish(t, s, publication(store.NewIDs(0, 0, time.Now), 1))
			for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
				info := must.Get(os.Stat(path + suffix))(t)
				if mode := info.Mode().Perm(); mode != 0o600 {
					t.Errorf("webhooks.db%s: mode %v", suffix, mode)
				}
			}
			must.Do(t, s.Close())
			want := []string{path, path + ".lock"}
			if runtime.GOOS == "linux" {
				want = append(want, path+".reserve")
			}
			if got := slices.Sorted(maps.Keys(contents(t, filepath.Dir(path)))); !slices.Equal(got, want) {
				t.Errorf("files after closing: %v", got)
			}
		})
	}
}

// TestLostFile checks that the log of a lost file is kept.
func TestLostFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	write(t, path+"-wal", "what was stored last")
	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	t.Log(err)
	if !errors.Is(err, store.ErrDamaged) {
		t.Errorf("got %v, want store.ErrDamaged", err)
	}
	if got := contents(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("files: %v", slices.Sorted(maps.Keys(got)))
	}
}

// TestFileTakenAway checks that nothing is acknowledged that was written to a file that
// isn't at its path any more.
func TestFileTakenAway(t *testing.T) {
	remove := func(suffix string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			must.Do(t, os.Remove(path+suffix))
		}
	}
	for name, take := range map[string]func(t *testing.T, path string){
		"the file":    remove(""),
		"its log":     remove("-wal"),
		"another one": func(t *testing.T, path string) { remove("")(t, path); write(t, path, "") },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "webhooks.db")
			s, ids := open(t, path), store.NewIDs(0, 0, time.Now)
			publish(t, s, publication(ids))
			take(t, path)
			err := s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{publication(ids)}})
			t.Log(err)
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("got %v, want store.ErrUnavailable", err)
			}
		})
	}
	t.Run("for a while", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "store")
		s, ids := open(t, filepath.Join(dir, "webhooks.db")), store.NewIDs(0, 0, time.Now)
		must.Do(t, os.Rename(dir, dir+"2"))
		if err := s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{publication(ids)}}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v, want store.ErrUnavailable", err)
		}
		must.Do(t, os.Rename(dir+"2", dir))
		publish(t, s, publication(ids))
	})
}

// TestDeletedSecret checks that replaced and deleted secrets are not in the file, nor is
// anything of a subscription that was removed.
func TestDeletedSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	s := open(t, path)
	secret := []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	sub := &store.Subscription{Key: 1 << 21, ID: "crm", Tenant: "acme", URL: "https://crm.example.com/token-in-the-path", Secrets: []store.Secret{{Value: string(secret)}}, OAuth2: store.OAuth2{TokenURL: "https://login.example.com", ClientSecret: "of-the-client"}}
	must.Do(t, s.CreateSubscription(t.Context(), sub))
	must.Get(s.UpdateSubscription(t.Context(), "crm", func(s *store.Subscription) error {
		s.Secrets[0].Value = strings.Replace(s.Secrets[0].Value, "MfKQ", "other", 1)
		return nil
	}))(t)
	must.Do(t, s.DeleteSubscription(t.Context(), "crm"))
	closed := func() []byte {
		t.Helper()
		must.Do(t, s.Close())
		return must.Get(os.ReadFile(path))(t)
	}
	if file := closed(); bytes.Contains(file, secret[10:]) || bytes.Contains(file, []byte("of-the-client")) {
		t.Error("the secret is still in the file")
	}
	s = open(t, path)
	must.Get(s.ForgetSubscriptions(t.Context(), "acme", 9))(t)
	if bytes.Contains(closed(), []byte("token-in-the-path")) {
		t.Error("the URL is still in the file")
	}
}

// TestLogIsBounded checks that the write-ahead log starts over.
func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	s := open(t, path)
	ids := store.NewIDs(0, 0, time.Now)
	for range 100 {
		var ps []*store.Publication
		for range 64 {
			ps = append(ps, publication(ids, 1))
		}
		publish(t, s, ps...)
	}
	info := must.Get(os.Stat(path + "-wal"))(t)
	if info.Size() > 2<<20 {
		t.Errorf("the log has %d bytes, so it hasn't started over", info.Size())
	}
}
