package egress

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	policy := mustPolicy(t, list("127.0.0.0/8 fd12::/16 app *.internal my_service"), list("evil.example.com 8.8.4.4"))
	const denied = "denied"
	tests := []struct{ name, url, want string }{
		{"https", "https://example.com/hooks", ""},
		{"http", "http://example.com", ""},
		{"upper case", "HTTPS://Example.COM/Hooks", ""},
		{"port", "https://example.com:8443/hooks?token=a%20b", ""},
		{"trailing full stop", "https://example.com./", ""},
		{"underscore", "https://a_b.example.com/", ""},
		{"digits in a name", "https://1.2.3.4.example.com/", ""},
		{"punycode", "https://xn--bcher-kva.example/", ""},
		{"name ends like hex", "https://example.0xzz/", ""},
		{"name ends like hex without its 0", "https://example.mx/", ""},
		{"name ends like octal", "https://example.0a1/", ""},
		{"first and last letters and digits", "https://az09.example.com/", ""},
		{"public IPv4", "https://93.184.216.34/", ""},
		{"public IPv6", "https://[2606:4700::1]:8443/", ""},
		{"at sign in the path", "https://example.com/@user", ""},
		{"opened address", "http://127.0.0.1:3000/hooks", ""},
		{"opened IPv6", "http://[fd12::1]/", ""},
		{"opened short name", "http://app:3000/hooks", ""},
		{"opened short name in capitals", "http://APP/", ""},
		{"opened name with underscore", "http://my_service/", ""},
		{"public name not looked up", "http://localhost.example.com/", ""},

		{"empty", "", "is empty"},
		{"no scheme", "example.com/hooks", "https://"},
		{"other scheme", "ftp://example.com/", "https://"},
		{"file", "file:///etc/passwd", "https://"},
		{"gopher", "gopher://example.com:70/_", "https://"},
		{"unix", "unix//run/x.sock", "https://"},
		{"opaque", "https:example.com", "https://"},
		{"scheme-relative", "//example.com/", "https://"},
		{"leading space", " https://example.com/", "https://"},
		{"no host", "https:///hooks", "no host"},
		{"port alone", "https://:443/hooks", "no host"},
		{"user", "https://user@example.com/", "header"},
		{"password", "https://user:secret@example.com/", "header"},
		{"empty user", "https://@example.com/", "header"},
		{"fragment", "https://example.com/#frag", "fragment"},
		{"empty fragment", "https://example.com/#", "fragment"},
		{"longest", "https://example.com/" + strings.Repeat("a", MaxURLLength-len("https://example.com/")), ""},
		{"too long", "https://example.com/" + strings.Repeat("a", MaxURLLength), "2048"},
		{"space in the host", "https://exa mple.com/", "cannot be parsed"},
		{"line break", "https://example.com/\r\nX: y", "cannot be parsed"},
		{"NUL", "https://example.com/\x00", "cannot be parsed"},
		{"bad escape", "https://example.com/%zz", "cannot be parsed"},
		{"backslash", `https://example.com\@127.0.0.1/`, "cannot be parsed"},
		{"port zero", "https://example.com:0/", "1 to 65535"},
		{"port too high", "https://example.com:65536/", "1 to 65535"},
		{"port with letters", "https://example.com:http/", "cannot be parsed"},
		{"empty port", "https://example.com:/", "port is empty"},

		{"decimal", "http://2130706433/", "four decimal numbers"},
		{"hex", "http://0x7f000001/", "four decimal numbers"},
		{"hex in capitals", "http://0X7F.0.0.1/", "four decimal numbers"},
		{"hex last", "http://127.0.0.0x1/", "four decimal numbers"},
		{"hex without digits", "http://127.0.0.0x/", "four decimal numbers"},
		{"octal", "http://0177.0.0.1/", "four decimal numbers"},
		{"octal whole", "http://017700000001/", "four decimal numbers"},
		{"leading zeros", "http://127.0.0.01/", "four decimal numbers"},
		{"short", "http://127.1/", "four decimal numbers"},
		{"zero", "http://0/", "four decimal numbers"},
		{"trailing full stop on a number", "http://127.0.0.1./", "four decimal numbers"},
		{"five numbers", "http://1.2.3.4.5/", "four decimal numbers"},
		{"too large", "http://127.0.0.256/", "four decimal numbers"},
		{"full-width digits", "http://１２７.０.０.１/", "write it as 127.0.0.1"},
		{"ideographic full stop", "http://example。com/", "write it as example.com"},
		{"escaped digits", "http://%31%32%37.0.0.1/", "cannot be parsed"},
		{"umlaut", "https://bücher.example/", "xn--bcher-kva.example"},
		{"bare IPv6", "http://::1/", "cannot be parsed"},
		{"zone", "http://[fe80::1%25eth0]/", "zone"},
		{"name in brackets", "http://[example.com]/", "cannot be parsed"},
		{"empty label", "http://a..example.com/", "empty part"},
		{"hyphen", "http://-a.example.com/", "hyphen"},
		{"hyphen at the end", "http://a-.example.com/", "hyphen"},
		{"long label", "http://" + strings.Repeat("a", 64) + ".com/", "63"},
		{"long name", "http://" + strings.Repeat("a.", 127) + "com/", "253"},
		{"odd character", "http://a!b.example.com/", "only letters"},
		{"odd character after the digits", "http://a=b.example.com/", "only letters"},
		{"odd character after the letters", "http://a~b.example.com/", "only letters"},
		{"longest label", "http://" + strings.Repeat("a", 63) + ".com/", ""},
		{"longest name", "http://" + strings.Repeat("a.", 125) + "com/", ""},
		{"short name", "http://redis:6379/", "full name"},
		{"localhost", "http://localhost:2019/load", "egress { allow localhost }"},

		{"private", "http://10.0.0.1/", denied},
		{"metadata", "http://169.254.169.254/latest/meta-data/", denied},
		{"Azure's", "http://168.63.129.16/", denied},
		{"unspecified", "http://0.0.0.0/", denied},
		{"IPv6 loopback", "http://[::1]/", denied},
		{"IPv6 unspecified", "http://[::]/", denied},
		{"mapped", "http://[::ffff:10.0.0.1]/", denied},
		{"mapped in hex", "http://[::ffff:a9fe:a9fe]/", denied},
		{"NAT64", "http://[64:ff9b::a9fe:a9fe]/", denied},
		{"6to4", "http://[2002:7f00:1::]/", denied},
		{"link-local", "http://[fe80::1]/", denied},
		{"denied name", "https://evil.example.com/", denied},
		{"denied name in capitals", "https://EVIL.example.com./", denied},
		{"denied address", "https://8.8.4.4/", denied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := policy.CheckURL(tt.url)
			_, isDenied := errors.AsType[*DeniedError](err)
			switch {
			case tt.want == "":
				if err != nil {
					t.Fatal(err)
				}
				if u.Hostname() == "" {
					t.Fatal("got no URL")
				}
			case err == nil:
				t.Fatalf("got no error, want one with %q", tt.want)
			case isDenied != (tt.want == denied):
				t.Fatalf("got %v, denied %v, want denied %v", err, isDenied, !isDenied)
			case tt.want != denied && !strings.Contains(err.Error(), tt.want):
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
}

// Errors about a URL don't repeat its credentials, path or query.
func TestCheckURLKeepsSecrets(t *testing.T) {
	for _, u := range []string{
		"https://user:s3cret@example.com/",
		"https://example.com/%zz?token=s3cret",
		"https://example.com/#s3cret",
		"https://10.0.0.1/?s3cret",
		"s3cret",
	} {
		_, err := new(Policy).CheckURL(u)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want an error without the secret", u, err)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{
		"https://example.com/hooks", "http://127.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://0x7f.1/",
		"http://[fe80::1%25eth0]/", "https://a@b.com/", "http://１２７.０.０.１/", `http://a\@b.example/`,
	} {
		f.Add(s)
	}
	policy := new(Policy)
	f.Fuzz(func(t *testing.T, s string) {
		u, err := policy.CheckURL(s)
		if err != nil {
			return
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Fragment != "" || u.Opaque != "" || len(s) > MaxURLLength {
			t.Fatalf("%q: got no error", s)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && Classify(a) != Public {
			t.Fatalf("%q: got no error for a %q address", s, Classify(a))
		}
		if strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || !strings.Contains(u.Hostname(), ".") && !strings.Contains(u.Hostname(), ":") {
			t.Fatalf("%q: got no error", s)
		}
		// What is stored is read again later, and must mean the same.
		again, err := url.Parse(u.String())
		if err != nil || again.Host != u.Host {
			t.Fatalf("%q: got %q, %v when checked again", s, again, err)
		}
	})
}
