package sqlite

import (
	"errors"
	"fmt"
)

const (
	readers     = 4
	writerCache = 16 << 10 // in KiB
	readerCache = 2 << 10  // in KiB, of each reader
)

// connections are the open connections of a store.
type connections struct {
	writer  *writer
	readers []*conn
	from    int64 // the format that the file had before, 0 for a new one
}

// connect opens the connections, upgrades the file to this version's format and
// reads its log.
func connect(path string) (_ *connections, err error) {
	var cs connections
	defer func() {
		if err != nil {
			err = errors.Join(err, cs.close())
		}
	}()
	c, err := openConn(path, false)
	if err != nil {
		return nil, err
	}
	cs.writer = &writer{conn: c}
	if cs.from, err = migrate(c, path); err != nil {
		return nil, err
	}
	if err := checkSchema(c); err != nil {
		return nil, err
	}
	if err := c.exec(fmt.Sprintf(`PRAGMA journal_mode = WAL;
		PRAGMA synchronous = FULL;
		PRAGMA wal_autocheckpoint = 0;
		PRAGMA journal_size_limit = %d;
		PRAGMA automatic_index = 0;
		PRAGMA cache_size = -%d`, walKept, writerCache)); err != nil {
		return nil, err
	}
	if err := cs.writer.prepare(); err != nil {
		return nil, err
	}
	for range readers {
		c, err := openConn(path, true)
		if err != nil {
			return nil, err
		}
		cs.readers = append(cs.readers, c)
		if err := c.exec(fmt.Sprintf("PRAGMA automatic_index = 0; PRAGMA cache_size = -%d", readerCache)); err != nil {
			return nil, err
		}
	}
	if cs.writer.footing, err = newFooting(path); err != nil {
		return nil, err
	}
	return &cs, nil
}

func (cs *connections) close() error {
	var errs []error
	for _, c := range cs.readers {
		errs = append(errs, c.close())
	}
	if cs.writer != nil {
		errs = append(errs, cs.writer.conn.close()) // last, since closing the last connection copies the log into the file
	}
	return errors.Join(errs...)
}

// attach makes connections available to the store; an empty set means that it is
// broken. The caller has the writer and every reader.
func (s *Store) attach(cs *connections) {
	s.w = cs.writer
	for i := range readers {
		if i < len(cs.readers) {
			s.reading <- cs.readers[i]
		} else {
			s.reading <- nil
		}
	}
}

// detach waits until nobody reads, and takes every connection from the store. The
// caller has the writer.
func (s *Store) detach() *connections {
	cs := &connections{writer: s.w}
	for range readers {
		if c := <-s.reading; c != nil {
			cs.readers = append(cs.readers, c)
		}
	}
	s.w = nil
	return cs
}
