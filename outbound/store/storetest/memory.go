package storetest

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// memoryTests are for stores that implement store.Memory.
var memoryTests = []test{
	{"keys are known until their time is over, over a restart", func(b *bench) {
		if _, ok := b.Store.(store.Memory); !ok {
			return
		}
		key := func(n byte) store.Remembered {
			return store.Remembered{Key: [32]byte{n}, Until: b.clock.Add(time.Duration(n) * time.Minute)}
		}
		one, two, three, nine := key(1), key(2), key(3), key(9)
		remembered(b, b.clock)
		remember(b, b.clock, three, one, two)
		remember(b, b.clock, two) // the second time changes nothing
		remembered(b, b.clock, one, two, three)
		remembered(b, b.clock.Add(time.Minute), two, three)
		b.reopen()
		remembered(b, b.clock, one, two, three)
		remember(b, b.clock.Add(2*time.Minute), nine)
		remembered(b, b.clock, three, nine) // those that had expired are dropped
		last := must.Get(b.Store.(store.Memory).Remembered(b.ctx(), b.clock, 1))(b)
		equal(b, "at most one", len(last), 1)
		equal(b, "the one that is over last", last[0].Key, nine.Key)
	}},
}

func remember(b *bench, now time.Time, keys ...store.Remembered) {
	b.Helper()
	b.check(b.Store.(store.Memory).Remember(b.ctx(), now, keys))
}

func remembered(b *bench, now time.Time, want ...store.Remembered) {
	b.Helper()
	got := must.Get(b.Store.(store.Memory).Remembered(b.ctx(), now, 9))(b)
	equal(b, "how many are remembered", len(got), len(want))
	for i := range want {
		equal(b, "key", got[i].Key, want[i].Key)
		equal(b, "until", got[i].Until.UnixMilli(), want[i].Until.UnixMilli())
	}
}
