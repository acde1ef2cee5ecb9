package must

import (
	"errors"
	"time"
)

// Patience is how long a test waits for something that must happen. It only keeps a broken
// test from hanging: it is long enough for a slow machine, and measures nothing.
const Patience = 3 * time.Minute

// Eventually waits until f returns true, for conditions that nothing signals. what names
// the condition in the failure message.
func Eventually(t T, what string, f func() bool) {
	t.Helper()
	Succeed(t, what, func() error {
		if f() {
			return nil
		}
		return errors.New("not yet")
	})
}

// Succeed is Eventually for f that returns what is still wrong.
func Succeed(t T, what string, f func() error) {
	t.Helper()
	end, pause := time.Now().Add(Patience), time.Millisecond
	for err := f(); err != nil; err = f() {
		if time.Now().After(end) {
			t.Fatal("timed out waiting for "+what+":", err)
		}
		time.Sleep(pause)
		pause = min(2*pause, 20*time.Millisecond)
	}
}

// Receive waits for a value from c. what names it in the failure message.
func Receive[V any](t T, c <-chan V, what string) V {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Patience):
		t.Fatal("timed out waiting for", what)
		panic("unreachable")
	}
}
