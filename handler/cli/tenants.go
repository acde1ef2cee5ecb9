package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func (t *tool) tenants() *cobra.Command {
	return t.noun("tenants", "Lets tenants in, and deletes them", t.issueToken(), t.deleteTenant())
}

// tenantToken is a token for a tenant, as the API returns it.
type tenantToken struct {
	Token   string    `json:"token"`
	Tenant  string    `json:"tenant"`
	Scope   string    `json:"scope"`
	Expires time.Time `json:"expires_at"`
}

func (t *tool) issueToken() *cobra.Command {
	var scope, life string
	cmd := t.command(verb{
		use:   "token <tenant>",
		short: "Issues a token that lets a tenant see and change what is its own",
		long: `
Issues a token with which a webhook_api shows and changes only what belongs to one
tenant, and prints a link to the dashboard with it. Whoever has it is let in until
it expires: treat it like a password.

The token is made from the manage token that requests it, which needs 24 characters
or more, and nothing is stored. To end it early, replace the manage token in the
Caddyfile, which ends all that it has issued. Caddy's admin endpoint has no token to
make it from, so --api or the variable ` + apiVariable + ` is needed.`,
		example: `
caddy webhooks tenants token acme --api ` + exampleAPI + `
caddy webhooks tenants token acme --scope read --expires-in 8h --json`,
		min: 1, max: 1,
		run: func(c *call) error {
			if err := c.refuseEmpty("scope", "expires-in"); err != nil {
				return err
			}
			body := c.changedFields("", map[string]any{"scope": scope, "expires-in": life})
			return c.act(http.MethodPost, pathOf("/tenants", c.args[0])+"/tokens", body, printing(printTenantToken))
		},
	})
	cmd.Flags().StringVar(&scope, "scope", "", "What it allows: read, or manage, which includes publishing (default: manage)")
	cmd.Flags().StringVar(&life, "expires-in", "", "How long it is valid, up to 7d (default: 1h)")
	return cmd
}

func printTenantToken(c *call, t *tenantToken) error {
	var f fields
	f.addText("Tenant", t.Tenant)
	f.addText("Scope", t.Scope)
	f.add("Expires", t.Expires.In(c.zone).Format(time.DateTime)) // not how long that is, which would be rounded
	f.addText("Token", t.Token)
	f.addText("Dashboard", c.connection.baseURL+"/#token="+t.Token)
	return f.flush(c.out)
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
				method: http.MethodDelete, path: pathOf("/tenants", c.args[0]),
				partial: "of it may be deleted", progress: func(_, _ *serverStatus) string { return "still deleting" },
			}, func(counts map[string]int) error { return printTenant(c, "deleted", counts) })
		},
	})
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "Only show how many subscriptions and events would be deleted")
	return cmd
}

// countTenant prints how many subscriptions and events a tenant has.
func countTenant(c *call) (err error) {
	counts := map[string]int{}
	for _, list := range []string{"subscriptions", "events"} {
		if counts[list], err = c.countList("/"+list, list, url.Values{"tenant": {c.args[0]}}); err != nil {
			return err
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
