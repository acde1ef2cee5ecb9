package sqlite

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// applicationID marks a file as ours: "whks" in ASCII.
	applicationID = 0x77686b73
	// version is the schema's, in the file's user_version.
	version = 11
	// versionMost is beyond what it will ever be.
	versionMost = 1 << 16
)

var (
	//go:embed schema.sql
	schema string
	//go:embed schema2.sql
	schema2 string
	//go:embed schema3.sql
	schema3 string
	//go:embed schema4.sql
	schema4 string
	//go:embed schema5.sql
	schema5 string
	//go:embed schema6.sql
	schema6 string
	//go:embed schema7.sql
	schema7 string
	//go:embed schema8.sql
	schema8 string
	//go:embed schema9.sql
	schema9 string
	//go:embed schema10.sql
	schema10 string
	//go:embed schema11.sql
	schema11 string
)

// migrations brings a file from the version of its index to the next one.
var migrations = [version]string{schema, schema2, schema3, schema4, schema5, schema6, schema7, schema8, schema9, schema10, schema11}

// Canonical is the one path of a file, whatever symbolic links lead to it, so that
// there is one lock. Of a path that isn't there yet, it resolves the part that is.
func Canonical(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return resolve(path), nil
}

func resolve(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	dir, file := filepath.Split(path)
	if dir = filepath.Clean(dir); dir == path {
		return path
	}
	return filepath.Join(resolve(dir), file)
}

// SQLite's header, from its file format.
const (
	headerSize          = 100
	headerMagic         = "SQLite format 3\x00"
	headerUserVersion   = 60
	headerApplicationID = 68
)

// inspect reads a file's header, before SQLite opens it, so that a file that
// isn't ours is not touched. A missing or an empty one is fine. The error for
// one that was ours and is damaged is salvageable.
//
// It must not be called while this process has the file open: closing any
// descriptor of a file gives up the POSIX locks that SQLite has on it.
func inspect(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return noLog(path)
	case err != nil:
		return fmt.Errorf("%w; let the user that runs this read its directory", err)
	case !info.Mode().IsRegular(): // opening a pipe would wait for a writer
		return fmt.Errorf("%w: %s is a %s; give the path of a file", store.ErrForeign, path, kindOf(info.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w; let the user that runs this read and write it", err)
	}
	defer f.Close()
	var header [headerSize]byte
	n, err := io.ReadFull(f, header[:])
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		if err := noLog(path); err == nil || !wasOurs(path) {
			return err
		}
		return unsound("it is empty, but its log is there")
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("reading %s: %w", path, err)
	case n < headerSize || !bytes.HasPrefix(header[:], []byte(headerMagic)):
		if wasOurs(path) {
			return unsound("its header is gone")
		}
		return fmt.Errorf("%w: %s is no SQLite database, and was left as it is; give another path", store.ErrForeign, path)
	}
	application := int64(binary.BigEndian.Uint32(header[headerApplicationID:]))
	found := int64(int32(binary.BigEndian.Uint32(header[headerUserVersion:])))
	if (application != applicationID || found > versionMost) && wasOurs(path) && hasSchema(f) {
		return unsound("its header is broken")
	}
	if err := recognise(path, application, found); err != nil {
		return err
	}
	return checkHeader(header[:])
}

// noLog checks that a file that is to be made has no log: that of a file which
// was lost may have all there is of what was stored last, and SQLite would
// delete it.
func noLog(path string) error {
	info, err := os.Stat(path + "-wal")
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() == 0:
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: %s is missing or empty, but its log %s-wal is there; put the file back beside it, or move the log away to start anew", store.ErrDamaged, path, path)
}

// recognise judges what a file says that it is.
func recognise(path string, application, found int64) error {
	switch {
	case application != applicationID:
		return fmt.Errorf("%w: %s is the SQLite database of another program, and was left as it is; give another path", store.ErrForeign, path)
	case found > version:
		return fmt.Errorf("%w: %s was written by a newer version of caddy-webhooks (its format is %d, this one knows up to %d), and was left as it is; run that version again, or give another path", store.ErrForeign, path, found, version)
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	if mode.IsDir() {
		return "directory"
	}
	return "special file"
}

// create makes an empty file that only its owner can read. SQLite gives the
// files beside it the same mode.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("%w; let the user that runs this write it and its directory", err)
	}
	return f.Close()
}

// migrate brings the file to this version's schema, each step in a transaction
// of its own, before the write-ahead log is turned on: so the header of a file
// that a crash left behind says what the file is. It returns the version that
// was found, 0 for a new file.
func migrate(c *conn, path string) (from int64, err error) {
	application, err := c.pragma("application_id")
	if err != nil {
		return 0, err
	}
	from, err = c.pragma("user_version")
	if err != nil {
		return 0, err
	}
	if from > 0 || application != 0 {
		if err := recognise(path, application, from); err != nil {
			return 0, err
		}
	}
	if from == version {
		return from, nil
	}
	if from < 0 || from == 0 && application != 0 {
		return 0, unsound("its header is broken")
	}
	if err := c.exec("PRAGMA journal_mode = DELETE"); err != nil {
		return 0, err
	}
	for found := from; found < version; found++ {
		err := c.exec(fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			migrations[found], applicationID, found+1))
		if err != nil {
			return 0, fmt.Errorf("making format %d: %w", found+1, err)
		}
	}
	return from, nil
}
