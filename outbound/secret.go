package outbound

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Signing is what deliveries of a subscription are signed with.
type Signing struct {
	Secret string
	// PublicKey is what the receiver verifies with if the schemes have key pairs.
	// Otherwise it is "", and the receiver needs the Secret.
	PublicKey string
	// PreviousExpires is until when every scheme signs with the previous secret, too.
	// It is zero if one doesn't, as if it has only one signature.
	PreviousExpires time.Time
}

// Signing returns what deliveries of a subscription are signed with.
func (e *Engine) Signing(s *Subscription) Signing {
	out := Signing{Secret: s.Secrets[0].Value}
	list, err := e.config.Load().lookupSchemes(s.Scheme)
	if err != nil {
		return out // attempts report it
	}
	out.PublicKey, _ = verify.PublicKey(list[0], out.Secret) // attempts also report a secret that isn't one for this scheme
	if len(s.Secrets) > 1 && list.signWithAll() && s.Secrets[1].Expires.After(e.now()) {
		out.PreviousExpires = e.clock.wall(s.Secrets[1].Expires)
	}
	return out
}

// ensureSecret generates a secret if there is none.
func ensureSecret(s *store.Subscription, c *config) error {
	if len(s.Secrets) > 0 {
		return nil
	}
	list, err := c.lookupSchemes(s.Scheme)
	if err != nil {
		return err
	}
	v, err := list.generateSecret()
	if err == nil {
		s.Secrets = []store.Secret{{Value: v}}
	}
	return err
}

// RotateSecret gives a subscription a new secret, or a generated one if secret is
// "". During the grace period, deliveries have the signatures of both. A scheme with
// room for only one signature uses the new secret at once.
func (e *Engine) RotateSecret(ctx context.Context, id, secret string) (Signing, error) {
	c := e.config.Load()
	s, err := e.change(ctx, id, func(s *store.Subscription) error {
		if s.FromConfig {
			return e.errConfigured(s)
		}
		list, err := c.lookupSchemes(s.Scheme)
		if err != nil {
			return invalid("scheme", "is wrong: %v", err)
		}
		fresh := secret
		if fresh == "" {
			fresh, err = list.generateSecret()
		} else {
			err = list.checkSecrets([]string{fresh})
		}
		if err != nil {
			return err
		}
		now := e.now()
		until := now
		if slices.ContainsFunc(list, verify.Scheme.SignsWithAll) {
			until = until.Add(c.SecretGrace)
		}
		secrets, err := rotate(s.Secrets, fresh, until, now)
		if err != nil {
			return err
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

// rotate returns a fresh secret followed by the old ones that are still valid, each
// until the given time at the latest.
func rotate(old []store.Secret, fresh string, until, now time.Time) ([]store.Secret, error) {
	secrets := []store.Secret{{Value: fresh}}
	for _, s := range old {
		if s.Value == fresh {
			return nil, invalid("secret", "is already one of the subscription's: give another, or none to have one generated")
		}
		if s.Expires.IsZero() || s.Expires.After(until) {
			s.Expires = until
		}
		if s.Expires.After(now) {
			secrets = append(secrets, s)
		}
	}
	if len(secrets) > maxSecrets {
		return nil, fmt.Errorf("%w: %d secrets are still valid: wait until the oldest has expired", ErrConflict, len(secrets)-1)
	}
	return secrets, nil
}

// validSecrets returns the secrets that a subscription signs with, newest first, and
// when the first of them expires, zero for never.
func validSecrets(s *store.Subscription, now time.Time) (secrets []string, expiry time.Time) {
	for _, secret := range s.Secrets {
		if secret.Expires.IsZero() || secret.Expires.After(now) {
			secrets = append(secrets, secret.Value)
			expiry = earlier(expiry, secret.Expires)
		}
	}
	return secrets, expiry
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

// checkSecrets checks that all schemes can sign with these secrets. The error says
// what a right one looks like.
func (list schemes) checkSecrets(secrets []string) error {
	if len(secrets) > maxSecrets {
		return invalid("secret", "is given more than %d times", maxSecrets)
	}
	scheme, err := list.misfit(secrets)
	if err == nil {
		return nil
	}
	form := "leave it out to have one generated"
	if f, ok := secretForms[scheme.Key]; ok {
		form = f + ", or " + form
	}
	return invalid("secret", "is wrong: %v; %s", err, form)
}

// misfit returns the first scheme that can't sign with these secrets, and why.
func (list schemes) misfit(secrets []string) (verify.Scheme, error) {
	for _, scheme := range list {
		if _, err := verify.NewSigner(scheme, secrets); err != nil {
			return scheme, err
		}
	}
	return verify.Scheme{}, nil
}

// generateSecret returns a new secret that is a key for all schemes.
func (list schemes) generateSecret() (secret string, err error) {
	for _, scheme := range list {
		if secret, err = verify.GenerateSecret(scheme); err != nil {
			return "", err
		}
		if _, err = list.misfit([]string{secret}); err == nil {
			return secret, nil
		}
	}
	return "", err
}

// minSecretBytes is the shortest secret that Standard Webhooks allows.
const minSecretBytes = 24

// warnShortSecrets logs that secrets are shorter than they should be. They are
// accepted because a secret that receivers already know can't be changed in one
// step.
func (c *config) warnShortSecrets(subscription slog.Attr, names string, secrets []string) {
	list, err := c.lookupSchemes(names)
	if err != nil {
		return
	}
	if size := list.shortestKey(secrets); size > 0 && size < minSecretBytes {
		c.Logger.Warn("a subscription has a secret that is short enough to be guessed: give it and its receiver a longer one",
			subscription, "bytes", size, "at_least", minSecretBytes)
	}
}
