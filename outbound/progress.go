package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

// step is a stage of a request, in this order.
type step int32

const (
	stepNone step = iota
	stepDNS       // looking up the host name, unless it is an address
	stepConnect
	stepTLS
	stepResponse // waiting for the response
)

// progress tracks the step of a request, because net/http doesn't say at which one
// a request timed out.
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

// reach moves on to a step, never back: a connection that is still being made may
// have been overtaken by another one.
func (p *progress) reach(s step) {
	for {
		now := p.step.Load()
		if now >= int32(s) || p.step.CompareAndSwap(now, int32(s)) {
			return
		}
	}
}

// wrapTimeout adds the step to an error that is a timeout.
func (p *progress) wrapTimeout(err error) error {
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		return err
	}
	return &stepTimeoutError{step(p.step.Load()), err}
}

// stepTimeoutError is a timeout with the step at which it happened.
type stepTimeoutError struct {
	step  step
	cause error
}

func (e *stepTimeoutError) Error() string {
	return fmt.Sprintf("%s: %v", e.step.timeout().message, e.cause)
}

func (e *stepTimeoutError) Unwrap() error { return e.cause }

// timeout returns the outcome of a request that timed out at this step.
func (s step) timeout() outcome {
	switch s {
	case stepDNS:
		return outcome{class: ClassDNS, message: "the host name was not resolved in time"}
	case stepNone, stepConnect:
		return outcome{class: ClassTimeout, message: "no connection in time"}
	case stepTLS:
		return outcome{class: ClassTimeout, message: "the TLS handshake was not completed in time"}
	}
	return outcome{class: ClassTimeout, message: "no response in time"}
}
