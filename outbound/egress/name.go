package egress

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"
)

// canonical returns the form in which names are compared: in lower case, without
// the final dot.
func canonical(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// checkName checks that a host is a plain DNS name: nothing that a resolver, such
// as libc's, could take for an address, and nothing that must be mapped to ASCII
// first, which turns many odd characters into a digit or a dot.
func checkName(host string) error {
	host = strings.TrimSuffix(host, ".")
	if host == "" {
		return errors.New("the host name is empty")
	}
	if len(host) > 253 {
		return errors.New("the host name is longer than 253 characters")
	}
	if i := strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }); i >= 0 {
		if ascii, err := idna.Lookup.ToASCII(host); err == nil {
			return fmt.Errorf("the host name is not in ASCII: write it as %s", ascii)
		}
		return errors.New("the host name is not in ASCII: write its punycode form, which begins with xn--")
	}
	var label string
	for label = range strings.SplitSeq(host, ".") {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	if isNumber(label) {
		return errors.New("the host is a number: write an IPv4 address as four decimal numbers, without leading zeros")
	}
	return nil
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("the host name has an empty part between two dots")
	case len(label) > 63:
		return errors.New("the host name has a part longer than 63 characters")
	case label[0] == '-' || label[len(label)-1] == '-':
		return errors.New("the host name has a part that begins or ends with a hyphen")
	}
	for i := range len(label) {
		if c := label[i]; !isAlphanumeric(c) && c != '-' && c != '_' {
			return fmt.Errorf("the host name has the character %q: only letters, digits, hyphens and dots belong there", c)
		}
	}
	return nil
}

// isNumber reports whether a host with this last label could be an IPv4 address to
// inet_aton, and so to getaddrinfo: 2130706433, 0x7f.1, 0177.1.
func isNumber(label string) bool {
	if len(label) >= 2 && label[0] == '0' && label[1]|0x20 == 'x' {
		return strings.Trim(label[2:], "0123456789abcdefABCDEF") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
