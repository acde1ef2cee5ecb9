package main

// driver is one way to use SQLite.
type driver struct {
	name string
	open func(path string) (conn, error)
}

var drivers = []driver{
	{"modernc", openModernc},
	{"zombiezen", openZombiezen},
	{"ncruces", openNcruces},
}

// conn is a connection used by one goroutine at a time.
type conn interface {
	// exec runs one statement and ignores its rows.
	exec(sql string) error
	prepare(sql string) (stmt, error)
	// checkpoint runs a passive checkpoint. It returns how many frames the log
	// has, and how many of them are copied to the database now.
	checkpoint() (frames, copied int, err error)
	close() error
}

// stmt is a prepared statement that is kept for the life of its connection.
type stmt interface {
	exec(args []arg) error
}

// arg is a value to bind: blob or text if one is set, else int. It is typed, so
// that drivers can bind it without boxing it in an interface.
type arg struct {
	int  int64
	text string
	blob []byte
}
