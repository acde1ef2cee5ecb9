package outbound

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// lookupScheme returns the scheme with a name, or the default one if name is "".
func (s *Settings) lookupScheme(name string) (verify.Scheme, error) {
	name = cmp.Or(name, s.Sign)
	row, ok := s.Schemes.Lookup(name)
	if ok {
		return row, nil
	}
	if near := verify.Suggest(name); len(near) > 0 {
		return row, fmt.Errorf("unknown signature scheme %q: did you mean %s?", name, strings.Join(near, " or "))
	}
	return row, fmt.Errorf("unknown signature scheme %q: it is neither built in, which `caddy webhooks providers` lists, nor a scheme of the server's configuration", name)
}

// unusableSchemes returns why schemes of the configuration can't sign deliveries. A
// subscription may have chosen one when it still could.
func (s *Settings) unusableSchemes() map[string]error {
	refused := map[string]error{}
	for name := range s.Schemes {
		if _, err := s.signingScheme(name); err != nil {
			refused[name] = err
		}
	}
	return refused
}

// signingScheme is lookupScheme for a scheme that is about to be chosen: it must be
// able to sign deliveries.
func (s *Settings) signingScheme(name string) (verify.Scheme, error) {
	row, err := s.lookupScheme(name)
	if err != nil {
		return row, err
	}
	if err := cmp.Or(row.CanSign(), egress.CheckSigned(row.FirstSet)); err != nil {
		return row, fmt.Errorf("%s can't sign deliveries: %w", row.Name, err)
	}
	return row, nil
}
