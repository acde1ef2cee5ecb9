package outbound

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// signsBy finds the scheme that a subscription names, or the engine's own where that
// is "".
func (s *Settings) signsBy(name string) (verify.Scheme, error) {
	if name != "" {
		return signingScheme(name)
	}
	row, err := signingScheme(s.Sign)
	return row.Merge(s.SignScheme), err
}

// signingScheme finds the row of a scheme.
func signingScheme(name string) (verify.Scheme, error) {
	row, ok := verify.Lookup(name)
	if ok {
		return row, nil
	}
	if near := verify.Suggest(name); len(near) > 0 {
		return row, fmt.Errorf("unknown signature scheme %q: did you mean %s?", name, strings.Join(near, " or "))
	}
	return row, fmt.Errorf("unknown signature scheme %q: see `caddy webhooks providers`", name)
}

// usableScheme is signsBy for one that is about to be chosen: it must be able to sign
// deliveries.
func (s *Settings) usableScheme(name string) (verify.Scheme, error) {
	row, err := s.signsBy(name)
	if err != nil {
		return row, err
	}
	if err := cmp.Or(row.CanSign(), egress.CheckSigned(row.FirstSet)); err != nil {
		return row, fmt.Errorf("%s can't sign deliveries: %w", row.Name, err)
	}
	return row, nil
}
