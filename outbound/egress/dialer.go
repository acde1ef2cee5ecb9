package egress

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
)

// dialer makes the connections of a transport: it looks up a host, checks all
// of its addresses, and connects to one of them, directly or through a proxy.
type dialer struct {
	policy      *Policy
	own         []netip.AddrPort // see Options
	proxy       *proxy           // nil to connect directly
	resolver    *net.Resolver
	dnsTimeout  time.Duration
	dialTimeout time.Duration
}

func newDialer(o Options, config *tls.Config) *dialer {
	d := &dialer{
		policy:      cmp.Or(o.Policy, new(Policy)),
		own:         o.Own,
		resolver:    cmp.Or(o.Resolver, net.DefaultResolver),
		dnsTimeout:  cmp.Or(o.DNSTimeout, 12*time.Second),
		dialTimeout: cmp.Or(o.DialTimeout, 10*time.Second),
	}
	if o.Proxy != nil {
		d.proxy = newProxy(o.Proxy, config)
	}
	return d
}

// DialContext connects to address, a host and port. If no connection may or can
// be made, the error is or wraps a *DeniedError or a *ConnectError.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("connecting to a receiver: %w", err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: its port is not a number from 1 to 65535", host)
	}
	targets, err := d.targets(ctx, host, uint16(port))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.dialTimeout)
	defer cancel()
	stage, connect := StageConnect, d.direct(network, host)
	if d.proxy != nil {
		stage, connect = StageProxy, d.proxy.connect
	}
	conn, err := race(ctx, targets, connect)
	if err != nil {
		return nil, &ConnectError{Stage: stage, Host: host, Err: err}
	}
	return conn, nil
}

// targets returns the addresses of host, if all of them are allowed. One denied
// address rules out the host: a name with a public and a private address is a
// trick or a mistake, and which of them is reached must not be left to chance.
func (d *dialer) targets(ctx context.Context, host string, port uint16) ([]netip.AddrPort, error) {
	if err := d.policy.checkHost(host); err != nil {
		return nil, err
	}
	addrs, err := d.lookup(ctx, host)
	if err != nil {
		return nil, &ConnectError{Stage: StageDNS, Host: host, Err: err}
	}
	targets := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		targets[i] = netip.AddrPortFrom(a, port)
		if err := d.check(host, targets[i]); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

func (d *dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.dnsTimeout)
	defer cancel()
	addrs, err := d.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, cmp.Or(missingFile(), err)
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	return addrs, nil
}

// missingFile returns an error if no file descriptors are left. Resolvers may then say that
// a name is unknown, and don't wrap the cause.
func missingFile() error {
	r, w, err := os.Pipe()
	if err == nil {
		r.Close()
		w.Close()
	}
	return err
}

// check checks one address of host, with its port.
func (d *dialer) check(host string, to netip.AddrPort) error {
	if err := d.policy.CheckAddr(host, to.Addr()); err != nil {
		return err
	}
	target := unwrap(to.Addr())
	for _, own := range d.own {
		if own.Port() != to.Port() {
			continue
		}
		if own.Addr().Unmap() == target || own.Addr().IsUnspecified() && Classify(target) != Public {
			return &DeniedError{Host: host, addr: to.Addr(), verdict: Own}
		}
	}
	return nil
}

// direct returns the function that connects without a proxy. It checks the
// address once more on the socket that is about to connect, so that nothing can
// bypass the policy.
func (d *dialer) direct(network, host string) connectFunc {
	nd := net.Dialer{
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, _ := netip.ParseAddrPort(address) // if that fails, to is invalid, which is denied
			return d.check(host, to)
		},
	}
	// Not net.DialTCP, which binds each socket to a local port before it connects:
	// then two receivers can't share a port, and all receivers together use them up.
	return func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		return nd.DialContext(ctx, network, to.String())
	}
}
