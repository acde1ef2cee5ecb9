package outbound

// bell wakes one goroutine that receives from it. A ring that nobody waits for is
// kept for the next receive.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
