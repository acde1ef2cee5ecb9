package outbound

import "time"

// pace tells how long the attempts at a receiver occupy their slots.
type pace struct {
	slowest time.Duration // the slowest recent attempt; it decays slowly, since an attempt that hangs is only known when it ends
	lastEnd time.Time     // when the last attempt ended
}

// promptLimit is how long an attempt may take without being in the way of others.
const promptLimit = time.Second

func (p *pace) record(took time.Duration, now time.Time) {
	p.slowest, p.lastEnd = max(took, p.slowest-p.slowest/16), now
}

// prompt reports whether another attempt is likely to end soon. While attempts are
// under way, others must have ended recently: these may be hanging.
func (p *pace) prompt(underWay int, now time.Time) bool {
	if underWay > 0 && now.Sub(p.lastEnd) > promptLimit {
		return false
	}
	return p.slowest <= promptLimit
}

// tier groups lanes that compete for slots in the same way; see dispatcher.
type tier int

const (
	prompt tier = iota // attempts are likely to end soon
	slow               // they aren't
	down               // the receiver is down
	tiers              // how many there are
)

// tier returns the lane's tier. The caller holds mu.
func (l *lane) tier(now time.Time) tier {
	switch {
	case l.breaker.down():
		return down
	case !l.pace.prompt(l.running, now):
		return slow
	}
	return prompt
}
