package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/logged"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

const (
	damagedEvents = 60 // each in its own transaction: the first half in the file, the rest in its log
	blockSize     = 4096
	logHeader     = 32
	logFrame      = blockSize + 24
)

// image is what a crash leaves of a store.
type image struct {
	files  map[string][]byte // by suffix
	older  map[string][]byte // after a quarter of the events
	subs   []*store.Subscription
	events []*store.Event
}

// crashed creates a store with pending deliveries, and copies its files while it is open.
func crashed(t testing.TB) *image {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	im := &image{files: map[string][]byte{}, older: map[string][]byte{}}
	at := time.Now().Add(-time.Hour)
	ids := store.NewIDs(0, 0, func() time.Time { at = at.Add(time.Millisecond); return at })
	s := open(t, path)
	for _, id := range []string{"crm", "erp"} {
		sub := &store.Subscription{
			Key: ids.Next(), ID: id, URL: "https://" + id + ".example.com/hooks", EventTypes: []string{"order.*"},
			Secrets: []store.Secret{{Value: "whsec_" + id}}, Active: true,
		}
		must.Do(t, s.CreateSubscription(t.Context(), sub))
		im.subs = append(im.subs, sub)
	}
	for i := range damagedEvents {
		if i == damagedEvents/2 {
			must.Do(t, s.Close()) // copies the log into the file
			s = open(t, path)
		}
		p := publication(ids, im.subs[0].Key, im.subs[1].Key)
		p.Event.Payload = fmt.Appendf(nil, `{"marker":"event-%02d","note":%q}`, i, strings.Repeat("x", 900))
		if i%5 == 0 {
			p.Event.Payload = fmt.Appendf(nil, `{"note":%q,"marker":"event-%02d"}`, strings.Repeat("y", 9000), i)
		}
		publish(t, s, p)
		im.events = append(im.events, p.Event)
		if i == damagedEvents/4 {
			readStore(t, path, im.older)
		}
	}
	readStore(t, path, im.files)
	if len(im.files["-wal"]) < 30*logFrame || len(im.files[""]) < 30*blockSize {
		t.Fatalf("the file has %d bytes, its log %d", len(im.files[""]), len(im.files["-wal"]))
	}
	return im
}

func readStore(t testing.TB, path string, into map[string][]byte) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		b := must.Get(os.ReadFile(path + suffix))(t)
		into[suffix] = b
	}
}

// damage is damage to one file of an image.
type damage struct {
	suffix string
	what   string
	file   []byte // nil: it is missing
	from   int    // the first byte that may differ
	to     int
}

// damageOf returns the damage for a seed.
func damageOf(im *image, seed uint64) damage {
	r := rand.New(rand.NewPCG(seed, 0))
	d := damage{suffix: []string{"", "", "-wal", "-wal", "-shm"}[r.IntN(5)]}
	d.file = slices.Clone(im.files[d.suffix])
	size := len(d.file)
	at := r.IntN(size)
	if r.IntN(4) == 0 {
		at = r.IntN(200) // where the headers are
	}
	n := min(1+r.IntN([]int{8, 300, 3 * blockSize}[r.IntN(3)]), size-at)
	d.from, d.to = at, at+n
	switch r.IntN(8) {
	case 0:
		d.what, d.file, d.to = "cut", d.file[:at], size
	case 1:
		d.what = "zeros"
		clear(d.file[at : at+n])
	case 2:
		d.what = "noise"
		for i := range n {
			d.file[at+i] = byte(r.Uint32())
		}
	case 3:
		d.what = "another page"
		from := r.IntN(size/blockSize) * blockSize
		at = at / blockSize * blockSize
		d.from, d.to = at, at+copy(d.file[at:], d.file[from:min(from+blockSize, size)])
	case 4:
		d.what, d.file, d.from, d.to = "missing", nil, 0, size
		if d.suffix == "" {
			d.what, d.file = "empty", []byte{}
		}
	case 5:
		d.what, d.file, d.from, d.to = "an older one", im.older[d.suffix], 0, size
	default:
		d.what = "flips"
		for range 1 + r.IntN(8) {
			i := at + r.IntN(n)
			d.file[i] ^= 1 << r.IntN(8)
		}
	}
	return d
}

func (d damage) String() string {
	return fmt.Sprintf("%s in %q from %d to %d", d.what, d.suffix, d.from, d.to)
}

// touches reports whether any of the bytes from a to b may be damaged.
func (d damage) touches(suffix string, a, b int) bool {
	return d.suffix == suffix && a < d.to && b > d.from
}

// remains reports which events are still intact: every block with a part of the event in
// the file, or every frame in the log, together with the frames around it that give its
// position. Of a log that is cut, no more is expected than after a crash.
func (d damage) remains(im *image, i int) bool {
	if i%5 == 0 { // an event on several pages is too complicated
		return false
	}
	whole := func(suffix string, header, block, before int) bool {
		for _, p := range blocksOf(im.files[suffix], im.events[i], header, block) {
			a := header + p*block
			if d.touches(suffix, max(a-before, 0), a+block) {
				return false
			}
		}
		return true
	}
	if i < damagedEvents/2 {
		return whole("", 0, blockSize, 0)
	}
	if d.what == "cut" || d.what == "missing" || d.what == "an older one" {
		return d.suffix == "-shm"
	}
	return d.from < len(im.files["-wal"])*2/3 && whole("-wal", logHeader, logFrame, logFrame)
}

// blocksOf returns the blocks of a file with a part of an event's payload.
func blocksOf(file []byte, e *store.Event, header, block int) (blocks []int) {
	marker := e.Payload[bytes.Index(e.Payload, []byte("event-")):][:8]
	for at := header; at < len(file); at += block {
		if bytes.Contains(file[at:min(at+block, len(file))], marker) {
			blocks = append(blocks, (at-header)/block)
		}
	}
	return blocks
}

// TestDamage damages a store in a thousand ways. It opens each time, within a time limit.
// What was intact can be delivered, and the store works.
func TestDamage(t *testing.T) {
	n := uint64(1000)
	if testing.Short() || raceEnabled {
		n = 120
	}
	im := crashed(t)
	salvaged, refused, kept := 0, 0, 0
	for seed := range n {
		d := damageOf(im, seed)
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			k, s, r := openDamaged(t, im, d)
			kept += k
			salvaged += s
			refused += r
		})
		if !ok {
			t.Logf("seed %d: %v", seed, d)
		}
	}
	t.Logf("%d damages: %d files were set aside, %d refused as a newer version's; %d events that were whole are there", n, salvaged, refused, kept)
}

func openDamaged(t *testing.T, im *image, d damage) (kept, salvaged, refused int) {
	path := filepath.Join(fastDir(t), "webhooks.db")
	for suffix, b := range im.files {
		if suffix == d.suffix {
			b = d.file
		}
		if suffix == d.suffix && b == nil {
			continue
		}
		must.Do(t, os.WriteFile(path+suffix, b, 0o600))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var log logged.Buffer
	s, err := sqlite.Open(ctx, sqlite.Config{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		if errors.Is(err, store.ErrForeign) && strings.Contains(err.Error(), "newer version") && d.touches("", 60, 64) {
			return 0, 0, 1
		}
		t.Fatalf("%v: got error %v", d, err)
	}
	defer s.Close()
	report := s.Salvages()
	if len(report) > 0 {
		salvaged = 1
		if _, err := os.Stat(report[0].Path); err != nil {
			t.Errorf("%v: no file was set aside: %v", d, err)
		}
		if !strings.Contains(log.String(), report[0].Path) {
			t.Errorf("%v: the file that was set aside isn't logged", d)
		}
	}
	events := map[string]*store.Event{}
	works(ctx, t, func() error {
		found, err := s.Events(ctx, store.Query{Payload: true})
		for _, e := range found {
			events[e.ID] = e
		}
		return err
	})
	var waiting map[store.ID]int
	subs := 0
	works(ctx, t, func() error {
		known, err := s.Subscriptions(ctx)
		if err != nil {
			return err
		}
		subs, waiting = len(known), map[store.ID]int{}
		var want []store.Want
		for _, k := range im.subs {
			want = append(want, store.Want{Subscription: k.Key, Limit: 1 << 20})
		}
		claimed, err := s.Claim(ctx, time.Now().Add(time.Hour), 1<<30, want)
		for _, c := range claimed {
			for _, h := range c.Deliveries {
				waiting[h.Event.Key]++
				if i := slices.IndexFunc(im.events, func(e *store.Event) bool { return e.Key == h.Event.Key }); i >= 0 {
					was, is := im.events[i], h.Event
					if !is.Damaged && (!bytes.Equal(is.Payload, was.Payload) || is.Type != was.Type || is.ContentType != was.ContentType) {
						t.Errorf("%v: event %d would be sent changed: %s %s %.60q…", d, i, is.Type, is.ContentType, is.Payload)
					}
				}
			}
		}
		return err
	})
	for i, e := range im.events {
		if !d.remains(im, i) {
			continue
		}
		found := events[e.ID]
		if found == nil || !bytes.Equal(found.Payload, e.Payload) {
			t.Errorf("%v: event %d was intact, and is lost: %+v\n%s", d, i, report, log.String())
			continue
		}
		kept++
		if waiting[e.Key] < len(im.subs) && subs == len(im.subs) {
			t.Errorf("%v: event %d has %d pending deliveries, want %d: %+v", d, i, waiting[e.Key], len(im.subs), report)
		}
	}
	_, last, err := s.Identity(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := publication(store.NewIDs(0, last, time.Now), im.subs[0].Key)
	works(ctx, t, func() error { return s.Commit(ctx, &store.Batch{Publications: []*store.Publication{p}}) })
	works(ctx, t, func() error {
		return s.Commit(ctx, &store.Batch{Settlements: []*store.Settlement{settlement(p.Deliveries[0])}})
	})
	if r, err := s.Delivery(ctx, p.Deliveries[0].ID); err != nil || r.State != store.Delivered {
		t.Errorf("%v: settling a new event: got error %v", d, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("%v: got error %v", d, err)
	}
	return kept, salvaged, refused
}

// fastDir returns a directory in memory, if there is one. A webhooks.db in it has no
// reserve, since creating that would take half of the time.
func fastDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "webhooks")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	must.Do(t, os.Mkdir(filepath.Join(dir, "webhooks.db.reserve"), 0o700))
	return dir
}

// works waits until f succeeds, since it may find damage.
func works(ctx context.Context, t *testing.T, f func() error) {
	t.Helper()
	for {
		err := f()
		if err == nil {
			return
		}
		if ctx.Err() != nil || !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrDamaged) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
