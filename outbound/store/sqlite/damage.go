package sqlite

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"strings"
	"sync"
)

// The checks in this file look for damage when a file is opened. They read little,
// because a large file must open quickly. Other damage is found when SQLite comes
// across it (see salvageable).
//
// Damage that leaves rows well-formed is only noticed in what is sent, which has a
// checksum (see digest). A missing log is not noticed, nor is damage to just the
// last transaction in the log (see readLog).

// wasOurs reports whether there has been a store of ours at this path: its lock
// file is never removed, and made for nothing else.
func wasOurs(path string) bool {
	_, err := os.Stat(path + ".lock")
	return err == nil
}

// hasSchema reports whether the start of a file contains our schema.
func hasSchema(f *os.File) bool {
	start, err := io.ReadAll(io.NewSectionReader(f, 0, 64*pageSize))
	return err == nil && bytes.Contains(start, []byte("CREATE INDEX delivery_pending ON delivery")) &&
		bytes.Contains(start, []byte("CREATE UNIQUE INDEX subscription_id ON subscription"))
}

// checkHeader checks what is the same in every file of ours: the file format's
// versions for writing and reading, the bytes reserved on each page, the three
// payload fractions, the schema format and the text encoding.
func checkHeader(header []byte) error {
	ok := header[18] == header[19] && (header[18] == 1 || header[18] == 2) &&
		bytes.Equal(header[20:24], []byte{0, 64, 32, 32}) &&
		binary.BigEndian.Uint32(header[44:]) == 4 && binary.BigEndian.Uint32(header[56:]) == 1
	if !ok {
		return unsound("its header is broken")
	}
	return nil
}

// checkLog looks for damage in the log, which SQLite doesn't report.
func checkLog(path string) error {
	w, err := readLog(path + "-wal")
	if err != nil {
		return err
	}
	defer w.close()
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case w.damage != "":
		return unsound(w.damage)
	case w.pages > 0 && info.Size() > int64(w.pages)*pageSize:
		// A file only grows, except by VACUUM, after which a salvage does no harm.
		return unsound("its log is older than the file")
	}
	return nil
}

// checkSchema checks that our tables, indexes and views are as we created them.
// Others may be there too.
func checkSchema(c *conn) error {
	want, err := schemaOnce()
	if err != nil {
		return err
	}
	found, err := readSchema(c)
	if err != nil {
		return err
	}
	for name, sql := range want {
		if found[name] != sql {
			return unsound("its schema is broken at " + name)
		}
	}
	return nil
}

// schemaOnce returns the schema of a new file.
var schemaOnce = sync.OnceValues(func() (_ map[string]string, err error) {
	c, err := openConn(":memory:", false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.close() }()
	if _, err := migrate(c, "memory"); err != nil {
		return nil, err
	}
	return readSchema(c)
})

// readSchema returns the definition of each table, index and view by its name.
func readSchema(c *conn) (map[string]string, error) {
	schema := map[string]string{}
	err := c.query("SELECT name, type || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema", nil, func(row *stmt) error {
		name := row.readText()
		schema[name] = row.readText()
		return nil
	})
	return schema, err
}

// checkedWhole is the size in bytes up to which a whole file is checked when it is
// opened, which takes some milliseconds.
const checkedWhole = 8 << 20

// checkRows checks every row and every index, if the file is small.
func checkRows(path string, c *conn) error {
	if info, err := os.Stat(path); err != nil || info.Size() > checkedWhole {
		return err
	}
	return c.query("PRAGMA integrity_check(1)", nil, func(row *stmt) error {
		if result := row.readText(); result != "ok" {
			return unsound(result[strings.LastIndexByte(result, '\n')+1:])
		}
		return nil
	})
}
