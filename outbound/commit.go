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
	commitBytes = 8 << 20 // bytes of events in one commit, not counting the last unit

	unsettledLimit = 4096 // outcomes that may wait while the store fails
)

// committer commits in groups: while one batch is being written to disk, the next
// one gathers. No timer delays a batch.
type committer struct {
	e       *Engine
	queue   *queue
	slots   chan struct{}         // has an element for each outcome that waits
	results sync.Pool             // pool of chan error
	full    atomic.Bool           // the store had no room for the last batch that needed some, or none at the start
	lastErr atomic.Pointer[error] // why the last batch wasn't stored; nil if it was
}

// unit is an event to store or an attempt to settle.
type unit struct {
	publication *store.Publication
	result      chan error // receives the result for the publication

	settlement *store.Settlement
	done       func(error) // called when the settlement is stored or given up
	notice     *publishing // the operational event about the settlement; may be nil
}

func newCommitter(e *Engine) *committer {
	return &committer{
		e:       e,
		queue:   newQueue(),
		slots:   make(chan struct{}, unsettledLimit),
		results: sync.Pool{New: func() any { return make(chan error, 1) }},
	}
}

// submit queues a publication to be stored; pass the channel to wait. It returns an
// error at once if too much is queued.
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

// wait waits for the result of a submitted publication. It can't be cancelled,
// since nobody would then know whether the event was stored.
func (c *committer) wait(p *store.Publication, result chan error) error {
	err := <-result
	c.queue.release(p.Event)
	c.results.Put(result)
	return err
}

// settle stores the outcome of an attempt, then calls done; with an error if it was
// given up because the engine is closing. The notice is committed together with the
// outcome, so a crash can't separate the two; only a full disk can. settle blocks
// while too many outcomes wait, but not while the engine is closing: the store may
// hang, and there are no more outcomes than attempts.
func (c *committer) settle(s *store.Settlement, notice *publishing, done func(error)) {
	select {
	case c.slots <- struct{}{}:
	case <-c.e.work.Done():
	}
	c.queue.addSettlement(unit{settlement: s, done: done, notice: notice})
}

func (c *committer) run() {
	b := &commitBatch{}
	outage := false // it was logged, and its end wasn't
	for c.gather(b) {
		b.batch.Log = c.e.deadLog.enabled()
		err := c.e.store.Commit(context.Background(), &b.batch)
		switch {
		case errors.Is(err, ErrFull):
			c.full.Store(true)
		case err == nil && len(b.batch.Publications) > 0: // an outcome alone may have used the space reserved for outcomes
			c.full.Store(false)
		}
		if err != nil {
			why := err // declared here so that a commit without an error allocates nothing
			c.lastErr.Store(&why)
			err = c.retryWithoutPublications(b, err)
		} else {
			c.lastErr.Store(nil)
		}
		c.finish(b, err, c.e.work.Err() == nil)
		switch {
		case len(b.units) > 0:
			outage = c.e.logOutage("storing the outcomes of attempts", err) || outage
			c.e.sleep(c.e.work, settleRetryDelay) // not at all while the engine is closing
		case outage && err == nil:
			outage = false
			c.e.logger().Info("the outcomes of attempts are stored again")
		}
	}
}

// commitBatch is a store.Batch with the units that it is made of.
type commitBatch struct {
	batch store.Batch
	units []unit
	bytes int
}

func (b *commitBatch) add(u unit) {
	b.units = append(b.units, u)
	if u.settlement != nil {
		b.batch.Settlements = append(b.batch.Settlements, u.settlement)
	}
	p := u.publication
	if u.notice != nil {
		p = u.notice.Publication
	}
	if p != nil {
		b.batch.Publications = append(b.batch.Publications, p)
		b.bytes += p.Event.Size()
	}
}

// gather adds queued units to those kept from the last batch. The kept ones don't
// count towards the limits, so that publishers get an answer however long the store
// fails. It returns false once the queue is closed and nothing is left.
func (c *committer) gather(b *commitBatch) bool {
	if len(b.units) == 0 && !c.queue.wait() {
		return false
	}
	// Let goroutines that are ready to submit something run first. This returns at
	// once when the machine is idle.
	runtime.Gosched()
	c.queue.take(b)
	return true
}

// finish reports the result to everyone who waits. If err isn't nil and keep is
// set, settlements are kept for the next batch. While the engine closes they
// aren't: their attempts are repeated after the next start.
func (c *committer) finish(b *commitBatch, err error, keep bool) {
	kept := b.units[:0]
	for _, u := range b.units {
		switch {
		case u.publication != nil:
			u.result <- err
		case err != nil && keep:
			if u.notice != nil {
				c.e.reassignIDs(u.notice) // a batch may have been stored in spite of the error
			}
			kept = append(kept, u)
		default:
			select {
			case <-c.slots:
			default: // it was queued without a slot while closing
			}
			c.finishNotice(u, err)
			u.done(err)
		}
	}
	clear(b.units[len(kept):])
	b.reset(kept)
}

// finishNotice ends the publishing of a unit's notice.
func (c *committer) finishNotice(u unit, err error) {
	if u.notice != nil {
		u.notice.err = err
		_, _ = c.e.completePublish(u.notice) // nobody waits for it
	}
}

// reset rebuilds the batch from units, which is a prefix of its own units.
func (b *commitBatch) reset(units []unit) {
	clear(b.batch.Publications)
	clear(b.batch.Settlements)
	b.batch.Publications, b.batch.Settlements = b.batch.Publications[:0], b.batch.Settlements[:0]
	b.units, b.bytes = units[:0], 0
	for _, u := range units {
		b.add(u)
	}
}

// retryWithoutPublications answers the publications of a batch that failed because
// the disk is full, and commits the rest again: there may still be room for
// settlements.
func (c *committer) retryWithoutPublications(b *commitBatch, err error) error {
	if len(b.batch.Publications) == 0 || len(b.batch.Settlements) == 0 || !errors.Is(err, ErrFull) {
		return err
	}
	c.finish(b, err, true)
	c.dropNotices(b, err)
	return c.e.store.Commit(context.Background(), &b.batch)
}

func (c *committer) dropNotices(b *commitBatch, err error) {
	dropped := 0
	for i, u := range b.units {
		if u.notice != nil {
			c.finishNotice(u, err)
			b.units[i].notice = nil
			dropped++
		}
	}
	b.reset(b.units)
	if dropped > 0 {
		c.e.logger().Warn("the disk has no room for the operational events about dead letters: their subscribers don't get them", "events", dropped)
	}
}

// settleRetryDelay is how long to wait before storing outcomes again.
const settleRetryDelay = 250 * time.Millisecond
