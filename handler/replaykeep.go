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

// replayKeeper persists the replay memory in a store. It restores the memory
// after a restart and, if the store is shared, adds what other nodes write as
// soon as they do. Messages are written in batches after the app has responded
// to them; no request waits for that.
type replayKeeper struct {
	memory   store.Memory
	replays  *verify.Replays
	logger   *slog.Logger
	failures rate.Sometimes

	queue chan store.Remembered
	stop  chan struct{}
	done  chan struct{}
}

const (
	keepQueue      = 8192 // messages that may wait to be written; any more are not written
	keepBatch      = 256  // messages in one write
	keepRetryDelay = time.Second
)

// keepReplays restores the replay memory from a store and persists it there from
// then on.
func keepReplays(ctx context.Context, memory store.Memory, logger *slog.Logger) (*replayKeeper, error) {
	replays, err := acquireReplays()
	if err != nil {
		return nil, err
	}
	k := &replayKeeper{
		memory: memory, replays: replays, logger: logger, failures: rate.Sometimes{Interval: 10 * time.Second},
		queue: make(chan store.Remembered, keepQueue), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if shared, ok := memory.(store.SharedMemory); ok {
		shared.Follow(replayCapacity, k.restore)
	}
	// The memory may have entries from a config that didn't use this store.
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

// restore adds messages that were seen before a restart, or by another node.
func (k *replayKeeper) restore(seen []store.Remembered) {
	for _, s := range seen {
		k.replays.Restore(s.Key, s.Until)
	}
}

// keep queues a message to be written.
func (k *replayKeeper) keep(key [32]byte, until time.Time) {
	select {
	case k.queue <- store.Remembered{Key: key, Until: until}:
	default:
		k.logFailure(fmt.Errorf("the store is too slow: %d messages are waiting to be written", keepQueue))
	}
}

func (k *replayKeeper) logFailure(err error) {
	k.failures.Do(func() {
		k.logger.Error("writing the replay memory to the store: until this succeeds, other nodes, and this one after a restart, may not recognize some replays", "error", err)
	})
}

func (k *replayKeeper) run() {
	defer close(k.done)
	batch := make([]store.Remembered, 0, keepBatch)
	for {
		select {
		case m := <-k.queue:
			batch = k.gather(append(batch[:0], m))
			for !k.write(batch) && k.waitToRetry() {
			}
		case <-k.stop:
			for len(k.queue) > 0 {
				if batch = k.gather(append(batch[:0], <-k.queue)); !k.write(batch) {
					return // an unavailable store must not delay the shutdown
				}
			}
			return
		}
	}
}

// gather adds queued messages to the batch until it is full.
func (k *replayKeeper) gather(batch []store.Remembered) []store.Remembered {
	for len(batch) < keepBatch && len(k.queue) > 0 {
		batch = append(batch, <-k.queue)
	}
	return batch
}

func (k *replayKeeper) write(batch []store.Remembered) bool {
	err := k.memory.Remember(context.Background(), time.Now(), batch)
	if err != nil {
		k.logFailure(err)
	}
	return err == nil
}

// waitToRetry waits before a failed write is retried. It returns false if the
// keeper is closed meanwhile.
func (k *replayKeeper) waitToRetry() bool {
	select {
	case <-time.After(keepRetryDelay):
		return true
	case <-k.stop:
		return false
	}
}

// close writes the queued messages and releases the memory.
func (k *replayKeeper) close() error {
	close(k.stop)
	<-k.done
	return releaseReplays()
}
