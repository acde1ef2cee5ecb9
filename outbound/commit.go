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

// committer is the group commit: while one batch is on its way to the disk, the
// next one gathers. Nobody waits for a timer.
type committer struct {
	e       *Engine
	queue   *queue
	slots   chan struct{}         // one for each outcome that waits
	results sync.Pool             // of chan error
	full    atomic.Bool           // the last batch that needed room found none
	lastErr atomic.Pointer[error] // why the last batch could not be stored, nil where it was
}

// unit is an event to store or an attempt to settle.
type unit struct {
	publication *store.Publication
	result      chan error // of the publication

	settlement *store.Settlement
	done       func(error) // when it is stored, or given up
	notice     *publishing // the event that tells of it, or nil
}

func newCommitter(e *Engine) *committer {
	return &committer{
		e:       e,
		queue:   newQueue(),
		slots:   make(chan struct{}, unsettledLimit),
		results: sync.Pool{New: func() any { return make(chan error, 1) }},
	}
}

// submit has a publication stored, which wait tells. Where too much is waiting
// it is refused at once.
func (c *committer) submit(ctx context.Context, p *store.Publication) (chan error, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	result := c.results.Get().(chan error)
	if err := c.queue.addPublication(unit{publication: p, result: result}); err != nil {
		c.results.Put(result)
		return nil, err
	}
	return result, nil
}

// wait returns when what was submitted is stored, or isn't. It doesn't give up
// before, since then nobody would know which of the two.
func (c *committer) wait(p *store.Publication, result chan error) error {
	err := <-result
	c.queue.release(p.Event)
	c.results.Put(result)
	return err
}

// settle stores the outcome of an attempt, and calls settled once it is
// there, or with an error when it was given up because the engine ends. The
// event that tells of it is stored with it, so that a crash parts the two only
// if the disk is full. It blocks while too many outcomes wait, but not when the
// engine ends: the store may hang, and no more come than there are attempts.
func (c *committer) settle(s *store.Settlement, telling *publishing, settled func(error)) {
	select {
	case c.slots <- struct{}{}:
	case <-c.e.work.Done():
	}
	c.queue.addSettlement(unit{settlement: s, done: settled, notice: telling})
}

func (c *committer) run() {
	g := &commitBatch{}
	for c.gather(g) {
		g.batch.Log = c.e.deadLog.enabled()
		err := c.e.store.Commit(context.Background(), &g.batch)
		switch {
		case errors.Is(err, ErrFull):
			c.full.Store(true)
		case err == nil && len(g.batch.Publications) > 0: // a reserve is for outcomes alone
			c.full.Store(false)
		}
		if err != nil {
			why := err // here, where it costs those that are stored no allocation
			c.lastErr.Store(&why)
			err = c.retryWithoutPublications(g, err)
		} else {
			c.lastErr.Store(nil)
		}
		c.finish(g, err, c.e.work.Err() == nil)
		if len(g.units) > 0 {
			c.backoff(err)
		}
	}
}

// commitBatch is a batch with the units that it is made of.
type commitBatch struct {
	batch store.Batch
	units []unit
	bytes int
}

func (g *commitBatch) add(u unit) {
	g.units = append(g.units, u)
	if u.settlement != nil {
		g.batch.Settlements = append(g.batch.Settlements, u.settlement)
	}
	p := u.publication
	if u.notice != nil {
		p = u.notice.Publication
	}
	if p != nil {
		g.batch.Publications = append(g.batch.Publications, p)
		g.bytes += p.Event.Size()
	}
}

// gather adds what waits to what was left of the last batch. What was left
// doesn't count, so that events are answered however long the store fails. It
// reports false when there is nothing, and never will be.
func (c *committer) gather(g *commitBatch) bool {
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
func (c *committer) finish(g *commitBatch, err error, keep bool) {
	kept := g.units[:0]
	for _, u := range g.units {
		switch {
		case u.publication != nil:
			u.result <- err
		case err != nil && keep:
			if u.notice != nil {
				c.e.reassignIDs(u.notice) // an error may come after all is stored
			}
			kept = append(kept, u)
		default:
			select {
			case <-c.slots:
			default: // it came at the end
			}
			c.finishNotice(u, err)
			u.done(err)
		}
	}
	clear(g.units[len(kept):])
	g.reset(kept)
}

// finishNotice ends the publishing of the event that tells of an outcome.
func (c *committer) finishNotice(u unit, err error) {
	if u.notice != nil {
		u.notice.err = err
		_, _ = c.e.completePublish(u.notice) // nobody waits for it
	}
}

// reset makes the batch of these units, which are the first of its own.
func (g *commitBatch) reset(units []unit) {
	clear(g.batch.Publications)
	clear(g.batch.Settlements)
	g.batch.Publications, g.batch.Settlements = g.batch.Publications[:0], g.batch.Settlements[:0]
	g.units, g.bytes = units[:0], 0
	for _, u := range units {
		g.add(u)
	}
}

// retryWithoutPublications answers the publications of a failed batch, and tries once more
// without them: on a full disk there may still be room to settle.
func (c *committer) retryWithoutPublications(g *commitBatch, err error) error {
	if len(g.batch.Publications) == 0 || len(g.batch.Settlements) == 0 || !errors.Is(err, ErrFull) {
		return err
	}
	c.finish(g, err, true)
	c.dropNotices(g, err)
	return c.e.store.Commit(context.Background(), &g.batch)
}

// dropNotices takes the events that tell of outcomes out of a batch.
func (c *committer) dropNotices(g *commitBatch, err error) {
	dropped := 0
	for i, u := range g.units {
		if u.notice != nil {
			c.finishNotice(u, err)
			g.units[i].notice = nil
			dropped++
		}
	}
	g.reset(g.units)
	if dropped > 0 {
		c.e.config.Load().Logger.Warn("the disk has no room for events that tell of dead letters: those who subscribe to them don't get them", "events", dropped)
	}
}

// settleRetryDelay is how long to wait before outcomes are stored once more.
const settleRetryDelay = 250 * time.Millisecond

// backoff waits after a failed commit, but not when the engine ends.
func (c *committer) backoff(err error) {
	c.e.logOutage("storing the outcomes of attempts", err)
	c.e.sleep(c.e.work, settleRetryDelay)
}
