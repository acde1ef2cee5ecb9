package sqlite

import (
	"context"
	"errors"
	"time"
)

// writer is the connection that writes, with the prepared statements of the hot
// path.
type writer struct {
	conn    *conn
	footing footing

	begin, commit, rollback *stmt

	insertChosen   *stmt
	insertEvent    *stmt
	insertDelivery *rows
	settleFirst    *stmt
	settleLater    *stmt
	insertAttempt  *stmt

	commits     int       // since it was opened
	shortenedAt int64     // the log's length in frames when shorten was last started
	seenExpired time.Time // when expired keys of inbound messages were last removed
}

func (w *writer) prepare() (err error) {
	statement := func(sql string) *stmt {
		st := w.conn.prepare(sql)
		err = errors.Join(err, st.err)
		return st
	}
	w.begin = statement("BEGIN IMMEDIATE")
	w.commit = statement("COMMIT")
	w.rollback = statement("ROLLBACK")
	w.insertChosen = statement(insertChosen)
	w.insertEvent = statement(insertEvent)
	w.insertDelivery = &rows{
		one:  statement(insertDelivery(1)),
		many: statement(insertDelivery(rowsAtOnce)),
	}
	w.settleFirst = statement(settleFirst)
	w.settleLater = statement(settleLater)
	w.insertAttempt = statement(insertAttempt)
	return err
}

// rowsAtOnce is how many rows the statement rows.many inserts.
const rowsAtOnce = 16

// rows inserts many rows with few statements.
type rows struct{ one, many *stmt }

// insert inserts n rows, and calls bind to bind the parameters of each.
func (r *rows) insert(n int, bind func(i int, st *stmt)) error {
	for i := 0; i < n; {
		st, size := r.one, 1
		if n-i >= rowsAtOnce {
			st, size = r.many, rowsAtOnce
		}
		for range size {
			bind(i, st)
			i++
		}
		if err := st.exec(); err != nil {
			return err
		}
	}
	return nil
}

// write calls f in a transaction on the writer. ctx limits the wait for the
// writer, not the transaction, so that the result says what is on disk. A
// transaction that failed because the disk is full is not tried again: the
// engine repeats settlements itself.
func (s *Store) write(ctx context.Context, f func(*writer) error) error {
	return s.writeThen(ctx, func() {}, f)
}

// writeThen is write, and calls then when the transaction is on disk, before
// anybody else writes.
func (s *Store) writeThen(ctx context.Context, then func(), f func(*writer) error) error {
	if err := s.acquire(ctx, s.writing); err != nil {
		return err
	}
	err := s.transact(f)
	if err == nil {
		then()
	}
	s.makeRoom(err)
	switch {
	case poisons(err), s.w != nil && s.w.conn.inTransaction(): // the rollback failed
		s.work.Go(func() { s.revive(err) }) // which gives the writer back
	case s.w != nil && (s.reserve.spent.Load() || s.w.checkpointDue()): // on a full disk, a checkpoint makes room in the log
		s.work.Go(s.checkpoint) // which gives the writer back
	default:
		<-s.writing
	}
	return err
}

// transact calls f in a transaction. The caller has the writer.
func (s *Store) transact(f func(*writer) error) (err error) {
	if err := s.isClosed(); err != nil { // it was closed while waiting for the writer
		return err
	}
	if s.w == nil {
		return errBroken
	}
	w := s.w
	if err := w.footing.check(); err != nil {
		return err
	}
	if err := s.lock.keep(s.path); err != nil {
		return err
	}
	if err := w.begin.exec(); err != nil {
		return err
	}
	defer func() {
		if w.conn.inTransaction() {
			err = errors.Join(err, w.rollback.exec())
		}
	}()
	if err := f(w); err != nil {
		return err
	}
	return w.commit.exec()
}
