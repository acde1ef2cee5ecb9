package outbound

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// schemes are the signature schemes of a subscription, at least one. Each delivery has
// the signatures of all of them, made with the same secrets, so that its receiver can
// change from one to another at any time.
type schemes []verify.Scheme

// maxSchemes bounds the work and the headers of a delivery.
const maxSchemes = 4

// lookupSchemes returns the schemes with these names, separated by single spaces, or the
// default ones if there are none.
func (s *Settings) lookupSchemes(names string) (schemes, error) {
	names = cmp.Or(names, s.Sign)
	list := make(schemes, 0, 1)
	for name := range strings.SplitSeq(names, " ") {
		if name == "" || strings.Contains(name, ",") {
			return nil, fmt.Errorf("%q doesn't name signature schemes: write one, or several with single spaces between them, such as standard-webhooks github", names)
		}
		if len(list) == maxSchemes {
			return nil, fmt.Errorf("there are more than %d signature schemes: leave some out", maxSchemes)
		}
		scheme, err := s.lookupScheme(name)
		if err != nil {
			return nil, err
		}
		list = append(list, scheme)
	}
	return list, nil
}

func (s *Settings) lookupScheme(name string) (verify.Scheme, error) {
	scheme, ok := s.Schemes.Lookup(name)
	if ok {
		return scheme, nil
	}
	if similar := verify.Suggest(name); len(similar) > 0 {
		return scheme, fmt.Errorf("unknown signature scheme %q: did you mean %s?", name, strings.Join(similar, " or "))
	}
	return scheme, fmt.Errorf("unknown signature scheme %q: it is neither built in, which `caddy webhooks providers` lists, nor a scheme of the server's configuration", name)
}

// signingSchemes is lookupSchemes for schemes that are about to be chosen: they must be
// able to sign deliveries.
func (s *Settings) signingSchemes(names string) (schemes, error) {
	return s.checkedSchemes(names, checkSigning)
}

// checkedSchemes is lookupSchemes for schemes that pass a check, each by itself, and can
// sign the same deliveries.
func (s *Settings) checkedSchemes(names string, check func(verify.Scheme) error) (schemes, error) {
	list, err := s.lookupSchemes(names)
	if err != nil {
		return nil, err
	}
	for _, scheme := range list {
		if err := check(scheme); err != nil {
			return nil, err
		}
	}
	return list, list.checkTogether()
}

func checkSigning(scheme verify.Scheme) error {
	if err := cmp.Or(scheme.CanSign(), egress.CheckSigned(scheme.FirstSet)); err != nil {
		return fmt.Errorf("%s can't sign deliveries: %w", scheme.Name, err)
	}
	return nil
}

// unusableSchemes returns why schemes of the configuration can't sign deliveries. A
// subscription may have chosen one when it still could.
func (s *Settings) unusableSchemes() map[string]error {
	refused := map[string]error{}
	for name, scheme := range s.Schemes {
		if err := checkSigning(scheme); err != nil {
			refused[name] = err
		}
	}
	return refused
}

// usableSchemes is lookupSchemes for schemes that a subscription has chosen, possibly when
// the configuration was another. It doesn't sign samples, as signingSchemes does.
func (c *config) usableSchemes(names string) (schemes, error) {
	return c.checkedSchemes(names, func(scheme verify.Scheme) error { return c.unusable[scheme.Name] })
}

// checkTogether checks that the same delivery can have the signatures of all schemes.
func (list schemes) checkTogether() error {
	for i, a := range list {
		for _, b := range list[:i] {
			if err := a.CanSignBeside(b); err != nil {
				return fmt.Errorf("%s and %s can't sign the same deliveries: %w", b.Name, a.Name, err)
			}
		}
	}
	return nil
}

// signWithAll reports whether, with several secrets, every scheme signs with all of
// them. The others only use the first.
func (list schemes) signWithAll() bool {
	return !slices.ContainsFunc(list, func(s verify.Scheme) bool { return !s.SignsWithAll() })
}

// shortestKey is [verify.Scheme.ShortestKey] of the scheme with the shortest.
func (list schemes) shortestKey(secrets []string) (shortest int) {
	for _, s := range list {
		if size := s.ShortestKey(secrets); size > 0 && (shortest == 0 || size < shortest) {
			shortest = size
		}
	}
	return shortest
}

// firstSet returns the first of these headers that signing sets, and the scheme that
// does, or "".
func (list schemes) firstSet(headers []string) (header, scheme string) {
	for _, s := range list {
		if header := s.FirstSet(headers); header != "" {
			return header, s.Name
		}
	}
	return "", ""
}

// signers sign deliveries, each by one scheme.
type signers []*verify.Signer

func (list schemes) signers(secrets []string) (signers, error) {
	out := make(signers, len(list))
	for i, s := range list {
		var err error
		if out[i], err = verify.NewSigner(s, secrets); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sign sets the headers of all signatures in h.
func (s signers) sign(h http.Header, m *verify.Outgoing) error {
	for _, signer := range s {
		if err := signer.Sign(h, m); err != nil {
			return err
		}
	}
	return nil
}

// mask replaces the signatures that sign has set in h.
func (s signers) mask(h http.Header, mask string) {
	for _, signer := range s {
		signer.Mask(h, mask)
	}
}
