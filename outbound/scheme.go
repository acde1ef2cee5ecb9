package outbound

import (
	"fmt"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// signsBy finds the row of the scheme that a subscription names, or of the engine's
// own where that is "".
func (c *config) signsBy(name string) (verify.Scheme, error) {
	if name == "" {
		return c.scheme, nil
	}
	return signingScheme(name)
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

// usableScheme is signingScheme for one that is about to be chosen: it must be able
// to sign deliveries.
func usableScheme(name string) (verify.Scheme, error) {
	row, err := signingScheme(name)
	if err != nil {
		return row, err
	}
	if err := row.CanSign(); err != nil {
		return row, fmt.Errorf("%s can't sign deliveries: %w", name, err)
	}
	return row, nil
}
