package cli

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func (t *tool) tenants() *cobra.Command {
	return t.noun("tenants", "Deletes tenants", t.deleteTenant())
}

func (t *tool) deleteTenant() *cobra.Command {
	var dryRun bool
	cmd := t.command(verb{
		use:   "delete <tenant>",
		short: "Deletes everything that belongs to a tenant",
		long: `
Deletes everything that belongs to a tenant: its subscriptions with their secrets,
and its events with their payloads, deliveries, attempts and dead letters, even
if deliveries are pending. The command waits for attempts in flight. It can't be
undone.

First, remove the tenant's subscriptions from the Caddyfile, and stop publishing
for the tenant: events that are published meanwhile may stay. If the command is
interrupted, run it again to delete the rest.

The embedded store overwrites the space of events in its file later: to do so
now, stop Caddy and run "caddy webhooks store compact". Backups, the file of
dead_letter_log, and what receivers got stay as they are.`,
		example: `
caddy webhooks tenants delete acme --dry-run
caddy webhooks tenants delete acme`,
		min: 1, max: 1,
		run: func(c *call) error {
			if dryRun {
				return countTenant(c)
			}
			return c.longRequest(longRequest{
				method: http.MethodDelete, path: "/tenants/" + url.PathEscape(c.args[0]),
				partial: "of it may be deleted", progress: func(*serverStatus) string { return "still deleting" },
			}, func(counts map[string]int) error { return printTenant(c, "deleted", counts) })
		},
	})
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "Only show how many subscriptions and events would be deleted")
	return cmd
}

// countTenant prints how many subscriptions and events a tenant has.
func countTenant(c *call) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, list := range []string{"subscriptions", "events"} {
		if counts[list], err = c.countList(client, "/"+list, url.Values{"tenant": {c.args[0]}}); err != nil {
			return fmt.Errorf("counting %s: %w", list, err)
		}
	}
	if c.json {
		return printValue(c.out, counts)
	}
	return printTenant(c, "would be deleted", counts)
}

func printTenant(c *call, done string, counts map[string]int) error {
	if counts["subscriptions"]+counts["events"] == 0 {
		fmt.Fprintf(c.err, "Nothing belongs to a tenant %s (any more): %s shows the tenants of subscriptions.\n", clean(c.args[0]), c.line("subscriptions list"))
	}
	_, err := fmt.Fprintf(c.out, "%s and %s %s\n", count(counts["subscriptions"], "subscription", "subscriptions"), count(counts["events"], "event", "events"), done)
	return err
}
