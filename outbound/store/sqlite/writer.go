package sqlite

import (
	"context"
	"errors"
	"time"
)

// writer is the connection that writes, with the statements of the hot path.
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

	commits int       // since it was opened
	outgrew int64     // how long the log was when lists last made way for its end
	forgot  time.Time // when inbound messages were last forgotten
}

func (w *writer) prepare() (err error) {
	statement := func(sql string) *stmt {
		st, e := w.conn.prepare(sql)
		err = errors.Join(err, e)
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

// rowsAtOnce is how many rows a statement inserts where there are many.
const rowsAtOnce = 16

// rows inserts many rows with few statements.
type rows struct{ one, many *stmt }

// insert binds n rows by calling bind for each.
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

// write calls f in a transaction on the writer. The end of ctx ends the wait
// for the writer and not the transaction, so that the result is what is on
// disk. It isn't tried again when the disk is full: what settles comes again by
// itself.
func (s *Store) write(ctx context.Context, f func(*writer) error) error {
	return s.writeThen(ctx, func() {}, f)
}

// writeThen calls then as well, when that is on disk and before anybody else writes.
func (s *Store) writeThen(ctx context.Context, then func(), f func(*writer) error) error {
	if err := s.take(ctx, s.writing); err != nil {
		return err
	}
	err := s.transact(f)
	if err == nil {
		then()
	}
	s.relieve(err)
	switch {
	case poisons(err), s.w != nil && s.w.conn.inTransaction(): // which can't be undone
		s.work.Go(func() { s.revive(err) })
	case s.w != nil && (s.reserve.spent || s.w.long()): // on a full disk, a log that is copied has room
		s.work.Go(s.checkpoint)
	default:
		<-s.writing
	}
	return err
}

// transact runs a transaction. The caller has the writer.
func (s *Store) transact(f func(*writer) error) (err error) {
	select {
	case <-s.closed: // while waiting
		return errClosed
	default:
	}
	if s.w == nil {
		return errBroken
	}
	w := s.w
	if err := w.footing.check(); err != nil {
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
