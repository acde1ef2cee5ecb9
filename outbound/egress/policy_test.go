package egress

import (
	"cmp"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func mustPolicy(t testing.TB, allow, deny []string) *Policy {
	t.Helper()
	return must.Get(NewPolicy(allow, deny))(t)
}

func list(s string) []string { return strings.Fields(s) }

func TestPolicyCheckAddr(t *testing.T) {
	tests := []struct {
		name          string
		allow, deny   string
		host, address string
		want          Verdict
	}{
		{"public by default", "", "", "example.com", "8.8.8.8", Public},
		{"private by default", "", "", "example.com", "10.0.0.1", Private},
		{"range opens", "10.20.0.0/16", "", "example.com", "10.20.3.4", Opened},
		{"range opens no neighbour", "10.20.0.0/16", "", "example.com", "10.21.0.0", Private},
		{"range opens the mapped form", "10.20.0.0/16", "", "example.com", "::ffff:10.20.3.4", Opened},
		{"range opens the NAT64 form", "10.20.0.0/16", "", "example.com", "64:ff9b::10.20.3.4", Opened},
		{"single address opens", "10.0.0.1", "", "example.com", "10.0.0.1", Opened},
		{"mapped entry is its IPv4", "::ffff:10.0.0.1", "", "example.com", "10.0.0.1", Opened},
		{"IPv6 range opens", "fd12::/16", "", "example.com", "fd12::1", Opened},
		{"loopback opens", "127.0.0.0/8 ::1", "", "localhost", "::1", Opened},
		{"loopback entry does not open the unspecified", "127.0.0.0/8 ::1", "", "x.example", "0.0.0.0", Unspecified},

		{"all of IPv4 opens private", "0.0.0.0/0", "", "example.com", "192.168.1.1", Opened},
		{"all of IPv4 opens no metadata", "0.0.0.0/0", "", "example.com", "169.254.169.254", Metadata},
		{"CGNAT opens no metadata", "100.64.0.0/10", "", "example.com", "100.100.100.200", Metadata},
		{"a range that begins with metadata opens none", "169.254.169.254/31", "", "example.com", "169.254.169.254", Metadata},
		{"a range that begins with 6to4 opens none", "2002:7f00:1::/48", "", "example.com", "2002:7f00:1::", SixToFour},
		{"metadata by itself opens", "169.254.169.254", "", "example.com", "169.254.169.254", Opened},
		{"metadata as a /32 opens", "169.254.169.254/32", "", "example.com", "169.254.169.254", Opened},
		{"all of IPv6 opens private", "::/0", "", "example.com", "fd12::1", Opened},
		{"all of IPv6 opens no 6to4", "::/0", "", "example.com", "2002:7f00:1::", SixToFour},
		{"all of IPv6 opens no IPv4", "::/0", "", "example.com", "::ffff:127.0.0.1", Loopback},
		{"all of IPv6 opens no ISATAP", "::/0", "", "example.com", "fd12::5efe:127.0.0.1", ISATAP},
		{"all of IPv4 opens not the unspecified", "0.0.0.0/0", "", "localhost", "0.0.0.0", Unspecified},
		{"a name opens not the unspecified", "localhost", "", "localhost", "0.0.0.0", Unspecified},
		{"a zone is never opened", "::/0 fe80::1", "", "example.com", "fe80::1%eth0", Zoned},

		{"a range around NAT64 opens its other addresses", "64:ff9b::/64", "", "example.com", "64:ff9b::1:0:0", Opened},

		{"name opens", "crm.internal", "", "crm.internal", "10.0.0.1", Opened},
		{"name opens in any case", "CRM.internal.", "", "crm.INTERNAL", "10.0.0.1", Opened},
		{"name opens with the root's full stop", "crm.internal", "", "crm.internal.", "10.0.0.1", Opened},
		{"name opens no other", "crm.internal", "", "x.crm.internal", "10.0.0.1", Private},
		{"name opens no metadata", "crm.internal", "", "crm.internal", "169.254.169.254", Metadata},
		{"wildcard opens", "*.internal", "", "crm.internal", "10.0.0.1", Opened},
		{"wildcard opens at any depth", "*.internal", "", "a.b.internal", "10.0.0.1", Opened},
		{"wildcard opens not the name itself", "*.crm.internal", "", "crm.internal", "10.0.0.1", Private},
		{"wildcard needs the full stop", "*.internal", "", "evilinternal", "10.0.0.1", Private},

		{"range denied", "", "8.8.8.0/24", "example.com", "8.8.8.8", Closed},
		{"range denied in the mapped form", "", "8.8.8.0/24", "example.com", "::ffff:8.8.8.8", Closed},
		{"range denied in the NAT64 form", "", "8.8.8.0/24", "example.com", "64:ff9b::8.8.8.8", Closed},
		{"NAT64 denied as such", "", "64:ff9b::/96", "example.com", "64:ff9b::8.8.8.8", Closed},
		{"name denied", "", "evil.example.com", "evil.example.com", "8.8.8.8", Closed},
		{"wildcard denied", "", "*.example.com", "a.evil.example.com", "8.8.8.8", Closed},
		{"deny wins for a name", "*.example.com 8.8.8.8", "evil.example.com", "evil.example.com", "8.8.8.8", Closed},
		{"deny wins for a range", "10.0.0.0/8", "10.66.0.0/16", "example.com", "10.66.0.1", Closed},
		{"deny wins over a single address", "10.66.0.1", "10.66.0.0/16", "example.com", "10.66.0.1", Closed},
		{"deny leaves the rest", "10.0.0.0/8", "10.66.0.0/16", "example.com", "10.67.0.1", Opened},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustPolicy(t, list(tt.allow), list(tt.deny))
			err := p.CheckAddr(tt.host, netip.MustParseAddr(tt.address))
			denied, ok := errors.AsType[*DeniedError](err)
			if tt.want.Allowed() {
				if ok {
					t.Fatal(denied.Detail())
				}
				return
			}
			if !ok {
				t.Fatalf("got %v, want a *DeniedError", err)
			}
			if denied.verdict != tt.want || denied.Host != tt.host {
				t.Errorf("got %s, want %q", denied.Detail(), tt.want)
			}
		})
	}
}

func TestNewPolicyErrors(t *testing.T) {
	tests := []struct{ entry, want string }{
		{"", "host name is empty"},
		{"*", "0.0.0.0/0 and ::/0"},
		{"*.", "host name is empty"},
		{"10.0.0.0/33", "write it as 10.20.0.0/16"},
		{"10.0.0/8", "write it as 10.20.0.0/16"},
		{"10.20.0.5/16", "write 10.20.0.0/16 for the range, or 10.20.0.5 for the single address"},
		{"::ffff:10.0.0.0/104", "write the IPv4 range alone"},
		{"fe80::1%eth0", `without "%eth0"`},
		{"64:ff9b::/96", "judged by the IPv4 address"},
		{"64:ff9b::7f00:1", "judged by the IPv4 address"},
		{"0.0.0.0", "allow 127.0.0.1"},
		{"::", "allow 127.0.0.1"},
		{"http://example.com", "write the host name alone"},
		{"example.com:443", "without port"},
		{"10.0.0.1:443", "without port"},
		{"[::1]", "without port or brackets"},
		{"a.*.example.com", "only the first label"},
		{"*example.com", "only the first label"},
		{"exa mple.com", "character"},
		{"10.20", "four decimal numbers"},
		{"0x7f000001", "four decimal numbers"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"private_ranges", "10.0.0.0/8"},
		{"-a.example", "hyphen"},
		{"a..example", "empty part"},
	}
	for _, tt := range tests {
		t.Run(tt.entry, func(t *testing.T) {
			_, err := NewPolicy([]string{tt.entry}, nil)
			if err == nil {
				t.Fatal("got no error")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "parsing egress allow ") {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
	if _, err := NewPolicy(nil, []string{"*"}); err == nil || !strings.HasPrefix(err.Error(), `parsing egress deny "*"`) {
		t.Errorf("deny *: got %v, want an error", err)
	}
}

// The operator's log says why a host was denied.
func TestDeniedErrorDetail(t *testing.T) {
	d := newDialer(Options{
		Policy: mustPolicy(t, list("127.0.0.1"), list("evil.example.com")),
		Own:    []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:2019")},
	}, nil)
	for _, tt := range []struct{ host, to, want string }{
		{"10.0.0.1", "10.0.0.1:443", `host "10.0.0.1" has the address 10.0.0.1: private`},
		{"example.com", "127.0.0.1:2019", `host "example.com" has the address 127.0.0.1: own endpoint`},
		{"evil.example.com", "8.8.8.8:443", `host "evil.example.com": denied by the egress policy`},
	} {
		to := netip.MustParseAddrPort(tt.to)
		denied, ok := errors.AsType[*DeniedError](cmp.Or(d.policy.checkHost(tt.host), d.check(tt.host, to)))
		if !ok || denied.Detail() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.host, denied, tt.want)
		}
	}
}

// The error is the same for all denied addresses and names, so that a tenant can't learn
// from it what a name points to.
func TestDeniedErrorText(t *testing.T) {
	p := mustPolicy(t, nil, []string{"evil.example.com"})
	var texts []string
	for _, a := range []string{"10.0.0.1", "127.0.0.1", "169.254.169.254", "fd00::1"} {
		texts = append(texts, p.CheckAddr("host.example.com", netip.MustParseAddr(a)).Error())
	}
	texts = append(texts, p.checkHost("evil.example.com").Error())
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("got %q, want %q", text, texts[0])
		}
	}
}

func FuzzNewPolicy(f *testing.F) {
	for _, s := range list("10.0.0.0/8 10.0.0.1 crm.example.com *.example.com ::ffff:1.2.3.4 fe80::1%x 0x7f.1 * []") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		p, err := NewPolicy([]string{entry}, []string{entry})
		if err != nil {
			return
		}
		// Denied and allowed at once is denied.
		if name, ok := strings.CutPrefix(entry, "*."); ok {
			entry = "a." + name
		}
		if checkName(entry) == nil && p.CheckAddr(entry, netip.MustParseAddr("8.8.8.8")) == nil {
			t.Fatalf("%q: got it allowed in spite of its deny entry", entry)
		}
	})
}
