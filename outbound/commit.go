package outbound

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	commitUnits = 1024    // units in one commit
	commitBytes = 8 << 20 // payload bytes in one commit, the last unit excepted

	unsettledLimit = 4096 // outcomes that may wait while the store fails
)

// commits is the group commit: while one batch is on its way to the disk, the
// next one gathers. Nobody waits for a timer.
type commits struct {
	e     *Engine
	queue *queue
	room  chan struct{} // one for each outcome that waits
	done  sync.Pool     // of chan error
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
		e:     e,
		queue: newQueue(),
		room:  make(chan struct{}, unsettledLimit),
		done:  sync.Pool{New: func() any { return make(chan error, 1) }},
	}
}

// submit has a publication stored, which wait tells. Where too much is waiting
// it is refused at once.
func (c *commits) submit(ctx context.Context, p *store.Publication) (chan error, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	result := c.done.Get().(chan error)
	if err := c.queue.publish(unit{publication: p, result: result}); err != nil {
		c.done.Put(result)
		return nil, err
	}
	return result, nil
}

// wait returns when what was submitted is stored, or isn't. It doesn't give up
// before, since then nobody would know which of the two.
func (c *commits) wait(p *store.Publication, result chan error) error {
	err := <-result
	c.queue.done(p.Event)
	c.done.Put(result)
	return err
}

// settle stores the outcome of an attempt, and calls settled once it is
// there, or with an error when it was given up because the engine ends. It
// blocks while too many outcomes wait.
func (c *commits) settle(s *store.Settlement, settled func(error)) {
	c.room <- struct{}{}
	c.queue.settle(unit{settlement: s, settled: settled})
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
	if len(g.units) == 0 && !c.queue.wait() {
		return false
	}
	// Under load, whoever has something to store and needs only its turn on the
	// processor gets it first. An idle machine returns at once.
	runtime.Gosched()
	c.queue.take(g)
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
