package outbound

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	commitQueue = 4096    // units that may wait for the next commit
	commitUnits = 1024    // units in one commit
	commitBytes = 8 << 20 // payload bytes in one commit, the last unit excepted

	unsettledLimit = 4096 // outcomes that may wait while the store fails
)

// commits is the group commit: while one batch is on its way to the disk, the
// next one gathers. Nobody waits for a timer.
type commits struct {
	e    *Engine
	in   chan unit
	room chan struct{} // one for each outcome that waits
	done sync.Pool     // of chan error

	mu     sync.RWMutex // guards closed, so that nothing is sent to a closed channel
	closed bool
}

// unit is an event to store or an attempt to settle.
type unit struct {
	publication *store.Publication
	result      chan error // of the publication

	settlement *store.Settlement
	settled    func(error) // when it is stored, or given up
}

func newCommits(e *Engine) *commits {
	return &commits{
		e:    e,
		in:   make(chan unit, commitQueue),
		room: make(chan struct{}, unsettledLimit),
		done: sync.Pool{New: func() any { return make(chan error, 1) }},
	}
}

// submit has a publication stored, which wait tells. Where too much is waiting
// it is refused at once.
func (c *commits) submit(ctx context.Context, p *store.Publication) (chan error, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	result := c.done.Get().(chan error)
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, fmt.Errorf("%w: it is being closed", ErrUnavailable)
	}
	select {
	case c.in <- unit{publication: p, result: result}:
		return result, nil
	default:
		return nil, fmt.Errorf("%w: too many events wait to be stored", ErrUnavailable)
	}
}

// wait returns when what was submitted is stored, or isn't. It doesn't give up
// before, since then nobody would know which of the two.
func (c *commits) wait(result chan error) error {
	err := <-result
	c.done.Put(result)
	return err
}

// settle stores the outcome of an attempt, and calls settled once it is
// there, or with an error when it was given up because the engine ends. It
// blocks while too many outcomes wait.
func (c *commits) settle(s *store.Settlement, settled func(error)) {
	c.room <- struct{}{}
	c.in <- unit{settlement: s, settled: settled}
}

// close lets run end when everything that waits is stored. Nothing may be
// settled from now on.
func (c *commits) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.in)
	}
}

func (c *commits) run() {
	g := &gathering{}
	for c.gather(g) {
		err := c.e.store.Commit(context.Background(), &g.batch)
		if err != nil {
			err = c.refuse(g, err)
		}
		c.finish(g, err, c.e.work.Err() == nil)
		if len(g.units) > 0 {
			c.backoff(err)
		}
	}
}

// gathering is a batch with the units that it is made of.
type gathering struct {
	batch store.Batch
	units []unit
	bytes int
}

func (g *gathering) add(u unit) {
	g.units = append(g.units, u)
	if u.publication != nil {
		g.batch.Publications = append(g.batch.Publications, u.publication)
		g.bytes += len(u.publication.Event.Payload)
	} else {
		g.batch.Settlements = append(g.batch.Settlements, u.settlement)
	}
}

// gather adds what waits to what was left of the last batch. What was left
// doesn't count, so that events are answered however long the store fails. It
// reports false when there is nothing, and never will be.
func (c *commits) gather(g *gathering) bool {
	most := len(g.units) + commitUnits
	if len(g.units) == 0 {
		u, ok := <-c.in
		if !ok {
			return false
		}
		g.add(u)
	}
	// Under load, whoever has something to store and needs only its turn on the
	// processor gets it first. An idle machine returns at once.
	runtime.Gosched()
	for len(g.units) < most && g.bytes < commitBytes {
		select {
		case u, ok := <-c.in:
			if !ok {
				return true
			}
			g.add(u)
		default:
			return true
		}
	}
	return true
}

// finish tells everybody. After an error it keeps the settlements for the next
// batch, but not when the engine ends: their attempts are repeated after the
// next start.
func (c *commits) finish(g *gathering, err error, keep bool) {
	kept := g.units[:0]
	for _, u := range g.units {
		switch {
		case u.publication != nil:
			u.result <- err
		case err != nil && keep:
			kept = append(kept, u)
		default:
			<-c.room
			u.settled(err)
		}
	}
	clear(g.units[len(kept):])
	g.units, g.bytes = kept, 0
	clear(g.batch.Publications)
	clear(g.batch.Settlements)
	g.batch.Publications, g.batch.Settlements = g.batch.Publications[:0], g.batch.Settlements[:0]
	for _, u := range kept {
		g.batch.Settlements = append(g.batch.Settlements, u.settlement)
	}
}

// refuse answers the publications of a failed batch, and tries once more
// without them: on a full disk there may still be room to settle.
func (c *commits) refuse(g *gathering, err error) error {
	settlements := len(g.batch.Settlements)
	if len(g.batch.Publications) == 0 || settlements == 0 || !errors.Is(err, ErrFull) {
		return err
	}
	c.finish(g, err, true)
	return c.e.store.Commit(context.Background(), &g.batch)
}

// settleAgain is how long to wait before outcomes are stored once more.
const settleAgain = 250 * time.Millisecond

// backoff waits after a failed commit, but not when the engine ends.
func (c *commits) backoff(err error) {
	c.e.config.Load().Logger.Error("storing the outcomes of attempts; trying again", "error", err)
	c.e.pause(c.e.work, settleAgain)
}
