package sqlite

import (
	"sync"
	"time"
)

const (
	// walKept is the size to which the log is cut when it starts over.
	walKept = 64 << 20
	// checkpointEvery is how often the log is looked at while there are writes.
	checkpointEvery = 100 * time.Millisecond
)

// checkpointer copies the write-ahead log into the file, on a connection of its
// own.
type checkpointer struct {
	s     *Store
	awake chan struct{}
	quit  chan struct{}
	done  sync.WaitGroup
}

func startCheckpointer(s *Store) *checkpointer {
	return &checkpointer{s: s, awake: make(chan struct{}, 1), quit: make(chan struct{})}
}

func (c *checkpointer) wake() {
	select {
	case c.awake <- struct{}{}:
	default:
	}
}

func (c *checkpointer) stop() {
	close(c.quit)
	c.done.Wait()
}
