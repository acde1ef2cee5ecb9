package sqlite

import (
	"bytes"
	"embed"
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
	// version is the current format of the file, the number of the last of the
	// schemas. The file has it as its user_version.
	version = 12
	// versionMost is more than any version will ever be.
	versionMost = 1 << 16
)

// schemas are the scripts that upgrade a file from each format to the next.
//
//go:embed schema*.sql
var schemas embed.FS

// Canonical returns the absolute path of a file without symbolic links, so that
// each file has one lock. If the path doesn't exist yet, it resolves the part that
// does.
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

// The header of a SQLite file: https://www.sqlite.org/fileformat2.html#the_database_header
const (
	headerSize          = 100
	headerMagic         = "SQLite format 3\x00"
	headerUserVersion   = 60
	headerApplicationID = 68
)

// inspect reads a file's header before SQLite opens the file, so that one that
// isn't ours is not touched. A missing or an empty file is fine. The error for a
// damaged file of ours is salvageable.
//
// It must not be called while this process has the file open: closing any
// descriptor of a file releases the POSIX locks that SQLite has on it.
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
		return fmt.Errorf("%w: %s is not a SQLite database, and was left as it is; give another path", store.ErrForeign, path)
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

// noLog checks that there is no log where a file is to be created. If the file
// was lost, its log may be the only place that has what was stored last, and
// SQLite would delete it.
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

// recognise checks the application id and the format that a file declares.
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

// create creates a file that only its owner can read, unless it exists. SQLite
// gives the files beside it the same mode.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("%w; let the user that runs this write it and its directory", err)
	}
	return f.Close()
}

// migrate upgrades the file to the current format, each step in a transaction of
// its own. It does so without the write-ahead log, so that even after a crash the
// file's own header says what the file is. It returns the format that it found, 0
// for a new file.
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
	for to := from + 1; to <= version; to++ {
		script, err := schemas.ReadFile(fmt.Sprintf("schema%d.sql", to))
		if err != nil {
			return 0, err
		}
		if err := c.exec(fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			script, applicationID, to)); err != nil {
			return 0, fmt.Errorf("making format %d: %w", to, err)
		}
	}
	return from, nil
}
