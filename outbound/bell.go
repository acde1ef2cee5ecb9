package outbound

// bell wakes whoever waits for it. One that was rung while nobody did is heard by
// the next who does.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
