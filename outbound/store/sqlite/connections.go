package sqlite

import (
	"errors"
	"fmt"
)

const (
	readers     = 4
	writerCache = 16 << 10 // KiB
	readerCache = 2 << 10
)

// connections are the open connections of a store.
type connections struct {
	writer  *writer
	readers []*conn
	from    int64 // the version that the file had, 0 for a new one
}

// connect opens the file, brings it to this version's schema and reads its log.
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
	if cs.writer.footing, err = stand(path); err != nil {
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
		errs = append(errs, cs.writer.conn.close()) // the last one copies the log
	}
	return errors.Join(errs...)
}

// use puts connections to use; none mean that the store is broken. The caller
// has the writer and every reader.
func (s *Store) use(cs *connections) {
	s.w = cs.writer
	for i := range readers {
		if i < len(cs.readers) {
			s.reading <- cs.readers[i]
		} else {
			s.reading <- nil
		}
	}
}

// unuse waits until nobody reads, and takes every connection. The caller has
// the writer.
func (s *Store) unuse() *connections {
	cs := &connections{writer: s.w}
	for range readers {
		if c := <-s.reading; c != nil {
			cs.readers = append(cs.readers, c)
		}
	}
	s.w = nil
	return cs
}
