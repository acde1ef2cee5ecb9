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
	expireEvery = time.Minute
	// keysPerMessage is how many keys fit into a notification, whose payload must be
	// shorter than 8,000 bytes.
	keysPerMessage = 128
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
	last := s.seenExpired.Load()
	expire := ms-last >= expireEvery.Milliseconds() && s.seenExpired.CompareAndSwap(last, ms)
	err := s.send(ctx, func(b *pgx.Batch) {
		b.Queue(insertSeen, names, until)
		for part := range slices.Chunk(seen, keysPerMessage) {
			b.Queue(notify, s.message(newsSeen+encodeSeen(part)))
		}
		if expire {
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

func remembered(ctx context.Context, db querier, now time.Time, most int) ([]store.Remembered, error) {
	rows, err := db.Query(ctx, selectSeen, selects.Millis(now), most)
	return collectBy(rows, err, func(row pgx.CollectableRow) (k store.Remembered, err error) {
		var key []byte
		err = row.Scan(&key, (*millis)(&k.Until))
		copy(k.Key[:], key)
		return k, err
	})
}

// Follow implements store.SharedMemory.
func (s *Store) Follow(most int, f func([]store.Remembered)) { s.follower.Store(&follower{most, f}) }

// follower has the arguments of Follow.
type follower struct {
	most int
	call func([]store.Remembered)
}

// passOn passes keys that other nodes have stored to the follower.
func (s *Store) passOn(seen []store.Remembered) {
	if f := s.follower.Load(); f != nil && len(seen) > 0 {
		f.call(seen)
	}
}

// passOnAll passes all stored keys to the follower, since messages were missed
// while nobody listened. It doesn't use startCall, which would wait for a Close that
// has begun, and that waits for the listener.
func (s *Store) passOnAll(ctx context.Context) error {
	f := s.follower.Load()
	if f == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seen, err := remembered(ctx, s.pool, time.Now(), f.most)
	s.passOn(seen)
	return err
}

// encodeSeen encodes keys with their expiry, as the arguments of newsSeen.
func encodeSeen(seen []store.Remembered) string {
	var b strings.Builder
	for _, k := range seen {
		fmt.Fprintf(&b, " %s.%d", base64.RawURLEncoding.EncodeToString(k.Key[:]), selects.Millis(k.Until))
	}
	return b.String()
}

// decodeSeen decodes the arguments of newsSeen, and skips those that it doesn't
// understand.
func decodeSeen(words []string) (seen []store.Remembered) {
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
