package main

import "strings"

const schema = `
CREATE TABLE IF NOT EXISTS events (
	id INTEGER PRIMARY KEY, type TEXT NOT NULL, tenant TEXT NOT NULL,
	created INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS deliveries (
	id INTEGER PRIMARY KEY, event INTEGER NOT NULL, subscription INTEGER NOT NULL,
	state INTEGER NOT NULL, due INTEGER NOT NULL,
	attempted INTEGER, status INTEGER, duration INTEGER, response TEXT
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (subscription, due, id) WHERE state = 0;
`

// shape is a statement for one or more rows: head, a group of parameters for each
// row, and tail.
type shape struct{ head, row, tail string }

var (
	insertEvents = shape{
		"INSERT INTO events (id, type, tenant, created, payload) VALUES ", "(?,?,?,?,?)", ""}
	insertDeliveries = shape{
		"INSERT INTO deliveries (id, event, subscription, state, due) VALUES ", "(?,?,?,?,?)", ""}
	settleRow = shape{
		"UPDATE deliveries SET state = 1, attempted = ?, status = ?, duration = ?, response = ? WHERE id = ?", "", ""}
	settleRows = shape{
		"WITH s (attempted, status, duration, response, id) AS (VALUES ", "(?,?,?,?,?)",
		`) UPDATE deliveries SET state = 1, attempted = s.attempted, status = s.status,
		duration = s.duration, response = s.response FROM s WHERE deliveries.id = s.id`}
)

const columns = 5 // of every shape

// sizes are the numbers of rows for which statements are prepared, the largest
// first.
var sizes = []int{64, 16, 4, 1}

// table writes rows by one shape, with as few statements as the sizes allow.
type table struct {
	stmts map[int]stmt // by number of rows
	args  []arg
}

func newTable(c conn, s shape, multi bool) (*table, error) {
	t := &table{stmts: map[int]stmt{}}
	for _, n := range sizes {
		if n > 1 && !multi {
			continue
		}
		rows := strings.TrimSuffix(strings.Repeat(s.row+",", n), ",")
		st, err := c.prepare(s.head + rows + s.tail)
		if err != nil {
			return nil, err
		}
		t.stmts[n] = st
	}
	return t, nil
}

func (t *table) add(row ...arg) { t.args = append(t.args, row...) }

// flush writes the rows that were added.
func (t *table) flush() error {
	rest := t.args
	for _, n := range sizes {
		st := t.stmts[n]
		for ; st != nil && len(rest) >= n*columns; rest = rest[n*columns:] {
			if err := st.exec(rest[:n*columns]); err != nil {
				return err
			}
		}
	}
	clear(t.args)
	t.args = t.args[:0]
	return nil
}
