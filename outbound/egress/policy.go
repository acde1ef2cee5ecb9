package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Policy says which hosts and addresses deliveries may reach. It is immutable
// and safe for concurrent use. The zero value allows public addresses only.
type Policy struct {
	allow, deny rules
}

// rules are the entries of one list of a policy, by kind.
type rules struct {
	prefixes []netip.Prefix
	names    map[string]bool
	suffixes []string // ".example.com" for *.example.com
}

// NewPolicy returns a policy made of two lists. An entry is a range
// (10.20.0.0/16), a single address (10.20.0.5, fd12::5), a host name
// (crm.example.com, app) or all names below one (*.example.com, at any depth).
//
// An entry of allow opens addresses that are denied by default: a range or an
// address opens itself, a name opens every address that the name has. Neither a
// range nor a name opens the addresses of cloud metadata services, or IPv6
// addresses that wrap an IPv4 address: those must be allowed one by one. An
// entry of deny takes precedence over every entry of allow.
func NewPolicy(allow, deny []string) (*Policy, error) {
	p := new(Policy)
	for _, entry := range allow {
		if err := p.allow.add(entry); err != nil {
			return nil, fmt.Errorf("parsing egress allow %q: %w", entry, err)
		}
	}
	for _, prefix := range p.allow.prefixes {
		if err := checkOpens(prefix); err != nil {
			return nil, fmt.Errorf("parsing egress allow %q: %w", prefix, err)
		}
	}
	for _, entry := range deny {
		if err := p.deny.add(entry); err != nil {
			return nil, fmt.Errorf("parsing egress deny %q: %w", entry, err)
		}
	}
	return p, nil
}

// CheckAddr checks whether a delivery to host may be sent to a, one of its
// addresses. It returns nil or a *DeniedError.
func (p *Policy) CheckAddr(host string, a netip.Addr) error {
	if v := p.judge(host, a); !v.Allowed() {
		return &DeniedError{Host: host, addr: a, verdict: v}
	}
	return nil
}

// checkHost checks whether the host's name alone rules out a delivery.
func (p *Policy) checkHost(host string) error {
	if p.deny.hasName(host) {
		return &DeniedError{Host: host, verdict: Closed}
	}
	return nil
}

// judge returns the verdict on an address of host under the policy.
func (p *Policy) judge(host string, a netip.Addr) Verdict {
	verdict := Classify(a)
	switch verdict {
	case Invalid, Zoned, Unspecified: // nothing opens these
		return verdict
	}
	target := unwrap(a)
	switch {
	case p.deny.hasName(host), p.deny.hasAddr(target), p.deny.hasAddr(a):
		return Closed
	case p.allow.hasExactly(target):
		return Opened
	case verdict.guarded():
		return verdict
	case p.allow.hasAddr(target), p.allow.hasName(host):
		return Opened
	}
	return verdict
}

func (r *rules) hasAddr(a netip.Addr) bool {
	return slices.ContainsFunc(r.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// hasExactly reports whether an entry is this single address.
func (r *rules) hasExactly(a netip.Addr) bool {
	return slices.Contains(r.prefixes, netip.PrefixFrom(a, a.BitLen()))
}

func (r *rules) hasName(host string) bool {
	host = canonical(host)
	return r.names[host] || slices.ContainsFunc(r.suffixes, func(s string) bool { return strings.HasSuffix(host, s) })
}

// add parses an entry and adds it. Its errors are phrased to follow the entry.
func (r *rules) add(entry string) error {
	if strings.Contains(entry, "://") {
		return errors.New("is a URL: write the host name alone")
	}
	if strings.Contains(entry, "/") {
		prefix, err := parsePrefix(entry)
		if err != nil {
			return err
		}
		r.prefixes = append(r.prefixes, prefix)
		return nil
	}
	if a, err := netip.ParseAddr(entry); err == nil {
		if a.Zone() != "" {
			return fmt.Errorf("has a zone: write the address without %q", "%"+a.Zone())
		}
		a = a.Unmap()
		r.prefixes = append(r.prefixes, netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	name, wildcard := strings.CutPrefix(entry, "*.")
	switch {
	case entry == "*":
		return errors.New("is too much for one entry: write 0.0.0.0/0 and ::/0 for all addresses, or *.example.com for the names below one")
	case strings.Contains(name, "*"):
		return errors.New("has its * in the wrong place: only the first label can be one, as in *.example.com")
	case strings.Contains(entry, ":"):
		return errors.New("has a port or is not an address: write the host or the address alone, without port or brackets")
	case strings.HasPrefix(entry, "private_ranges"):
		return errors.New("is not supported here, because it would open loopback too: write the ranges that you need, such as 10.0.0.0/8")
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("is neither a range (10.20.0.0/16), an address (10.20.0.5), a host name (crm.example.com) nor *.example.com: %w", err)
	}
	name = canonical(name)
	if wildcard {
		r.suffixes = append(r.suffixes, "."+name)
		return nil
	}
	if r.names == nil {
		r.names = make(map[string]bool)
	}
	r.names[name] = true
	return nil
}

func parsePrefix(entry string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(entry)
	switch {
	case err != nil:
		return prefix, errors.New("is not a range: write it as 10.20.0.0/16 or fd12:3456::/32")
	case prefix.Addr().Is4In6():
		return prefix, errors.New("is written in IPv4-mapped form: write the IPv4 range alone, as in 10.20.0.0/16")
	case prefix != prefix.Masked():
		return prefix, fmt.Errorf("has bits beyond its length: write %s for the range, or %s for the single address", prefix.Masked(), prefix.Addr())
	}
	return prefix, nil
}

// checkOpens refuses a range of allow that can't open anything.
func checkOpens(prefix netip.Prefix) error {
	switch {
	case nat64.Bits() <= prefix.Bits() && nat64.Contains(prefix.Addr()):
		return fmt.Errorf("addresses in %s are judged by the IPv4 address in them: allow that one", nat64)
	case prefix.IsSingleIP() && Classify(prefix.Addr()) == Unspecified:
		return errors.New("is not an address to connect to: for this machine allow 127.0.0.1 or ::1, for all addresses 0.0.0.0/0 or ::/0")
	}
	return nil
}
