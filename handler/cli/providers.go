package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func (t *tool) providers() *cobra.Command {
	return t.command(verb{
		use:   "providers [<provider>]",
		short: "Shows the signature schemes: whose webhooks can be verified, and how they are signed",
		long: `
Shows the table of signature schemes, or all that is known of one.

A provider's name is what webhook_verify takes, and what a subscription's
scheme can be where the column SIGNS says yes.

Remarks: "part of the body" means that the signature leaves something of the
body open to change; "unconfirmed" that no source of the provider's own backs
the row; "handshake" that webhook_verify answers the provider's own.`,
		example: `
caddy webhooks providers
caddy webhooks providers stripe
caddy webhooks providers --json`,
		max: 1,
		run: func(c *call) error {
			if len(c.args) == 0 {
				return listProviders(c)
			}
			row, err := lookup(c.args[0])
			if err != nil {
				return err
			}
			if c.json {
				return printValue(c.out, row)
			}
			return showProvider(c, row)
		},
	})
}

// lookup finds a scheme by the name that a user wrote.
func lookup(name string) (verify.Scheme, error) {
	if row, ok := verify.Lookup(name); ok {
		return row, nil
	}
	var near []string
	for _, row := range verify.Schemes() {
		if len(name) > 2 && (strings.Contains(row.Name, strings.ToLower(name)) || strings.HasPrefix(name, row.Name)) {
			near = append(near, row.Name)
		}
	}
	if len(near) > 0 {
		return verify.Scheme{}, usagef("there is no provider %q: did you mean %s?", name, strings.Join(near[:min(5, len(near))], ", "))
	}
	return verify.Scheme{}, usagef("there is no provider %q: `caddy webhooks providers` lists them", name)
}

func listProviders(c *call) error {
	rows := verify.Schemes()
	if c.json {
		return printValue(c.out, rows)
	}
	t := newTable("NAME", "PROVIDER", "SIGNATURE", "ALGORITHM", "MAX AGE", "SIGNS", "REMARKS")
	for _, row := range rows {
		t.row(row.Name, cell(row.Title, 28), cell(place(row.Signature), 36), algorithm(row), age(row.Timestamp), yes(canSign(row) == nil), cell(remarks(row), 60))
	}
	return t.flush(c.out)
}

func showProvider(c *call, row verify.Scheme) error {
	var f fields
	f.addText("Name", row.Name)
	f.addText("Also", strings.Join(row.Aliases, ", "))
	f.addText("Provider", row.Title)
	f.addText("Signature", place(row.Signature))
	f.addText("Form", form(row.Signature))
	f.addText("Algorithm", algorithm(row))
	f.addText("Secret", secretKind(row))
	f.addText("Signed", content(row))
	f.addText("Maximal age", age(row.Timestamp))
	f.addText("Time", where(row.Timestamp.In, row.Timestamp.Name))
	f.addText("Delivery id", where(row.ID.In, row.ID.Name))
	f.addText("Event type", where(row.EventType.In, row.EventType.Name))
	f.addText("Handshake", row.Handshake)
	f.addText("Content types", strings.Join(row.ContentTypes, ", "))
	if err := canSign(row); err != nil {
		f.addText("Signs", "no: "+err.Error())
	} else {
		f.addText("Signs", "yes")
	}
	f.addText("Remarks", remarks(row))
	f.addText("Notes", row.Notes)
	f.addText("Source", row.Source)
	return f.flush(c.out)
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
func form(s verify.Signature) string {
	encoding := or(s.Encoding, "hex")
	one := s.Prefix + "<" + encoding + ">"
	if len(s.Tags) > 0 {
		one = s.Prefix + s.Tags[0] + or(s.Assign, "=") + "<" + encoding + ">"
	}
	if s.Separator != "" {
		one += s.Separator + "…"
	}
	return one
}

func algorithm(row verify.Scheme) string {
	switch row.Construction {
	case "token":
		return "token"
	case "hash":
		return or(row.Algorithm, "sha256")
	}
	return or(row.Construction, "hmac") + "-" + or(row.Algorithm, "sha256")
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

func content(row verify.Scheme) string {
	if row.Construction == "token" {
		return "nothing: the secret itself is sent"
	}
	return or(row.Content, "{body}")
}

// age is how old a message may be.
func age(t verify.Timestamp) string {
	switch {
	case t.In == "":
		return nothing
	case t.Past < 0:
		return "any"
	case t.Past == 0:
		return "5m"
	}
	return span(time.Duration(t.Past))
}

func remarks(row verify.Scheme) string {
	var words []string
	if row.UnboundBody {
		words = append(words, "part of the body")
	}
	if row.Handshake != "" {
		words = append(words, "handshake")
	}
	if row.Unconfirmed {
		words = append(words, "unconfirmed")
	}
	return strings.Join(words, ", ")
}

// canSign says why a scheme can't sign deliveries.
func canSign(row verify.Scheme) error {
	secret, err := verify.GenerateSecret(row)
	if err == nil {
		_, err = verify.NewSigner(row, []string{secret})
	}
	return err
}

func or(v, fallback string) string {
	if v == "" {
		return fallback
	}
	return v
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// schemeFlags let a user describe a scheme that has no row.
type schemeFlags struct{ file string }

const schemeHelp = `
A scheme that has no row is described by --scheme-file: a JSON object with the
fields that "caddy webhooks providers <provider> --json" shows. They replace
those of the provider that is named; "hmac" is an empty one.`

// read finds the row that a user named, and puts the file's fields over it.
func (s *schemeFlags) read(c *call, name string) (verify.Scheme, error) {
	row, err := lookup(name)
	if err != nil || s.file == "" {
		return row, err
	}
	text, err := c.read(s.file, "the scheme")
	if err != nil {
		return row, err
	}
	var over verify.Scheme
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&over); err != nil {
		return row, fmt.Errorf("reading the scheme from %s: %w", s.file, err)
	}
	return row.Merge(over), nil
}
