package sqlite_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// disk is the disk of a store: what was synced, and each call that wasn't yet. It has the
// file and its log. A crash doesn't leave -shm.
type disk struct {
	files [2]diskFile // the database's and the log's
}

type diskFile struct {
	synced  []byte
	pending []diskCall
}

func (d *disk) call(c diskCall) {
	f := &d.files[0]
	if c.log {
		f = &d.files[1]
	}
	f.pending = append(f.pending, c)
	if c.sync {
		for _, c := range f.pending {
			f.synced = c.apply(f.synced)
		}
		f.pending = nil
	}
}

// apply makes the call on a file.
func (c diskCall) apply(file []byte) []byte {
	switch {
	case c.sync:
		return file
	case c.data == nil && c.at < int64(len(file)):
		return file[:c.at]
	}
	if grow := c.at + int64(len(c.data)) - int64(len(file)); grow > 0 {
		file = append(file, make([]byte, grow)...)
	}
	copy(file[c.at:], c.data)
	return file
}

const sector = 512

// cut simulates a power cut. Of the calls that weren't synced, all or any are lost, and so
// is a part of the last one that isn't.
func (d *disk) cut(r *rand.Rand) (database, log []byte) {
	var after [2][]byte
	for i, f := range d.files {
		after[i] = slices.Clone(f.synced)
		if r.IntN(3) == 0 {
			continue
		}
		var kept []diskCall
		for _, c := range f.pending {
			if r.IntN(3) > 0 {
				kept = append(kept, c)
			}
		}
		if n := len(kept); n > 0 && len(kept[n-1].data) > 0 {
			last := &kept[n-1]
			torn := r.IntN(len(last.data) + 1)
			if r.IntN(2) == 0 {
				torn = torn / sector * sector
			}
			last.data = last.data[:torn]
		}
		for _, c := range kept {
			after[i] = c.apply(after[i])
		}
	}
	return after[0], after[1]
}

// accepted is what a store has acknowledged.
type accepted struct {
	events   map[store.ID][]byte // their payloads
	states   map[store.ID]store.State
	underWay *store.Batch
}

func (a *accepted) add(b *store.Batch) {
	if b == nil {
		return
	}
	for _, p := range b.Publications {
		a.events[p.Event.Key] = p.Event.Payload
		for _, d := range p.Deliveries {
			a.states[d.ID] = store.Pending
		}
	}
	for _, s := range b.Settlements {
		a.states[s.Delivery] = store.Delivered
	}
}

// powerCut is a disk after a power cut, and what must be on it.
type powerCut struct {
	database, log []byte
	accepted
}

// TestPowerCut cuts the power at random moments, which loses the page cache. Everything
// that was acknowledged is there. Of a batch that wasn't, all or nothing is. No file is
// found to be damaged.
func TestPowerCut(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() || raceEnabled {
		seeds = 6
	}
	cuts, events := 0, 0
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			for _, c := range runWithCuts(t, seed) {
				cuts++
				events += len(c.events)
				c.check(t)
			}
		})
	}
	t.Logf("%d cuts, %d acknowledged events were looked for", cuts, events)
}

// runWithCuts runs a store with power cuts at random moments. The store goes on as if
// there had been none, and each cut is checked on its own.
func runWithCuts(t *testing.T, seed uint64) (cuts []powerCut) {
	const most = 12
	r := rand.New(rand.NewPCG(seed, 1))
	path := filepath.Join(fastDir(t), "webhooks.db")
	installFaults()
	s := open(t, path)
	var d disk
	for i, suffix := range []string{"", "-wal"} {
		b := must.Get(os.ReadFile(path + suffix))(t)
		d.files[i].synced = b
	}
	has := accepted{events: map[store.ID][]byte{}, states: map[store.ID]store.State{}}
	chance := rand.New(rand.NewPCG(seed, 2))
	var mu sync.Mutex
	stop := watch(func(c diskCall) {
		mu.Lock()
		defer mu.Unlock()
		d.call(c)
		if len(cuts) < most && chance.IntN(60) == 0 {
			cut := powerCut{accepted: accepted{maps.Clone(has.events), maps.Clone(has.states), has.underWay}}
			cut.database, cut.log = d.cut(chance)
			cuts = append(cuts, cut)
		}
	})
	defer stop()
	ids := store.NewIDs(0, 0, time.Now)
	var waiting []store.NewDelivery
	for range 60 {
		b := &store.Batch{}
		for range r.IntN(6) {
			p := publication(ids, 1, 2)
			p.Event.Payload = bytes.Repeat([]byte{byte('a' + r.IntN(26))}, 1<<r.IntN(15))
			b.Publications = append(b.Publications, p)
		}
		for range min(r.IntN(8), len(waiting)) {
			b.Settlements = append(b.Settlements, settlement(waiting[0]))
			waiting = waiting[1:]
		}
		mu.Lock()
		has.underWay = b
		mu.Unlock()
		commit(t, s, b)
		mu.Lock()
		has.add(b)
		has.underWay = nil
		mu.Unlock()
		for _, p := range b.Publications {
			waiting = append(waiting, p.Deliveries...)
		}
	}
	stop()
	must.Do(t, s.Close())
	return cuts
}

func commit(t *testing.T, s store.Store, b *store.Batch) {
	t.Helper()
	must.Do(t, s.Commit(t.Context(), b))
}

// check opens what a power cut has left.
func (c powerCut) check(t *testing.T) {
	t.Helper()
	path := filepath.Join(fastDir(t), "webhooks.db")
	for suffix, b := range map[string][]byte{"": c.database, "-wal": c.log, ".lock": nil} {
		must.Do(t, os.WriteFile(path+suffix, b, 0o600))
	}
	s := open(t, path)
	defer s.Close()
	if found := s.Salvages(); len(found) > 0 {
		t.Errorf("found damage after a power cut: %+v", found)
	}
	events := must.Get(s.Events(t.Context(), store.Query{Payload: true}))(t)
	records := must.Get(s.Deliveries(t.Context(), store.Query{}))(t)
	payloads, states := map[store.ID][]byte{}, map[store.ID]store.State{}
	for _, e := range events {
		payloads[e.Key] = e.Payload
	}
	for _, r := range records {
		states[r.ID] = r.State
	}
	without := func() bool { return maps.EqualFunc(payloads, c.events, bytes.Equal) && maps.Equal(states, c.states) }
	if without() {
		return
	}
	c.add(c.underWay)
	if !without() {
		t.Errorf("got %d events and %d deliveries, want %d and %d, with all of the last batch (%+v) or none of it",
			len(payloads), len(states), len(c.events), len(c.states), c.underWay)
	}
}
