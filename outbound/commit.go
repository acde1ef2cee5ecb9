package outbound

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	commitUnits = 1024    // units in one commit
	commitBytes = 8 << 20 // bytes of events in one commit, the last unit excepted

	unsettledLimit = 4096 // outcomes that may wait while the store fails
)

// commits is the group commit: while one batch is on its way to the disk, the
// next one gathers. Nobody waits for a timer.
type commits struct {
	e     *Engine
	queue *queue
	room  chan struct{}         // one for each outcome that waits
	done  sync.Pool             // of chan error
	full  atomic.Bool           // the last batch that needed room found none
	fails atomic.Pointer[error] // why the last batch could not be stored, nil where it was
}

// unit is an event to store or an attempt to settle.
type unit struct {
	publication *store.Publication
	result      chan error // of the publication

	settlement *store.Settlement
	settled    func(error) // when it is stored, or given up
	telling    *publishing // the event that tells of it, or nil
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
// there, or with an error when it was given up because the engine ends. The
// event that tells of it is stored with it, so that a crash parts the two only
// if the disk is full. It blocks while too many outcomes wait, but not when the
// engine ends: the store may hang, and no more come than there are attempts.
func (c *commits) settle(s *store.Settlement, telling *publishing, settled func(error)) {
	select {
	case c.room <- struct{}{}:
	case <-c.e.work.Done():
	}
	c.queue.settle(unit{settlement: s, settled: settled, telling: telling})
}

func (c *commits) run() {
	g := &gathering{}
	for c.gather(g) {
		g.batch.Log = c.e.deadLog.wanted()
		err := c.e.store.Commit(context.Background(), &g.batch)
		switch {
		case errors.Is(err, ErrFull):
			c.full.Store(true)
		case err == nil && len(g.batch.Publications) > 0: // a reserve is for outcomes alone
			c.full.Store(false)
		}
		if err != nil {
			why := err // here, where it costs those that are stored no allocation
			c.fails.Store(&why)
			err = c.refuse(g, err)
		} else {
			c.fails.Store(nil)
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
	if u.settlement != nil {
		g.batch.Settlements = append(g.batch.Settlements, u.settlement)
	}
	p := u.publication
	if u.telling != nil {
		p = u.telling.Publication
	}
	if p != nil {
		g.batch.Publications = append(g.batch.Publications, p)
		g.bytes += p.Event.Size()
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
			if u.telling != nil {
				c.e.rename(u.telling) // an error may come after all is stored
			}
			kept = append(kept, u)
		default:
			select {
			case <-c.room:
			default: // it came at the end
			}
			c.told(u, err)
			u.settled(err)
		}
	}
	clear(g.units[len(kept):])
	g.restart(kept)
}

// told ends the publishing of the event that tells of an outcome.
func (c *commits) told(u unit, err error) {
	if u.telling != nil {
		u.telling.err = err
		_, _ = c.e.conclude(u.telling) // nobody waits for it
	}
}

// restart makes the batch of these units, which are the first of its own.
func (g *gathering) restart(units []unit) {
	clear(g.batch.Publications)
	clear(g.batch.Settlements)
	g.batch.Publications, g.batch.Settlements = g.batch.Publications[:0], g.batch.Settlements[:0]
	g.units, g.bytes = units[:0], 0
	for _, u := range units {
		g.add(u)
	}
}

// refuse answers the publications of a failed batch, and tries once more
// without them: on a full disk there may still be room to settle.
func (c *commits) refuse(g *gathering, err error) error {
	if len(g.batch.Publications) == 0 || len(g.batch.Settlements) == 0 || !errors.Is(err, ErrFull) {
		return err
	}
	c.finish(g, err, true)
	c.drop(g, err)
	return c.e.store.Commit(context.Background(), &g.batch)
}

// drop takes the events that tell of outcomes out of a batch.
func (c *commits) drop(g *gathering, err error) {
	dropped := 0
	for i, u := range g.units {
		if u.telling != nil {
			c.told(u, err)
			g.units[i].telling = nil
			dropped++
		}
	}
	g.restart(g.units)
	if dropped > 0 {
		c.e.config.Load().Logger.Warn("the disk has no room for events that tell of dead letters: those who subscribe to them don't get them", "events", dropped)
	}
}

// settleAgain is how long to wait before outcomes are stored once more.
const settleAgain = 250 * time.Millisecond

// backoff waits after a failed commit, but not when the engine ends.
func (c *commits) backoff(err error) {
	c.e.tellOutage("storing the outcomes of attempts", err)
	c.e.pause(c.e.work, settleAgain)
}
