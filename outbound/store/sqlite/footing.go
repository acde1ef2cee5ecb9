package sqlite

import (
	"fmt"
	"os"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// footing is which files are open. Whoever deletes, moves or replaces them takes
// them from the store without an error: SQLite goes on writing to what has no name
// any more, and all of that is gone with the process.
type footing []footed

type footed struct {
	path string
	file os.FileInfo
}

// stand remembers the file and its log, which are open.
func stand(path string) (f footing, err error) {
	for _, p := range []string{path, path + "-wal"} {
		file, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		f = append(f, footed{p, file})
	}
	return f, nil
}

// check returns an error unless the open files are those that the paths lead to.
func (f footing) check() error {
	for _, open := range f {
		if there, err := os.Stat(open.path); err != nil || !os.SameFile(open.file, there) {
			return fmt.Errorf("%w: %s was deleted, moved or replaced while it was in use: put it back, or restart to go on with what is there", store.ErrUnavailable, open.path)
		}
	}
	return nil
}
