package outbound

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Signing is what deliveries of a subscription are signed with.
type Signing struct {
	Secret string
	// PublicKey is what the receiver verifies with if the scheme has a key pair.
	// Otherwise it is "", and the receiver needs the Secret.
	PublicKey string
	// PreviousExpires is until when the previous secret is used, too. It is zero if
	// it isn't, as with schemes that have only one signature.
	PreviousExpires time.Time
}

// Signing returns what deliveries of a subscription are signed with.
func (e *Engine) Signing(s *Subscription) Signing {
	out := Signing{Secret: s.Secrets[0].Value}
	row, err := e.config.Load().lookupScheme(s.Scheme)
	if err != nil {
		return out // attempts report it
	}
	out.PublicKey, _ = verify.PublicKey(row, out.Secret) // likewise, if the secret isn't one for this scheme
	if len(s.Secrets) > 1 && row.SignsWithAll() && s.Secrets[1].Expires.After(e.now()) {
		out.PreviousExpires = e.clock.wall(s.Secrets[1].Expires)
	}
	return out
}

// ensureSecret generates a secret if there is none.
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

// RotateSecret gives a subscription a new secret, or a generated one if secret is
// "". During the grace period deliveries carry the signatures of both; if the
// scheme has only one signature, it is the new one's at once.
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
				return invalid("secret", "is already one of the subscription's: give another, or none to have one made")
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

// secretForms say how to write a secret, and how to make one, for each kind of key
// that isn't just any text.
var secretForms = map[string]string{
	"whsec":   `write whsec_ and the base64 of 24 to 64 random bytes, as made by: echo "whsec_$(openssl rand -base64 32)"`,
	"base64":  `write the base64 of 24 to 64 random bytes, as made by: openssl rand -base64 32`,
	"hex":     `write 24 to 64 random bytes in hexadecimal, as made by: openssl rand -hex 32`,
	"ed25519": `write whsk_ and the base64 of an Ed25519 private key`,
	"pem":     `write a private key in PEM`,
}

// checkSecrets checks that a scheme can sign with these secrets. The error says
// what a right one looks like.
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

// minSecretBytes is the shortest secret that Standard Webhooks allows.
const minSecretBytes = 24

// warnShortSecrets logs that secrets are shorter than they should be. They are
// accepted because a secret that receivers already know can't be changed in one
// step.
func (c *config) warnShortSecrets(subscription slog.Attr, scheme string, secrets []string) {
	row, err := c.lookupScheme(scheme)
	if err != nil {
		return
	}
	if signer, err := verify.NewSigner(row, secrets); err == nil && signer.Shortest() < minSecretBytes {
		c.Logger.Warn("a subscription has a secret that is short enough to be guessed: give it and its receiver a longer one",
			subscription, "bytes", signer.Shortest(), "at_least", minSecretBytes)
	}
}
