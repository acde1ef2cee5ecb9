package main

// driver is one way to reach SQLite.
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
	// exec runs one statement and passes over its rows.
	exec(sql string) error
	prepare(sql string) (stmt, error)
	// checkpoint runs a passive one and reports how many frames the log has
	// and how many of them are in the database now.
	checkpoint() (frames, copied int, err error)
	close() error
}

// stmt is a prepared statement that is kept for the life of its connection.
type stmt interface {
	exec(args []arg) error
}

// arg is a bound value, typed so that a driver that can bind it without boxing
// does: blob or text where one is set, else int.
type arg struct {
	int  int64
	text string
	blob []byte
}
