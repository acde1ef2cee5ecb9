package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// salvage copies what can be read of a damaged file into a new one, and sets the
// damaged one aside. Nobody may have it open.
//
// It reads every page of the file and of its log without SQLite, so that a broken
// page costs only the rows on it, not those on the pages that it leads to. It
// skips whatever isn't a row of ours to the last column, and rows that depend on a
// lost one, which could neither be delivered nor shown. A lost delivery whose event
// and subscription are there is created again: it may have been delivered before,
// but nothing that was accepted is dropped silently.
//
// If it is stopped or fails, the damaged file stays where it is. If only the
// renaming failed, the next call does just that.
func (s *Store) salvage(stopped func() error, cause error) error {
	if whole, err := s.resume(); whole || err != nil {
		return err
	}
	started := time.Now()
	s.log.Error("webhooks store: the file is damaged; what can be read is copied into a new one", "path", s.path, "error", cause)
	aside, err := asideFor(s.path, started)
	if err != nil {
		return err
	}
	report := store.Salvage{At: started.UTC().Truncate(time.Millisecond), Path: aside, Cause: cause.Error()}
	if err := s.rescue(stopped, &report); err != nil {
		return fmt.Errorf("saving what can be read: %w", err)
	}
	if err := replace(s.path, report); err != nil {
		return fmt.Errorf("setting the damaged file aside: %w", err)
	}
	s.log.Error("webhooks store: the damaged file has been set aside, and the new one is in its place; look at what was lost, and delete the old one with its report when nobody needs it",
		"path", s.path, "aside", report.Path, "took", time.Since(started),
		"events", report.Kept.Events, "events_lost", report.Lost.Events,
		"deliveries", report.Kept.Deliveries, "deliveries_lost", report.Lost.Deliveries, "deliveries_repeated", report.Repeated,
		"subscriptions", report.Kept.Subscriptions, "subscriptions_lost", report.Lost.Subscriptions,
		"unreadable_rows", report.Unreadable)
	return nil
}

// rescue writes the new file, and syncs it.
func (s *Store) rescue(stopped func() error, report *store.Salvage) (err error) {
	log, err := readLog(s.path + "-wal")
	if err != nil {
		return err
	}
	defer log.close()
	old, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer old.Close()
	from, err := newPages(old, log)
	if err != nil {
		return err
	}
	part := s.path + partSuffix
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := create(part); err != nil {
		return err
	}
	into, err := openConn(part, false)
	if err != nil {
		return err
	}
	r := &rescue{conn: into, log: s.log, stopped: stopped, report: report, logged: time.Now()}
	if err := errors.Join(r.run(from, part), into.close()); err != nil {
		os.Remove(part)
		return err
	}
	return syncFile(part)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// rescue is a new file that is being written.
type rescue struct {
	conn    *conn // to the new file
	log     *slog.Logger
	stopped func() error // returns an error to stop it
	report  *store.Salvage
	into    []destination

	cells  int       // how many were read
	logged time.Time // when progress was last logged
}

// logEvery is how often progress is logged.
const logEvery = 10 * time.Second

// destination is a table of the new file.
type destination struct {
	*table
	types  string // see table.fields
	insert *stmt
}

func (r *rescue) run(from *pages, path string) error {
	if _, err := migrate(r.conn, path); err != nil {
		return err
	}
	// After a crash nobody needs the new file, so it needs no journal.
	if err := r.conn.exec("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA automatic_index = 0; PRAGMA cache_size = -65536; BEGIN"); err != nil {
		return err
	}
	for _, t := range tables {
		names, types := t.fields()
		insert := r.conn.prepare(fmt.Sprintf("INSERT OR REPLACE INTO %s (%s) VALUES (?%s)",
			t.name, strings.Join(names, ", "), strings.Repeat(", ?", len(names)-1)))
		if insert.err != nil {
			return insert.err
		}
		r.into = append(r.into, destination{t, types, insert})
	}
	if err := from.each(r.keep); err != nil {
		return err
	}
	for _, step := range []func() error{r.prune, r.repeat, r.count} {
		if err := errors.Join(r.stopped(), step()); err != nil {
			return err
		}
	}
	return r.conn.exec("COMMIT")
}

// keep stores a cell if it is a row of ours.
func (r *rescue) keep(c cell) error {
	if err := r.stopped(); err != nil {
		return err
	}
	if r.cells++; r.cells%1024 == 0 && time.Since(r.logged) > logEvery {
		r.logged = time.Now()
		r.log.Info("webhooks store: still reading the damaged file", "rows_and_index_entries", r.cells)
	}
	values := record(c.row)
	for _, d := range r.into {
		row := d.parse(c, d.types, values)
		if row == nil {
			continue
		}
		for _, v := range row {
			d.insert.any(v)
		}
		return d.insert.exec()
	}
	if !c.index && !isSchema(values) {
		r.report.Unreadable++
	}
	return nil
}

// isSchema reports whether a row belongs to SQLite's own table of the schema.
func isSchema(row []any) bool {
	if len(row) != 5 {
		return false
	}
	switch row[0] {
	case "table", "index", "view", "trigger":
		return true
	}
	return false
}

// prune deletes and counts the rows that depend on a lost event, and fills the
// table of chosen ids, which follows from the events.
func (r *rescue) prune() error {
	if err := r.read(`SELECT count(DISTINCT event), count(*) FROM delivery WHERE event NOT IN (SELECT id FROM event)`,
		&r.report.Lost.Events, &r.report.Lost.Deliveries); err != nil {
		return err
	}
	return r.conn.exec(`DELETE FROM delivery WHERE event NOT IN (SELECT id FROM event);
		DELETE FROM attempt WHERE delivery NOT IN (SELECT id FROM delivery);
		INSERT OR IGNORE INTO chosen (id, tenant, event) SELECT chosen, coalesce(tenant, ''), id FROM event WHERE chosen IS NOT NULL`)
}

const (
	// Deliveries are counted in the short range of ids that they were created with.
	// Replayed ones are elsewhere, and aren't created again.
	selectIncomplete = `SELECT id, deliveries - n, type, coalesce(tenant, '') FROM (
			SELECT e.id, e.deliveries, e.type, e.tenant,
				(SELECT count(*) FROM delivery d WHERE d.id > e.id AND d.id <= e.last AND d.event = e.id) AS n
			FROM event e WHERE e.deliveries > 0
		) WHERE n < deliveries`
	selectTargets = `SELECT key, tenant, event_types FROM subscription WHERE deleted = 0 AND filter = ''`
	selectReached = `SELECT d.subscription FROM event e JOIN delivery d ON ` + isOfEvent + ` WHERE e.id = ?`
	// A repeated delivery is due since its event was created, which keeps the order.
	// An event whose payload was removed needs none: its deliveries were settled.
	repeatDelivery = `INSERT OR IGNORE INTO delivery (id, event, subscription, state, due, attempts, round)
		SELECT ?1, id, ?2, 0, id >> 21, 0, 0 FROM event WHERE id = ?3 AND last >= ?1 AND payload_removed IS NULL`
)

// target is a subscription to which lost deliveries may have gone.
type target struct {
	key    store.ID
	tenant string
	types  []string // event types, as patterns
}

// incompleteEvent is an event that has lost deliveries.
type incompleteEvent struct {
	id                store.ID
	missing           int64
	eventType, tenant string
}

// repeat creates lost deliveries again.
func (r *rescue) repeat() error {
	targets, err := collect(r.conn, selectTargets, nil, func(row *stmt) (target, error) {
		t := target{key: row.readID(), tenant: row.readText()}
		err := row.readJSON(&t.types)
		return t, err
	})
	if err != nil {
		return err
	}
	// They are gathered first: a query may return a row again that changes while it
	// runs.
	incomplete, err := collect(r.conn, selectIncomplete, nil, func(row *stmt) (incompleteEvent, error) {
		return incompleteEvent{row.readID(), row.readInt(), row.readText(), row.readText()}, nil
	})
	if err != nil {
		return err
	}
	for _, e := range incomplete {
		if err := r.repeatEvent(e, targets); err != nil {
			return err
		}
	}
	return nil
}

// repeatEvent creates a delivery of an event to each target that has none and
// wants it. The new ids end in the number of another node (see store.ID), so that
// no node has made them.
func (r *rescue) repeatEvent(e incompleteEvent, targets []target) error {
	reached := map[store.ID]bool{}
	if err := r.conn.query(selectReached, []any{e.id}, func(row *stmt) error {
		reached[row.readID()] = true
		return nil
	}); err != nil {
		return err
	}
	insert := r.conn.prepare(repeatDelivery)
	made := int64(0)
	id := e.id
	for _, t := range targets {
		if reached[t.key] || t.key > e.id || !t.wants(e) {
			continue
		}
		for id++; id%store.MaxNodes != 0; id++ {
			if err := insert.id(id).id(t.key).id(e.id).exec(); err != nil {
				return err
			}
			if r.conn.changes() > 0 {
				made++
				break
			}
		}
		if id%store.MaxNodes == 0 {
			break
		}
	}
	r.report.Repeated += made
	r.report.Lost.Deliveries += max(0, e.missing-made)
	return nil
}

// wants reports whether a subscription's event types match an event, by the rules
// of package outbound.
func (t target) wants(e incompleteEvent) bool {
	operational := store.Operational(e.eventType)
	if t.tenant != e.tenant && (t.tenant != "" || !operational) {
		return false
	}
	for _, pattern := range t.types {
		prefix, open := strings.CutSuffix(pattern, "*")
		if pattern == e.eventType || open && strings.HasPrefix(e.eventType, prefix) && (prefix != "" || !operational) {
			return true
		}
	}
	return false
}

// count reports what the new file contains, and how many of the subscriptions that
// deliveries refer to it doesn't.
func (r *rescue) count() error {
	kept := &r.report.Kept
	return r.read(`SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM delivery), (SELECT count(*) FROM subscription WHERE deleted = 0),
		(SELECT count(*) FROM (SELECT DISTINCT subscription FROM delivery) WHERE subscription NOT IN (SELECT key FROM subscription))`,
		&kept.Events, &kept.Deliveries, &kept.Subscriptions, &r.report.Lost.Subscriptions)
}

// read runs a query for one row of numbers.
func (r *rescue) read(sql string, into ...*int64) error {
	return r.conn.query(sql, nil, func(row *stmt) error {
		for _, v := range into {
			*v = row.readInt()
		}
		return nil
	})
}
