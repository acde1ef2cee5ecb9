package outbound

import "time"

// pace is for how long a receiver's attempts hold their slots.
type pace struct {
	takes time.Duration // the slowest of the last attempts, forgotten slowly: those that hang are known so late
	ended time.Time     // when the last one ended
}

// promptly is how long an attempt may take that is no trouble for others.
const promptly = time.Second

func (p *pace) note(took time.Duration, now time.Time) {
	p.takes, p.ended = max(took, p.takes-p.takes/16), now
}

// prompt tells whether one more attempt is likely to end soon. While some are under
// way it is if others have just ended: these may hang.
func (p *pace) prompt(underWay int, now time.Time) bool {
	if underWay > 0 && now.Sub(p.ended) > promptly {
		return false
	}
	return p.takes <= promptly
}

// standing is who takes turns with whom.
type standing int

const (
	prompt standing = iota
	slow
	down
	standings
)

// standing tells among whom the lane counts. The caller holds mu.
func (l *lane) standing(now time.Time) standing {
	switch {
	case l.breaker.down():
		return down
	case !l.pace.prompt(l.running, now):
		return slow
	}
	return prompt
}
