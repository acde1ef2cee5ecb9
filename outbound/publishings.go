package outbound

import "sync"

// publishings counts the events that are being published: from when it is looked up
// who wants them until they are stored, or refused.
type publishings struct {
	waitMu  sync.Mutex // one wait at a time, or a later one would pass over what an earlier one waits for
	mu      sync.Mutex
	current *sync.WaitGroup
}

// add counts one, until Done.
func (p *publishings) add() *sync.WaitGroup {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current.Add(1)
	return p.current
}

// wait returns when those that have begun by now have ended. It holds up none.
func (p *publishings) wait() {
	p.waitMu.Lock()
	defer p.waitMu.Unlock()
	p.mu.Lock()
	begun := p.current
	p.current = new(sync.WaitGroup)
	p.mu.Unlock()
	begun.Wait()
}
