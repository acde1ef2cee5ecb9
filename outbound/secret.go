package outbound

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Signing is what the deliveries of a subscription are signed with.
type Signing struct {
	Secret string
	// PublicKey is what the receiver verifies with where the scheme has a key
	// pair; else it is "", and the receiver needs the Secret.
	PublicKey string
	// PreviousExpires says until when the secret before this one signs too; zero
	// if it doesn't, as by schemes that have room for one signature.
	PreviousExpires time.Time
}

// Signing tells what the deliveries of a subscription are signed with.
func (e *Engine) Signing(s *Subscription) Signing {
	out := Signing{Secret: s.Secrets[0].Value}
	row, err := e.config.Load().lookupScheme(s.Scheme)
	if err != nil {
		return out // which its deliveries say
	}
	out.PublicKey, _ = verify.PublicKey(row, out.Secret) // likewise, where it is no secret of this scheme
	if len(s.Secrets) > 1 && row.SignsWithAll() && s.Secrets[1].Expires.After(e.now()) {
		out.PreviousExpires = e.clock.wall(s.Secrets[1].Expires)
	}
	return out
}

// ensureSecret makes a secret where none was given.
func ensureSecret(s *store.Subscription, c *config) error {
	if len(s.Secrets) > 0 {
		return nil
	}
	row, err := c.lookupScheme(s.Scheme)
	if err != nil {
		return err
	}
	v, err := verify.GenerateSecret(row)
	if err == nil {
		s.Secrets = []store.Secret{{Value: v}}
	}
	return err
}

// RotateSecret gives a subscription a new secret. Deliveries carry the
// signatures of both until the grace is over; where the scheme has room for one
// signature, the new secret signs alone at once. An empty secret has one made.
func (e *Engine) RotateSecret(ctx context.Context, id, secret string) (Signing, error) {
	c := e.config.Load()
	s, err := e.change(ctx, id, func(s *store.Subscription) error {
		if s.FromConfig {
			return e.errConfigured(s)
		}
		row, err := c.lookupScheme(s.Scheme)
		if err != nil {
			return invalid("scheme", "is wrong: %v", err)
		}
		fresh := secret
		if fresh == "" {
			fresh, err = verify.GenerateSecret(row)
		} else {
			err = checkSecrets(row, []string{fresh})
		}
		if err != nil {
			return err
		}
		until := e.now()
		if row.SignsWithAll() {
			until = until.Add(c.SecretGrace)
		}
		secrets := []store.Secret{{Value: fresh}}
		for _, old := range s.Secrets {
			if old.Value == fresh {
				return invalid("secret", "is one that the subscription has already: give another, or none to have one made")
			}
			if old.Expires.IsZero() || old.Expires.After(until) {
				old.Expires = until
			}
			if old.Expires.After(e.now()) {
				secrets = append(secrets, old)
			}
		}
		if len(secrets) > maxSecrets {
			return fmt.Errorf("%w: %d secrets are still valid: wait until the oldest has expired", ErrConflict, len(secrets)-1)
		}
		s.Secrets = secrets
		return nil
	})
	if err != nil {
		return Signing{}, err
	}
	if secret != "" {
		c.warnShortSecrets(Named(id, s.Tenant), s.Scheme, []string{secret})
	}
	return e.Signing(s), nil
}

// secretForms say how a secret is written for each kind of key that isn't any
// text, and what makes one.
var secretForms = map[string]string{
	"whsec":   `write whsec_ and the base64 of 24 to 64 random bytes, as made by: echo "whsec_$(openssl rand -base64 32)"`,
	"base64":  `write the base64 of 24 to 64 random bytes, as made by: openssl rand -base64 32`,
	"hex":     `write 24 to 64 random bytes in hexadecimal, as made by: openssl rand -hex 32`,
	"ed25519": `write whsk_ and the base64 of an Ed25519 private key`,
	"pem":     `write a private key in PEM`,
}

// checkSecrets makes sure that a scheme can sign with them, and says of one that is
// wrong what would be right.
func checkSecrets(row verify.Scheme, secrets []string) error {
	if len(secrets) > maxSecrets {
		return invalid("secret", "is given more than %d times", maxSecrets)
	}
	_, err := verify.NewSigner(row, secrets)
	if err == nil {
		return nil
	}
	form := "leave it out to have one made"
	if f, ok := secretForms[row.Key]; ok {
		form = f + ", or " + form
	}
	return invalid("secret", "is wrong: %v; %s", err, form)
}

// minSecretBytes is how many bytes Standard Webhooks wants of a secret at least.
const minSecretBytes = 24

// warnShortSecrets says in the log that secrets are shorter than they should be. They
// sign all the same: whoever brings a secret that receivers know can't change it
// in one step.
func (c *config) warnShortSecrets(of slog.Attr, scheme string, secrets []string) {
	row, err := c.lookupScheme(scheme)
	if err != nil {
		return
	}
	if signer, err := verify.NewSigner(row, secrets); err == nil && signer.Shortest() < minSecretBytes {
		c.Logger.Warn("a subscription has a secret that is short enough to be guessed: give it and its receiver a longer one",
			of, "bytes", signer.Shortest(), "at_least", minSecretBytes)
	}
}
