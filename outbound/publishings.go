package outbound

import "sync"

// publishings counts the events that are being published: from when it is looked up
// who wants them until they are stored, or refused.
type publishings struct {
	waiting sync.Mutex // one wait at a time, or a later one would pass over what an earlier one waits for
	mu      sync.Mutex
	now     *sync.WaitGroup
}

// begin counts one, until Done.
func (p *publishings) begin() *sync.WaitGroup {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Add(1)
	return p.now
}

// wait returns when those that have begun by now have ended. It holds up none.
func (p *publishings) wait() {
	p.waiting.Lock()
	defer p.waiting.Unlock()
	p.mu.Lock()
	begun := p.now
	p.now = new(sync.WaitGroup)
	p.mu.Unlock()
	begun.Wait()
}
