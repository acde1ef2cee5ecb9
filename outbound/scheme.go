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
	scheme, ok := s.Schemes.Lookup(name)
	if ok {
		return scheme, nil
	}
	if similar := verify.Suggest(name); len(similar) > 0 {
		return scheme, fmt.Errorf("unknown signature scheme %q: did you mean %s?", name, strings.Join(similar, " or "))
	}
	return scheme, fmt.Errorf("unknown signature scheme %q: it is neither built in, which `caddy webhooks providers` lists, nor a scheme of the server's configuration", name)
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
	scheme, err := s.lookupScheme(name)
	if err != nil {
		return scheme, err
	}
	if err := cmp.Or(scheme.CanSign(), egress.CheckSigned(scheme.FirstSet)); err != nil {
		return scheme, fmt.Errorf("%s can't sign deliveries: %w", scheme.Name, err)
	}
	return scheme, nil
}
