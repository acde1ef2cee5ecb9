package main

import (
	"errors"

	"github.com/ncruces/go-sqlite3"
	modernc "modernc.org/sqlite"
	"zombiezen.com/go/sqlite"
)

// code is SQLite's extended result code in an error of any of the drivers.
func code(err error) int {
	var m *modernc.Error
	if errors.As(err, &m) {
		return m.Code()
	}
	var n sqlite3.ExtendedErrorCode
	if errors.As(err, &n) {
		return int(n)
	}
	return int(sqlite.ErrCode(err))
}
