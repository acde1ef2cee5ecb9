package outbound

import "sync"

// publishings counts the events whose publishing is under way, from the lookup of
// matching subscriptions until they are stored or refused.
type publishings struct {
	waitMu  sync.Mutex // held by wait: a second caller would otherwise miss what the first waits for
	mu      sync.Mutex
	current *sync.WaitGroup
}

// add counts one. The caller calls Done on the result when it has ended.
func (p *publishings) add() *sync.WaitGroup {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current.Add(1)
	return p.current
}

// wait waits for those that are under way now. New ones aren't held up.
func (p *publishings) wait() {
	p.waitMu.Lock()
	defer p.waitMu.Unlock()
	p.mu.Lock()
	begun := p.current
	p.current = new(sync.WaitGroup)
	p.mu.Unlock()
	begun.Wait()
}
