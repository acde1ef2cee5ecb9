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
	var dry bool
	cmd := t.command(verb{
		use:   "delete <tenant>",
		short: "Deletes all that there is of a tenant",
		long: `
Deletes all that there is of a tenant: its subscriptions with their secrets, and
its events with their payloads, deliveries, attempts and dead letters, also those
that are pending. Attempts under way are waited for. It can't be undone.

Subscriptions of the tenant in the Caddyfile have to be removed there first. Stop
publishing for the tenant too: what is published meanwhile may stay. The command
can be run again, also for the rest after it was interrupted.

The embedded store overwrites the space of events in its file later: to do so
now, stop Caddy and run "caddy webhooks store compact". Backups, the file of
dead_letter_log, and what receivers got stay as they are.`,
		example: `
caddy webhooks tenants delete acme --dry-run
caddy webhooks tenants delete acme`,
		min: 1, max: 1,
		run: func(c *call) error {
			if dry {
				return countTenant(c)
			}
			return c.work(work{
				method: http.MethodDelete, path: "/tenants/" + url.PathEscape(c.args[0]),
				done: "of it may be deleted", stand: func(*serverStatus) string { return "still deleting" },
			}, func(counts map[string]int) error { return printTenant(c, "deleted", counts) })
		},
	})
	cmd.Flags().BoolVar(&dry, "dry-run", false, "Only show how much there is")
	return cmd
}

// countTenant tells how much there is of a tenant.
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
		fmt.Fprintf(c.err, "There is nothing of a tenant %s (any more): `caddy webhooks subscriptions list` shows which tenants there are.\n", clean(c.args[0]))
	}
	_, err := fmt.Fprintf(c.out, "%s and %s %s\n", count(counts["subscriptions"], "subscription", "subscriptions"), count(counts["events"], "event", "events"), done)
	return err
}
