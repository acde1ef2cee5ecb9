package sqlite

import (
	"fmt"
	"os"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// footing is the identity of the open files. When somebody deletes, moves or
// replaces them, SQLite notices nothing: it goes on writing to files that have no
// name any more, and all of that is lost when the process ends.
type footing []namedFile

type namedFile struct {
	path string
	file os.FileInfo
}

// newFooting records the identity of a store's file and its log, which are open.
func newFooting(path string) (f footing, err error) {
	for _, p := range []string{path, path + "-wal"} {
		file, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		f = append(f, namedFile{p, file})
	}
	return f, nil
}

// check returns an error unless the paths still lead to the open files.
func (f footing) check() error {
	for _, open := range f {
		if there, err := os.Stat(open.path); err != nil || !os.SameFile(open.file, there) {
			return fmt.Errorf("%w: %s was deleted, moved or replaced while it was in use: put it back, or restart to go on with what is there", store.ErrUnavailable, open.path)
		}
	}
	return nil
}
