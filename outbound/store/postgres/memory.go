package postgres

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	insertSeen = `INSERT INTO webhooks.seen (key, until)
		SELECT key, max(until) FROM unnest($1::bytea[], $2::bigint[]) AS s (key, until) GROUP BY key ORDER BY key
		ON CONFLICT (key) DO UPDATE SET until = excluded.until`
	deleteSeen  = `DELETE FROM webhooks.seen WHERE until <= $1`
	selectSeen  = `SELECT key, until FROM (SELECT key, until FROM webhooks.seen WHERE until > $1 ORDER BY until DESC LIMIT $2) s ORDER BY until`
	forgetEvery = time.Minute
	// keysTold are the keys of a notification, which has room for 8,000 bytes.
	keysTold = 128
)

var _ store.SharedMemory = (*Store)(nil)

// Remember implements store.Memory.
func (s *Store) Remember(ctx context.Context, now time.Time, seen []store.Remembered) error {
	var names [][]byte
	var until []int64
	for i := range seen {
		names = append(names, seen[i].Key[:])
		until = append(until, selects.Millis(seen[i].Until))
	}
	ms := selects.Millis(now)
	forgot := s.forgot.Load()
	forget := ms-forgot >= forgetEvery.Milliseconds() && s.forgot.CompareAndSwap(forgot, ms)
	err := s.send(ctx, func(b *pgx.Batch) {
		b.Queue(insertSeen, names, until)
		for part := range slices.Chunk(seen, keysTold) {
			b.Queue(tell, s.told(newsSeen+spell(part)))
		}
		if forget {
			b.Queue(deleteSeen, ms)
		}
	})
	return s.fail("remembering inbound messages", err)
}

// Remembered implements store.Memory.
func (s *Store) Remembered(ctx context.Context, now time.Time, most int) (seen []store.Remembered, err error) {
	err = s.read(ctx, func(ctx context.Context, db querier) error {
		seen, err = remembered(ctx, db, now, most)
		return err
	})
	return seen, s.fail("reading which inbound messages were seen", err)
}

func remembered(ctx context.Context, db querier, now time.Time, most int) (seen []store.Remembered, err error) {
	rows, err := db.Query(ctx, selectSeen, selects.Millis(now), most)
	err = each(rows, err, func(row pgx.Rows) error {
		var key []byte
		var until int64
		err := row.Scan(&key, &until)
		k := store.Remembered{Until: selects.FromMillis(until)}
		copy(k.Key[:], key)
		seen = append(seen, k)
		return err
	})
	return seen, err
}

// Follow implements store.SharedMemory.
func (s *Store) Follow(most int, f func([]store.Remembered)) { s.follower.Store(&follower{most, f}) }

// follower is who is told what the other nodes remember, at most so much at once.
type follower struct {
	most int
	tell func([]store.Remembered)
}

// learn passes on what other nodes remember.
func (s *Store) learn(seen []store.Remembered) {
	if f := s.follower.Load(); f != nil && len(seen) > 0 {
		f.tell(seen)
	}
}

// relearn passes on all there is: it may not have been told while nobody listened.
// It is no call of the store: those wait for a Close that has begun, which waits for
// whoever listens.
func (s *Store) relearn(ctx context.Context) error {
	f := s.follower.Load()
	if f == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seen, err := remembered(ctx, s.pool, time.Now(), f.most)
	s.learn(seen)
	return err
}

// spell writes keys as they are told: the key and until when it is known.
func spell(seen []store.Remembered) string {
	var b strings.Builder
	for _, k := range seen {
		fmt.Fprintf(&b, " %s.%d", base64.RawURLEncoding.EncodeToString(k.Key[:]), selects.Millis(k.Until))
	}
	return b.String()
}

// unspell reads what spell has written, and passes over what it has not.
func unspell(words []string) (seen []store.Remembered) {
	for _, word := range words {
		name, until, _ := strings.Cut(word, ".")
		key, err := base64.RawURLEncoding.DecodeString(name)
		ms, err2 := strconv.ParseInt(until, 10, 64)
		k := store.Remembered{Until: selects.FromMillis(ms)}
		if err != nil || err2 != nil || len(key) != len(k.Key) {
			continue
		}
		copy(k.Key[:], key)
		seen = append(seen, k)
	}
	return seen
}
