package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// DeniedError means that a delivery may not go to its host. The text is the same
// for every host, so that it can be shown to whoever chose the URL: it reveals
// neither an address nor whether anything listens there.
type DeniedError struct {
	Host string // as in the URL

	addr    netip.Addr
	verdict Verdict
}

func (e *DeniedError) Error() string {
	return "deliveries to this host are not allowed: use a host with public addresses only, or have the server's configuration allow it: egress { allow … }"
}

// Detail returns the address and the verdict, for the operator's log alone.
func (e *DeniedError) Detail() string {
	if !e.addr.IsValid() {
		return fmt.Sprintf("host %q: %s", e.Host, e.verdict)
	}
	return fmt.Sprintf("host %q has the address %s: %s", e.Host, e.addr, e.verdict)
}

// The stages at which a connection can fail.
const (
	StageDNS     = "dns"
	StageConnect = "connect"
	StageProxy   = "proxy"
)

// ConnectError means that a connection could not be made. The text can be shown to
// whoever chose the URL: it has the host and a reason, but no internal address (of
// a name server, the proxy or an opened private host). Unwrap returns the cause,
// which may have those.
type ConnectError struct {
	Stage string // StageDNS, StageConnect or StageProxy
	Host  string // as in the URL
	Err   error
}

func (e *ConnectError) Error() string {
	switch e.Stage {
	case StageDNS:
		return fmt.Sprintf("looking up %s: %s", e.Host, reason(e.Err, "the name server failed"))
	case StageProxy:
		return fmt.Sprintf("connecting to %s through the egress proxy: %s", e.Host, reason(e.Err, "the proxy failed"))
	default:
		return fmt.Sprintf("connecting to %s: %s", e.Host, reason(e.Err, "failed"))
	}
}

func (e *ConnectError) Unwrap() error { return e.Err }

// Timeout implements net.Error, for callers that tell timeouts apart.
func (e *ConnectError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// Temporary implements net.Error. Nothing should rely on it.
func (e *ConnectError) Temporary() bool { return e.Timeout() }

// reason describes an error in words that contain no address. fallback is for an
// error that it doesn't know.
func reason(err error, fallback string) string {
	var (
		dns     *net.DNSError
		errno   syscall.Errno
		refused *refusedError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &refused):
		return refused.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &errno):
		return errno.Error()
	}
	return fallback
}
