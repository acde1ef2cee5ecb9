package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxURLLength is the maximum length of a subscription's URL, in bytes.
const MaxURLLength = 2048

// CheckURL parses and checks the URL of a subscription when it is set. It looks
// up nothing: a literal address is checked at once, but of a name only the form;
// its addresses are checked each time a connection is made.
//
// Errors say what to change, and never repeat the path or query, which may
// contain a secret. If the policy denies the literal address or the name, the
// error is a *DeniedError.
func (p *Policy) CheckURL(u string) (*url.URL, error) {
	if err := checkShape(u); err != nil {
		return nil, err
	}
	parsed, err := url.Parse(u)
	if err != nil {
		// err isn't returned: a url.Error repeats the URL, and its cause part of it.
		return nil, errors.New("it cannot be parsed: look for spaces, control characters, or a % that is not followed by two hex digits")
	}
	if err := p.checkParsed(parsed); err != nil {
		return nil, err
	}
	return parsed, nil
}

// checkShape checks what url.Parse would accept, or report less clearly.
func checkShape(u string) error {
	if u == "" {
		return errors.New("it is empty: write one such as https://example.com/hooks")
	}
	if len(u) > MaxURLLength {
		return fmt.Errorf("it has %d bytes, and may have at most %d", len(u), MaxURLLength)
	}
	scheme, rest, _ := strings.Cut(u, "://")
	if !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
		return errors.New("it must begin with https:// (or http://)")
	}
	if strings.Contains(rest, "#") {
		return errors.New("it has a fragment: remove the # and what follows, which is never sent")
	}
	return nil
}

func (p *Policy) checkParsed(u *url.URL) error {
	if u.User != nil {
		return errors.New("it has a user name or password: put credentials into a header, such as Authorization")
	}
	if u.Hostname() == "" {
		return errors.New("it has no host: write one such as https://example.com/hooks")
	}
	if err := checkPort(u); err != nil {
		return err
	}
	return p.checkHostname(u)
}

func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return errors.New("its port is empty: write a number after the colon, or remove the colon")
		}
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("its port must be a number from 1 to 65535")
	}
	return nil
}

func (p *Policy) checkHostname(u *url.URL) error {
	host := u.Hostname()
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return errors.New("its address has a zone: write the address without the % and what follows")
		}
		return p.CheckAddr(host, a)
	}
	if err := checkName(host); err != nil {
		return err
	}
	if err := p.checkHost(host); err != nil {
		return err
	}
	if !strings.Contains(canonical(host), ".") && !p.allow.hasName(host) {
		return fmt.Errorf("the host name %q has no dot: write the full name, or have the server's configuration allow this one: egress { allow %s }", host, canonical(host))
	}
	return nil
}
