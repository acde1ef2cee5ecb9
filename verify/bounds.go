package verify

// Bounds are what a scheme's signature protects.
type Bounds struct {
	// Time: a signed time bounds how old a message may be.
	Time bool
	// Body: the whole body is covered.
	Body bool
	// Message: the MAC tells one message from another, so that a replay can be
	// known by it. Where it is false, two messages can have the same MAC, and a
	// replay memory would drop the second.
	Message bool
}

// Replay says whether a replay memory bounds replays: for as long as a message
// could be sent again its key can be kept.
func (b Bounds) Replay() bool { return b.Time && b.Message }

// Bounds are what the scheme's signature protects; nothing where the scheme is
// not valid.
func (s Scheme) Bounds() Bounds {
	p, err := compile(s)
	if err != nil {
		return Bounds{}
	}
	return p.bounds()
}

func (p *plan) bounds() Bounds {
	b := Bounds{Time: p.scheme.Timestamp.Past >= 0, Body: true, Message: true}
	for _, t := range p.contents() {
		b.Time = b.Time && t.signed.Timestamp
		b.Body = b.Body && t.signed.Body
		b.Message = b.Message && (t.signed.Body || t.signed.ID)
	}
	return b
}
