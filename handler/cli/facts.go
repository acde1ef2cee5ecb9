package cli

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Facts are what people want to know of a scheme, in words: the columns of
// `caddy webhooks providers` and of the documentation's table.
type Facts struct {
	// Algorithm is how content and key make the signature, such as
	// "hmac-sha256".
	Algorithm string
	// Encoding is that of the signature, such as "base64"; "" for a token,
	// which has none.
	Encoding string
	// Signed is the template of what is signed, or "nothing".
	Signed string
	// Time is how old a message may be, such as "5m", and how far ahead of our
	// clock where that differs; "no" where no signed time tells.
	Time string
	// Replay is whether a replay is known: "yes", "if told" where no time
	// bounds how long a message must be remembered, so that the user says it,
	// or "no" where two messages can have the same signature.
	Replay string
	// Body is whether the whole body is signed: "yes" or "no".
	Body string
	// Handshake is the name of the handshake that is answered, or "".
	Handshake string
}

// FactsOf says in words what a scheme does.
func FactsOf(row verify.Scheme) Facts {
	bounds := row.Bounds()
	f := Facts{
		Algorithm: algorithm(row),
		Encoding:  encoding(row),
		Signed:    content(row),
		Time:      "no",
		Replay:    "no",
		Body:      yes(bounds.Body),
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
		f.Replay = "if told"
	}
	return f
}

func algorithm(row verify.Scheme) string {
	switch row.Construction {
	case "token", "ed25519":
		return row.Construction
	case "hash":
		return cmp.Or(row.Algorithm, "sha256")
	case "ecdsa", "rsa":
		return row.Construction + "-" + cmp.Or(row.Algorithm, "sha256")
	}
	return "hmac-" + cmp.Or(row.Algorithm, "sha256")
}

func encoding(row verify.Scheme) string {
	if row.Construction == "token" {
		return ""
	}
	return cmp.Or(row.Signature.Encoding, "hex")
}

func content(row verify.Scheme) string {
	if row.Construction == "token" {
		return "nothing"
	}
	return cmp.Or(row.Content, "{body}")
}

// age is how far off a message's time may be.
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

// tolerance is a duration in the largest unit that says it whole.
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

// place says where a signature stands.
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

// where says where a value stands; headers, the usual case, by name alone.
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

// form shows how a signature is wrapped.
func form(row verify.Scheme) string {
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

func secretKind(row verify.Scheme) string {
	switch row.Key {
	case "", "text":
		return "its text"
	case "sha1":
		return "the SHA-1 of its text"
	case "whsec":
		return "whsec_ and base64"
	}
	return row.Key
}
