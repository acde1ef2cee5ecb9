package outbound

import (
	"cmp"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// secretForms say how a secret is written for each kind of key that isn't any
// text, and what makes one.
var secretForms = map[string]string{
	"whsec":   `write whsec_ and the base64 of 24 to 64 random bytes, as made by: echo "whsec_$(openssl rand -base64 32)"`,
	"base64":  `write the base64 of 24 to 64 random bytes, as made by: openssl rand -base64 32`,
	"hex":     `write 24 to 64 random bytes in hexadecimal, as made by: openssl rand -hex 32`,
	"ed25519": `write whsk_ and the base64 of an Ed25519 private key`,
}

// badSecret says what is wrong with a secret, and what would be right.
func badSecret(row verify.Scheme, err error) error {
	form := "leave it out to have one made"
	if f, ok := secretForms[row.Key]; ok {
		form = f + ", or " + form
	}
	return invalid("secret", "is wrong: %v; %s", err, form)
}

// leastSecret is how many bytes Standard Webhooks wants of a secret at least.
const leastSecret = 24

// warnOfShort says in the log that secrets are shorter than they should be. They
// sign all the same: whoever brings a secret that receivers know can't change it
// in one step.
func (c *config) warnOfShort(id, scheme string, secrets []string) {
	row, err := signingScheme(cmp.Or(scheme, c.Sign))
	if err != nil {
		return
	}
	if signer, err := verify.NewSigner(row, secrets); err == nil && signer.Shortest() < leastSecret {
		c.Logger.Warn("a subscription has a secret that is short enough to be guessed: give it and its receiver a longer one",
			"subscription_id", id, "bytes", signer.Shortest(), "at_least", leastSecret)
	}
}
