package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

// step is what a request has come to, in this order.
type step int32

const (
	stepNone step = iota
	stepDNS       // looking the host name up, where it is one
	stepConnect
	stepTLS
	stepResponse // waiting for it
)

// progress follows a request: net/http doesn't tell what it was at when its time
// was up.
type progress struct{ step atomic.Int32 }

func (p *progress) follow(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { p.reach(stepDNS) },
		DNSDone: func(found httptrace.DNSDoneInfo) {
			if found.Err == nil {
				p.reach(stepConnect)
			}
		},
		TLSHandshakeStart: func() { p.reach(stepTLS) },
		GotConn:           func(httptrace.GotConnInfo) { p.reach(stepResponse) },
	})
}

// reach never goes back: a connection that is still being made may have been
// outrun by another one.
func (p *progress) reach(s step) {
	for {
		now := p.step.Load()
		if now >= int32(s) || p.step.CompareAndSwap(now, int32(s)) {
			return
		}
	}
}

// wrapTimeout makes a lateError of an error that says that the time was up.
func (p *progress) wrapTimeout(err error) error {
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		return err
	}
	return &stepTimeoutError{step(p.step.Load()), err}
}

// stepTimeoutError says at what step the time for a request was up.
type stepTimeoutError struct {
	step  step
	cause error
}

func (e *stepTimeoutError) Error() string {
	return fmt.Sprintf("%s: %v", e.step.timeout().message, e.cause)
}

func (e *stepTimeoutError) Unwrap() error { return e.cause }

// timeout is the outcome of a request whose time was up there.
func (s step) timeout() outcome {
	switch s {
	case stepDNS:
		return outcome{class: ClassDNS, message: "the host name was not resolved in time"}
	case stepNone, stepConnect:
		return outcome{class: ClassTimeout, message: "no connection in time"}
	case stepTLS:
		return outcome{class: ClassTimeout, message: "the TLS handshake was not completed in time"}
	}
	return outcome{class: ClassTimeout, message: "no answer in time"}
}
