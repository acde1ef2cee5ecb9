package sqlite

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"strings"
	"sync"
)

// What follows looks for damage when a file is opened. It reads little, since a
// large file must be open at once; the rest is found when SQLite comes to it
// (see salvageable).
//
// Of what leaves the form whole, only what is sent has a checksum (see digest).
// Neither is a log noticed that is gone, nor the damage of its last transaction
// only (see readLog).

// wasOurs tells whether this path had a store of ours before. The lock's file
// stays for good, and is made for nothing else.
func wasOurs(path string) bool {
	_, err := os.Stat(path + ".lock")
	return err == nil
}

// hasSchema tells whether our schema is written at the start of a file.
func hasSchema(f *os.File) bool {
	start, err := io.ReadAll(io.NewSectionReader(f, 0, 64*pageSize))
	return err == nil && bytes.Contains(start, []byte("CREATE INDEX delivery_pending ON delivery")) &&
		bytes.Contains(start, []byte("CREATE UNIQUE INDEX subscription_id ON subscription"))
}

// checkHeader looks at what is the same in each file of ours: the format's
// versions for writing and reading, the bytes that each page keeps free, three
// fractions, the schema's format and the encoding of texts.
func checkHeader(header []byte) error {
	ok := header[18] == header[19] && (header[18] == 1 || header[18] == 2) &&
		bytes.Equal(header[20:24], []byte{0, 64, 32, 32}) &&
		binary.BigEndian.Uint32(header[44:]) == 4 && binary.BigEndian.Uint32(header[56:]) == 1
	if !ok {
		return unsound("its header is broken")
	}
	return nil
}

// checkLog looks for damage in the log, of which SQLite says nothing.
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
		// A file only grows. (It shrinks by VACUUM; to read its pages then, too,
		// does no harm.)
		return unsound("its log is older than the file")
	}
	return nil
}

// checkSchema checks that our tables, indexes and views are there as we made
// them. What somebody has added is none of our business.
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

func readSchema(c *conn) (map[string]string, error) {
	schema := map[string]string{}
	err := c.query("SELECT name, type || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema", nil, func(row *stmt) error {
		name := row.readText()
		schema[name] = row.readText()
		return nil
	})
	return schema, err
}

// checkedWhole is the size, in bytes, up to which a file is read wholly when it
// is opened: it takes some milliseconds.
const checkedWhole = 8 << 20

// checkRows checks every row and every index of a small file.
func checkRows(path string, c *conn) error {
	if info, err := os.Stat(path); err != nil || info.Size() > checkedWhole {
		return err
	}
	st, err := c.prepare("PRAGMA integrity_check(1)")
	if err != nil {
		return err
	}
	said := "ok"
	if _, err := st.first(func(row *stmt) { said = row.readText() }); err != nil {
		return err
	}
	if said != "ok" {
		return unsound(said[strings.LastIndexByte(said, '\n')+1:])
	}
	return nil
}
