package egress

import (
	"net/netip"
	"testing"
)

// addresses maps addresses in all their forms to verdicts. It is the specification: a newly
// found way around the guard is a new row.
var addresses = []struct {
	address string
	verdict Verdict
}{
	// Public IPv4, and the neighbours of what is not.
	{"1.1.1.1", Public},
	{"8.8.8.8", Public},
	{"9.255.255.255", Public},
	{"11.0.0.0", Public},
	{"100.63.255.255", Public},
	{"100.128.0.0", Public},
	{"126.255.255.255", Public},
	{"128.0.0.0", Public},
	{"169.253.255.255", Public},
	{"169.255.0.0", Public},
	{"172.15.255.255", Public},
	{"172.32.0.0", Public},
	{"192.0.1.0", Public},
	{"192.31.196.1", Public}, // AS112, globally reachable
	{"192.167.255.255", Public},
	{"192.169.0.0", Public},
	{"198.17.255.255", Public},
	{"198.20.0.0", Public},
	{"223.255.255.255", Public},
	{"168.63.129.15", Public},
	{"168.63.129.17", Public},

	// IPv4 ranges, first and last address.
	{"0.0.0.0", Unspecified},
	{"0.0.0.1", Unspecified},
	{"0.255.255.255", Unspecified},
	{"10.0.0.0", Private},
	{"10.255.255.255", Private},
	{"100.64.0.0", Shared},
	{"100.127.255.255", Shared},
	{"127.0.0.0", Loopback},
	{"127.0.0.1", Loopback},
	{"127.255.255.255", Loopback},
	{"169.254.0.0", LinkLocal},
	{"169.254.255.255", LinkLocal},
	{"172.16.0.0", Private},
	{"172.31.255.255", Private},
	{"192.0.0.0", Reserved},
	{"192.0.0.255", Reserved},
	{"192.0.2.0", Documentation},
	{"192.0.2.255", Documentation},
	{"192.88.99.1", SixToFour},
	{"192.168.0.0", Private},
	{"192.168.255.255", Private},
	{"198.18.0.0", Benchmarking},
	{"198.19.255.255", Benchmarking},
	{"198.51.100.1", Documentation},
	{"203.0.113.255", Documentation},
	{"224.0.0.1", Multicast},
	{"239.255.255.255", Multicast},
	{"240.0.0.0", Reserved},
	{"255.255.255.254", Reserved},
	{"255.255.255.255", Broadcast},

	// Metadata services.
	{"169.254.169.254", Metadata},
	{"169.254.170.2", Metadata},
	{"169.254.170.23", Metadata},
	{"168.63.129.16", Metadata},
	{"100.100.100.200", Metadata},
	{"192.0.0.192", Metadata},
	{"fd00:ec2::254", Metadata},
	{"fd00:ec2::23", Metadata},
	{"fd20:ce::254", Metadata},
	{"fd00:c1::a9fe:a9fe", Metadata},
	{"::ffff:169.254.169.254", Metadata},
	{"64:ff9b::169.254.169.254", Metadata},

	// IPv4 in IPv6, judged by its IPv4.
	{"::ffff:8.8.8.8", Public},
	{"::ffff:127.0.0.1", Loopback},
	{"::ffff:7f00:1", Loopback},
	{"::ffff:0.0.0.0", Unspecified},
	{"::ffff:10.1.2.3", Private},
	{"64:ff9b::8.8.8.8", Public},
	{"64:ff9b::127.0.0.1", Loopback},
	{"64:ff9b::10.0.0.1", Private},
	{"64:ff9b::6440:1", Shared},
	{"64:ff9b::", Unspecified},
	{"64:ff9b::ffff:ffff", Broadcast},

	// IPv4 in IPv6, refused whatever it is.
	{"64:ff9b:1::8.8.8.8", LocalNAT64},
	{"64:ff9b:1:ffff::1", LocalNAT64},
	{"2002:7f00:1::", SixToFour},
	{"2002:808:808::1", SixToFour},
	{"2001::1", Teredo},
	{"2001:0:4136:e378:8000:63bf:3fff:fdd2", Teredo},
	{"fe80::5efe:10.0.0.1", ISATAP},
	{"fe80::200:5efe:8.8.8.8", ISATAP},
	{"2606:4700::5efe:192.168.0.1", ISATAP},
	{"2606:4700::200:5efe:127.0.0.1", ISATAP},
	{"2606:4700::300:5efe:127.0.0.1", ISATAP},
	{"2606:4700::5eff:192.168.0.1", Public},
	{"2606:4700::400:5efe:192.168.0.1", Public},
	{"2606:4700::1:5efe:192.168.0.1", Public},
	{"2606:4700::fe:192.168.0.1", Public},
	{"::ffff:0:127.0.0.1", SIIT},
	{"::ffff:0:8.8.8.8", SIIT},
	{"::127.0.0.1", IPv4Compat},
	{"::8.8.8.8", IPv4Compat},
	{"::2", IPv4Compat},

	// IPv6 ranges.
	{"::", Unspecified},
	{"::1", Loopback},
	{"::1:0:0:1", Reserved},
	{"64:ff9a::1", Reserved},
	{"64:ff9b::1:0:0", Reserved},
	{"64:ff9b:2::1", Reserved},
	{"100::1", Discard},
	{"100:0:0:1::1", Reserved},
	{"2001:1::1", Reserved},
	{"2001:2::1", Reserved},
	{"2001:20::1", Reserved},
	{"2001:1ff:ffff::1", Reserved},
	{"2001:db8::1", Documentation},
	{"3fff::1", Documentation},
	{"3fff:fff::1", Documentation},
	{"4000::1", Reserved},
	{"5f00::1", Reserved},
	{"fbff::1", Reserved},
	{"fc00::1", Private},
	{"fd12:3456::1", Private},
	{"fe00::1", Reserved},
	{"fe80::1", LinkLocal},
	{"febf::1", LinkLocal},
	{"fec0::1", SiteLocal},
	{"feff::1", SiteLocal},
	{"ff00::1", Multicast},
	{"ff02::1", Multicast},
	{"2000::1", Public},
	{"2001:200::1", Public},
	{"2001:4860:4860::8888", Public},
	{"2606:4700:4700::1111", Public},
	{"2a00:1450::1", Public},
	{"3fff:1000::1", Public},

	// Zones.
	{"fe80::1%eth0", Zoned},
	{"2606:4700::1%eth0", Zoned},
	{"::ffff:8.8.8.8%1", Zoned},
}

// Each address has its verdict.
func TestClassify(t *testing.T) {
	for _, tt := range addresses {
		t.Run(tt.address, func(t *testing.T) {
			if got := Classify(netip.MustParseAddr(tt.address)); got != tt.verdict {
				t.Errorf("got %q, want %q", got, tt.verdict)
			}
		})
	}
	if got := Classify(netip.Addr{}); got != Invalid {
		t.Errorf("zero address: got %q, want %q", got, Invalid)
	}
}

// An IPv4 address has the same verdict in the two IPv6 forms that are judged by it.
func TestClassifyWrapped(t *testing.T) {
	for _, tt := range addresses {
		a := netip.MustParseAddr(tt.address)
		if !a.Is4() {
			continue
		}
		mapped := netip.AddrFrom16(a.As16())
		translated := nat64.Addr().As16()
		b := a.As4()
		copy(translated[12:], b[:])
		for _, wrapped := range []netip.Addr{mapped, netip.AddrFrom16(translated)} {
			if got := Classify(wrapped); got != tt.verdict {
				t.Errorf("%s: got %q, want %q, as for %s", wrapped, got, tt.verdict, a)
			}
		}
	}
}

func TestVerdictAllowed(t *testing.T) {
	for _, v := range []Verdict{"", Closed, Own, Invalid, Zoned, Private, Metadata, "unheard of"} {
		if v.Allowed() {
			t.Errorf("%q: got it allowed", v)
		}
	}
	for _, v := range []Verdict{Public, Opened} {
		if !v.Allowed() {
			t.Errorf("%q: got it denied", v)
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, tt := range addresses {
		f.Add(netip.MustParseAddr(tt.address).AsSlice())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		v := Classify(a)
		if v == Invalid || v == "" {
			t.Fatalf("%s: got no verdict", a)
		}
		// The standard library's predicates are no guard, but what they know
		// to be special must never pass.
		if u := unwrap(a); v.Allowed() && (u.IsPrivate() || u.IsLoopback() || u.IsUnspecified() || !u.IsGlobalUnicast()) {
			t.Fatalf("%s is %q", a, v)
		}
	})
}
