package outbound

import "time"

// pace is for how long a receiver's attempts hold their slots.
type pace struct {
	slowest time.Duration // the slowest of the last attempts, forgotten slowly: those that hang are known so late
	lastEnd time.Time     // when the last one ended
}

// promptLimit is how long an attempt may take that is no trouble for others.
const promptLimit = time.Second

func (p *pace) record(took time.Duration, now time.Time) {
	p.slowest, p.lastEnd = max(took, p.slowest-p.slowest/16), now
}

// prompt tells whether one more attempt is likely to end soon. While some are under
// way it is if others have just ended: these may hang.
func (p *pace) prompt(underWay int, now time.Time) bool {
	if underWay > 0 && now.Sub(p.lastEnd) > promptLimit {
		return false
	}
	return p.slowest <= promptLimit
}

// tier is who takes turns with whom.
type tier int

const (
	prompt tier = iota
	slow
	down
	tiers
)

// tier tells among whom the lane counts. The caller holds mu.
func (l *lane) tier(now time.Time) tier {
	switch {
	case l.breaker.down():
		return down
	case !l.pace.prompt(l.running, now):
		return slow
	}
	return prompt
}
