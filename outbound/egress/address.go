package egress

import "net/netip"

// Verdict is the kind of an address, or what the policy says of it, in words for
// logs.
type Verdict string

// The verdicts. Only Public and Opened let a delivery through.
const (
	Public        Verdict = "public"
	Opened        Verdict = "opened by the egress policy"
	Closed        Verdict = "denied by the egress policy"
	Own           Verdict = "own endpoint"
	Invalid       Verdict = "invalid"
	Zoned         Verdict = "with a zone"
	Unspecified   Verdict = "unspecified"
	Loopback      Verdict = "loopback"
	Private       Verdict = "private"
	Shared        Verdict = "shared (carrier-grade NAT)"
	LinkLocal     Verdict = "link-local"
	SiteLocal     Verdict = "site-local"
	Metadata      Verdict = "cloud metadata"
	Multicast     Verdict = "multicast"
	Broadcast     Verdict = "broadcast"
	Documentation Verdict = "documentation"
	Benchmarking  Verdict = "benchmarking"
	Discard       Verdict = "discard"
	Reserved      Verdict = "reserved"
	LocalNAT64    Verdict = "local NAT64"
	SixToFour     Verdict = "6to4"
	Teredo        Verdict = "Teredo"
	ISATAP        Verdict = "ISATAP"
	SIIT          Verdict = "SIIT"
	IPv4Compat    Verdict = "IPv4-compatible"
)

// Allowed reports whether a delivery may go to an address with this verdict.
func (v Verdict) Allowed() bool { return v == Public || v == Opened }

// guarded reports whether an address can only be opened by an allow entry for
// that single address. Someone who opens 100.64.0.0/10 for a VPN doesn't mean the
// metadata service inside it, and someone who opens an IPv6 range doesn't mean the
// IPv4 addresses that can be wrapped in it.
func (v Verdict) guarded() bool {
	switch v {
	case Metadata, LocalNAT64, SixToFour, Teredo, ISATAP, SIIT, IPv4Compat:
		return true
	}
	return false
}

type addressRange struct {
	prefix  netip.Prefix
	verdict Verdict
}

func row(prefix string, v Verdict) addressRange {
	return addressRange{netip.MustParsePrefix(prefix), v}
}

// The verdict on an address is that of the first row that contains it. Sources:
// the IANA special-purpose address registries (RFC 6890) and the manuals of the
// cloud providers.
var (
	ranges4 = []addressRange{
		row("169.254.169.254/32", Metadata), // AWS, Google, Azure, DigitalOcean, …
		row("169.254.170.2/32", Metadata),   // AWS ECS task credentials
		row("169.254.170.23/32", Metadata),  // AWS EKS pod identity
		row("168.63.129.16/32", Metadata),   // Azure wire server, in public space
		row("100.100.100.200/32", Metadata), // Alibaba
		row("192.0.0.192/32", Metadata),     // Oracle
		row("0.0.0.0/8", Unspecified),
		row("10.0.0.0/8", Private),
		row("100.64.0.0/10", Shared),
		row("127.0.0.0/8", Loopback),
		row("169.254.0.0/16", LinkLocal),
		row("172.16.0.0/12", Private),
		row("192.0.0.0/24", Reserved), // IETF protocol assignments
		row("192.0.2.0/24", Documentation),
		row("192.88.99.0/24", SixToFour), // relay anycast
		row("192.168.0.0/16", Private),
		row("198.18.0.0/15", Benchmarking),
		row("198.51.100.0/24", Documentation),
		row("203.0.113.0/24", Documentation),
		row("224.0.0.0/4", Multicast),
		row("255.255.255.255/32", Broadcast),
		row("240.0.0.0/4", Reserved),
		row("0.0.0.0/0", Public),
	}
	ranges6 = []addressRange{
		row("fd00:ec2::254/128", Metadata),      // AWS
		row("fd00:ec2::23/128", Metadata),       // AWS EKS pod identity
		row("fd20:ce::254/128", Metadata),       // Google
		row("fd00:c1::a9fe:a9fe/128", Metadata), // Oracle
		row("::/128", Unspecified),
		row("::1/128", Loopback),
		row("::/96", IPv4Compat),
		row("::ffff:0:0:0/96", SIIT),
		row("64:ff9b:1::/48", LocalNAT64), // RFC 8215; where in it the IPv4 address is depends on the network
		row("100::/64", Discard),
		row("2001::/32", Teredo),
		row("2001::/23", Reserved), // IETF protocol assignments: benchmarking, ORCHID, …
		row("2001:db8::/32", Documentation),
		row("2002::/16", SixToFour),
		row("3fff::/20", Documentation),
		row("5f00::/16", Reserved), // segment routing
		row("fc00::/7", Private),
		row("fe80::/10", LinkLocal),
		row("fec0::/10", SiteLocal),
		row("ff00::/8", Multicast),
		row("2000::/3", Public), // all global unicast space that has been allocated
		row("::/0", Reserved),
	}
)

// Classify returns the verdict on an address without any policy. IPv4-mapped IPv6
// and NAT64 addresses are judged by the IPv4 address in them, because that is
// where the packets go. All other forms that wrap an IPv4 address are denied,
// whatever they wrap.
func Classify(a netip.Addr) Verdict {
	if a.Zone() != "" {
		return Zoned
	}
	a = unwrap(a)
	if a.Is4() {
		return lookup(ranges4, a)
	}
	// An ISATAP address can have any prefix: its mark is in the lower half.
	if isISATAP(a) {
		return ISATAP
	}
	return lookup(ranges6, a)
}

func lookup(ranges []addressRange, a netip.Addr) Verdict {
	for _, r := range ranges {
		if r.prefix.Contains(a) {
			return r.verdict
		}
	}
	return Invalid // only the zero Addr is in no range
}

// nat64 is the well-known prefix of RFC 6052. On an IPv6-only network every
// IPv4 receiver has an address in it.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// unwrap returns the address to which packets for a go in the end: the IPv4
// address in an IPv4-mapped or NAT64 address, or else a itself.
func unwrap(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// isISATAP recognises the interface identifier of RFC 5214: 00-00-5E-FE, with any
// universal and group bits, followed by an IPv4 address.
func isISATAP(a netip.Addr) bool {
	b := a.As16()
	return b[8]&^3 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
