package handler

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// keeper writes the replay memory into a store and reads it back after a
// restart, and at once what other nodes write where they share it. A message is
// written when the app has answered it: in the next moment, together with the
// others of that moment, and no request waits for it.
type keeper struct {
	memory   store.Memory
	replays  *verify.Replays
	logger   *slog.Logger
	failures rate.Sometimes

	queue chan store.Remembered
	stop  chan struct{}
	done  chan struct{}
}

const (
	keepQueue = 8192 // messages that may wait to be written; more are left out
	keepBatch = 256  // messages written at once
	keepAgain = time.Second
)

// keepReplays restores the replay memory from a store and keeps it there from
// now on. A store that can't remember is none the worse: nil.
func keepReplays(ctx context.Context, st store.Store, logger *slog.Logger) (*keeper, error) {
	memory, ok := st.(store.Memory)
	if !ok {
		return nil, nil
	}
	replays, err := acquireReplays()
	if err != nil {
		return nil, err
	}
	k := &keeper{
		memory: memory, replays: replays, logger: logger, failures: rate.Sometimes{Interval: 10 * time.Second},
		queue: make(chan store.Remembered, keepQueue), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if shared, ok := memory.(store.SharedMemory); ok {
		shared.Follow(replayCapacity, k.restore)
	}
	// What is known already, from a config without this store, belongs there too.
	var known []store.Remembered
	for key, until := range replays.Entries() {
		known = append(known, store.Remembered{Key: key, Until: until})
	}
	if len(known) > 0 {
		err = memory.Remember(ctx, time.Now(), known)
	}
	var seen []store.Remembered
	if err == nil {
		seen, err = memory.Remembered(ctx, time.Now(), replayCapacity)
	}
	if err != nil {
		_ = releaseReplays()
		return nil, fmt.Errorf("restoring the replay memory: %w", err)
	}
	k.restore(seen)
	go k.run()
	return k, nil
}

// restore takes up what was seen before a restart, or by another node.
func (k *keeper) restore(seen []store.Remembered) {
	for _, s := range seen {
		k.replays.Restore(s.Key, s.Until)
	}
}

// keep has a message written.
func (k *keeper) keep(key [32]byte, until time.Time) {
	if k == nil {
		return
	}
	select {
	case k.queue <- store.Remembered{Key: key, Until: until}:
	default:
		k.failed(fmt.Errorf("the store is too slow: %d wait for it", keepQueue))
	}
}

func (k *keeper) failed(err error) {
	k.failures.Do(func() {
		k.logger.Error("keeping which inbound messages were seen: until it works, a restart or another node takes some for new", "error", err)
	})
}

func (k *keeper) run() {
	defer close(k.done)
	batch := make([]store.Remembered, 0, keepBatch)
	for {
		select {
		case m := <-k.queue:
			batch = k.gather(append(batch[:0], m))
			for !k.write(batch) && k.again() {
			}
		case <-k.stop:
			for len(k.queue) > 0 {
				if batch = k.gather(append(batch[:0], <-k.queue)); !k.write(batch) {
					return // a store that is away must not hold up the end
				}
			}
			return
		}
	}
}

// gather adds the messages that wait.
func (k *keeper) gather(batch []store.Remembered) []store.Remembered {
	for len(batch) < keepBatch && len(k.queue) > 0 {
		batch = append(batch, <-k.queue)
	}
	return batch
}

func (k *keeper) write(batch []store.Remembered) bool {
	err := k.memory.Remember(context.Background(), time.Now(), batch)
	if err != nil {
		k.failed(err)
	}
	return err == nil
}

// again waits until messages are to be written once more, but not for the end.
func (k *keeper) again() bool {
	select {
	case <-time.After(keepAgain):
		return true
	case <-k.stop:
		return false
	}
}

// close writes what waits and lets go of the memory.
func (k *keeper) close() error {
	if k == nil {
		return nil
	}
	close(k.stop)
	<-k.done
	return releaseReplays()
}
