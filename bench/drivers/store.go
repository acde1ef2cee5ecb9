package main

import (
	"fmt"
	"strings"
	"sync"
)

// settings are what the variants differ in.
type settings struct {
	Driver     string
	PageSize   int
	CacheKiB   int
	Insert     string // row | multi
	Settle     string // row | multi
	Checkpoint string // auto (SQLite's 1000 pages) | often (by the writer) | beside (by another connection)
	Fdatasync  bool   // modernc's library; ncruces always does
}

// event is an event that waits for its commit.
type event struct {
	payload []byte
	done    chan error
}

// store is the writer: one connection, and one transaction per batch.
type store struct {
	path    string
	open    func(string) (conn, error)
	conn    conn
	beside  bool
	begin   stmt
	commit  stmt
	events  *table
	deliver *table
	settle  *table

	lastID    int64
	unsettled []int64 // deliveries of the previous batch

	checkpoints sync.WaitGroup
	due         chan struct{} // requests a checkpoint
	rest        chan error    // the writer is to copy the rest of the log, or an error
}

// checkpointEvery is the size of the log, in bytes, after which a checkpoint runs.
// Each ends with an fsync of the database, which the next commit may have to wait
// for: it is short if checkpoints are small.
const checkpointEvery = 512 << 10

func openStore(path string, open func(string) (conn, error), s settings) (*store, error) {
	c, err := open(path)
	if err != nil {
		return nil, err
	}
	st := &store{path: path, open: open, conn: c, beside: s.Checkpoint == "beside",
		due: make(chan struct{}, 1), rest: make(chan error, 1)}
	auto := map[string]int{"auto": 1000, "often": checkpointEvery / s.PageSize, "beside": 0}[s.Checkpoint]
	for _, q := range append([]string{
		fmt.Sprintf("PRAGMA page_size = %d", s.PageSize),
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = FULL",
		"PRAGMA busy_timeout = 10000",
		fmt.Sprintf("PRAGMA cache_size = -%d", s.CacheKiB),
		fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", auto),
	}, strings.SplitAfter(strings.TrimSpace(schema), ";")...) {
		if q == "" {
			continue
		}
		if err := c.exec(q); err != nil {
			return nil, fmt.Errorf("%s: %w", q, err)
		}
	}
	if st.begin, err = c.prepare("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	if st.commit, err = c.prepare("COMMIT"); err != nil {
		return nil, err
	}
	settlement := settleRow
	if s.Settle == "multi" {
		settlement = settleRows
	}
	for _, t := range []struct {
		at    **table
		shape shape
		multi bool
	}{
		{&st.events, insertEvents, s.Insert == "multi"},
		{&st.deliver, insertDeliveries, s.Insert == "multi"},
		{&st.settle, settlement, s.Settle == "multi"},
	} {
		if *t.at, err = newTable(c, t.shape, t.multi); err != nil {
			return nil, err
		}
	}
	if st.beside {
		st.checkpoints.Go(st.checkpoint)
	}
	return st, nil
}

// write stores a batch and settles the previous one, in one transaction.
func (s *store) write(batch []event) error {
	if err := s.begin.exec(nil); err != nil {
		return err
	}
	s.settleAll()
	for _, e := range batch {
		s.lastID++
		id := s.lastID
		s.events.add(arg{int: id}, arg{text: "order.created"}, arg{text: "acme"}, arg{int: 1700000000000 + id}, arg{blob: e.payload})
		for sub := range int64(2) {
			delivery := id*2 + sub
			s.deliver.add(arg{int: delivery}, arg{int: id}, arg{int: sub}, arg{}, arg{int: 1700000000000 + id})
			s.unsettled = append(s.unsettled, delivery)
		}
	}
	for _, t := range []*table{s.settle, s.events, s.deliver} {
		if err := t.flush(); err != nil {
			return err
		}
	}
	return s.commit.exec(nil)
}

// response is what is kept of a receiver's answer.
const response = `HTTP/2 200; {"ok":true,"received":"evt_01HF7YAT00","queue":"orders","took_ms":12}`

func (s *store) settleAll() {
	for _, id := range s.unsettled {
		s.settle.add(arg{int: 1700000000500 + id}, arg{int: 200}, arg{int: 12345}, arg{text: response}, arg{int: id})
	}
	s.unsettled = s.unsettled[:0]
}

// checkpoint copies the log to the database on a connection of its own, with
// passive checkpoints, so that the writer doesn't wait for it. While the log is
// being written, they never copy all of it: so each time the writer is asked to copy
// the small rest between two transactions, after which the log starts over.
func (s *store) checkpoint() {
	c, err := s.open(s.path)
	for range s.due {
		if err == nil {
			_, _, err = c.checkpoint()
		}
		select {
		case s.rest <- err:
		default:
		}
	}
	if c != nil {
		c.close()
	}
}

// maintain is called between two transactions, with the number of bytes written
// since the last checkpoint was requested. It reports whether it requested one.
func (s *store) maintain(written int) (asked bool, err error) {
	if !s.beside {
		return false, nil
	}
	select {
	case err = <-s.rest:
		if err == nil {
			_, _, err = s.conn.checkpoint()
		}
	default:
	}
	if err != nil || written < checkpointEvery {
		return false, err
	}
	select {
	case s.due <- struct{}{}:
	default:
	}
	return true, nil
}

func (s *store) close() error {
	close(s.due)
	s.checkpoints.Wait()
	return s.conn.close()
}
