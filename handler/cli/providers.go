package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func (t *tool) providers() *cobra.Command {
	var config configFlags
	cmd := t.command(verb{
		use:   "providers [<provider>]",
		short: "Shows the providers whose webhooks can be verified, and how they sign",
		long: `
Shows the table of signature schemes, or everything about one of them.

The name of a provider is the argument of webhook_verify. It can also be the
scheme of a subscription if "caddy webhooks providers <provider>" says that it
signs.

SIGNED is the template of what is signed. TIME is how old a message may be, or
"no" if no timestamp is signed. REPLAY is "yes" if replays are recognized by
default, "opt-in" if you have to set a duration, such as "replay ack 24h", and
"no" if two messages can have the same signature. BODY is "no" if parts of the
body can be changed without breaking the signature. HANDSHAKE is the provider's
handshake, which webhook_verify answers. A SOURCE that is "unconfirmed" is not
the provider's own documentation or code.

With --config, the schemes that a configuration defines are shown too. Their
SOURCE is "own".`,
		example: `
caddy webhooks providers
caddy webhooks providers stripe
caddy webhooks providers --json
caddy webhooks providers --config Caddyfile`,
		max: 1,
		run: func(c *call) error {
			table, err := ownSchemes(c, &config)
			if err != nil {
				return err
			}
			if len(c.args) == 0 {
				return listProviders(c, table)
			}
			row, err := lookup(table, c.args[0])
			if err != nil {
				return err
			}
			if c.json {
				return printValue(c.out, row)
			}
			return showProvider(c, row)
		},
	})
	config.register(cmd.Flags(), "Configuration file with schemes of your own")
	return cmd
}

// ownSchemes returns the schemes that a configuration file defines, none if there is no
// file. The title, the source and the like of the scheme that one starts from don't
// hold for it.
func ownSchemes(c *call, file *configFlags) (verify.Table, error) {
	config, err := file.read(c)
	if err != nil || config == nil {
		return nil, err
	}
	table, err := schemesIn(config)
	for name, row := range table {
		row.Aliases, row.Title, row.Source, row.Unconfirmed, row.Notes = nil, "", "own", false, ""
		table[name] = row
	}
	return table, err
}

// lookup returns a provider's scheme, or an error with suggestions.
func lookup(table verify.Table, name string) (verify.Scheme, error) {
	if row, ok := table.Lookup(name); ok {
		return row, nil
	}
	if near := table.Suggest(name); len(near) > 0 {
		return verify.Scheme{}, usagef("there is no provider %q: did you mean %s?", name, strings.Join(near, " or "))
	}
	return verify.Scheme{}, usagef("there is no provider %q: `caddy webhooks providers` lists them", name)
}

func listProviders(c *call, table verify.Table) error {
	rows := table.Schemes()
	if c.json {
		return printValue(c.out, rows)
	}
	t := newTable("PROVIDER", "ALGORITHM", "ENCODING", "SIGNED", "TIME", "REPLAY", "BODY", "HANDSHAKE", "SOURCE")
	for _, row := range rows {
		f := FactsOf(row)
		t.row(row.Name, f.Algorithm, cell(f.Encoding, 16), cell(f.Signed, 40), f.Time, f.Replay, f.Body, cell(f.Handshake, 24), source(row))
	}
	return t.flush(c.out)
}

func showProvider(c *call, row verify.Scheme) error {
	facts := FactsOf(row)
	var f fields
	f.addText("Name", row.Name)
	f.addText("Aliases", strings.Join(row.Aliases, ", "))
	f.addText("Provider", row.Title)
	f.addText("Signature", place(row.Signature))
	f.addText("Format", format(row))
	f.addText("Algorithm", facts.Algorithm)
	f.addText("Key", facts.Key)
	f.addText("Signed", facts.Signed)
	f.addText("Signed in forms", row.FormContent)
	f.addText("Timestamp", where(row.Timestamp.In, row.Timestamp.Name))
	f.addText("Delivery id", where(row.ID.In, row.ID.Name))
	f.addText("Event type", where(row.EventType.In, row.EventType.Name))
	f.addText("Time bound", facts.Time)
	f.addText("Replay bound", facts.Replay)
	f.addText("Body bound", facts.Body)
	f.addText("Handshake", facts.Handshake)
	f.addText("Acknowledged by", acknowledged(row.Acknowledge))
	f.addText("Content types", strings.Join(row.ContentTypes, ", "))
	if err := row.CanSign(); err != nil {
		f.addText("Signs", "no: "+err.Error())
	} else {
		f.addText("Signs", "yes")
	}
	f.addText("Notes", row.Notes)
	f.addText("Source", source(row))
	return f.flush(c.out)
}

// acknowledged describes the response that a provider requires, "" if any 2xx will
// do.
func acknowledged(a verify.Acknowledge) string {
	if a.Status == 0 {
		return ""
	}
	return strings.TrimSpace(fmt.Sprint(a.Status, " ", a.Body))
}

// source describes where a row's facts come from.
func source(row verify.Scheme) string {
	if row.Unconfirmed {
		return row.Source + " (unconfirmed)"
	}
	return row.Source
}
