package cli

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Facts describe a scheme in words. They are the columns of `caddy webhooks
// providers` and of the table in the documentation.
type Facts struct {
	// Algorithm is how the signature is made from content and key, such as
	// "hmac-sha256".
	Algorithm string
	// Encoding is the encoding of the signature, such as "base64". It is "" for
	// a token, which has none.
	Encoding string
	// Key is how the key is made from the secret. It is "" for a token, where the
	// secret itself is sent.
	Key string
	// Signed is the template of what is signed, or "nothing".
	Signed string
	// Time is how old a message may be, such as "5m", and how far ahead of our
	// clock its time may be, if that differs. It is "no" if no time is signed.
	Time string
	// Replay is whether replays are recognized: "yes"; "opt-in" if no signed
	// time limits how long messages must be remembered, so that the user has to
	// set it; or "no" if two messages can have the same signature.
	Replay string
	// Body is whether the whole body is signed: "yes" or "no".
	Body string
	// Handshake is the name of the provider's handshake, or "".
	Handshake string
}

// FactsOf describes a scheme in words.
func FactsOf(row verify.Scheme) Facts {
	bounds := row.Bounds()
	f := Facts{
		Algorithm: algorithm(row),
		Encoding:  encoding(row),
		Key:       key(row),
		Signed:    content(row),
		Time:      "no",
		Replay:    "no",
		Body:      yesOrNo(bounds.Body),
		Handshake: row.Handshake,
	}
	if bounds.Time {
		f.Time = age(row.Timestamp)
	}
	_, future := row.Timestamp.Tolerance()
	switch {
	case bounds.Replay() && future >= 0:
		f.Replay = "yes"
	case bounds.Message:
		f.Replay = "opt-in"
	}
	return f
}

func algorithm(row verify.Scheme) string {
	switch row.Construction {
	case "token", "ed25519":
		return row.Construction
	case "hash":
		return cmp.Or(row.Algorithm, "sha256")
	}
	return cmp.Or(row.Construction, "hmac") + "-" + cmp.Or(row.Algorithm, "sha256")
}

func encoding(row verify.Scheme) string {
	if row.Construction == "token" {
		return ""
	}
	return cmp.Or(row.Signature.Encoding, "hex")
}

func key(row verify.Scheme) string {
	switch row.Construction {
	case "token":
		return ""
	case "ed25519", "ecdsa", "rsa":
		switch row.Key {
		case "hex", "base64":
			return "the provider's public key, in " + row.Key
		case "pem":
			return "the provider's public key, in PEM or as the base64 in it"
		}
		return "the provider's public key, `whpk_…`"
	}
	switch row.Key {
	case "hex", "base64":
		return "the secret, decoded from " + row.Key
	case "whsec":
		return "the secret, decoded from base64 after an optional `whsec_`"
	case "text_or_hex":
		return "the text of the secret, or the secret decoded from hex"
	case "text_or_whsec":
		return "the text of the secret, or the secret decoded from base64 after an optional `whsec_`"
	case "sha1":
		return "the SHA-1 of the secret"
	case "sha256":
		return "the SHA-256 of the secret"
	}
	return "the text of the secret"
}

func content(row verify.Scheme) string {
	if row.Construction == "token" {
		return "nothing"
	}
	return cmp.Or(row.Content, "{body}")
}

// age describes how far a message's time may be from ours.
func age(t verify.Timestamp) string {
	past, future := t.Tolerance()
	text := tolerance(past)
	if future != past {
		text += ", " + tolerance(future) + " ahead"
	}
	if t.Optional {
		text += " if sent"
	}
	return text
}

// tolerance formats a duration in the largest unit of which it is a multiple. A
// negative one means that any time will do.
func tolerance(d time.Duration) string {
	if d < 0 {
		return "any"
	}
	for _, unit := range []struct {
		length time.Duration
		letter string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d%unit.length == 0 {
			return strconv.FormatInt(int64(d/unit.length), 10) + unit.letter
		}
	}
	return d.String()
}

// place describes where the signature is in a request.
func place(s verify.Signature) string {
	name := s.Name
	if len(s.Names) > 0 {
		name = strings.Join(s.Names, ", ")
	}
	if s.Numbered {
		name += "1…"
	}
	if s.Repeated {
		name += " (one or more)"
	}
	if s.Each != "" {
		name = s.Each + "[]." + name
	}
	return where(s.In, name)
}

// where describes where a value is in a request. For a header, the usual case, it
// is just the name.
func where(in, name string) string {
	switch in {
	case "", "header":
		return name
	case "field":
		return name + "= in the signature"
	case "first":
		return "before the signature"
	}
	return in + " " + name
}

// format shows what the text of a signature looks like.
func format(row verify.Scheme) string {
	s := row.Signature
	one := "<" + cmp.Or(encoding(row), "secret") + ">"
	if len(s.Tags) > 0 {
		one = s.Tags[0] + cmp.Or(s.Assign, "=") + one
	}
	one = s.Prefix + one
	if s.Separator != "" {
		one += s.Separator + "…"
	}
	return one
}
