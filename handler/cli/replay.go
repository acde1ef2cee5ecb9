package cli

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func (t *tool) replay() *cobra.Command {
	return t.command(verb{
		use:   "replay <subscription-id>",
		short: "Sends past events to a subscription that did not get them",
		long: `
Sends a subscription the past events that match its event types, tenant and
filter, as if it had existed when they were published. Use it after creating a
subscription, or after adding an event type to one.

Events that already have a delivery to the subscription, in whatever state, are
left out, as are those that have been removed. To redeliver events, use
"caddy webhooks deliveries redeliver" or "caddy webhooks dead-letters redeliver".
The oldest event is sent first, after the deliveries that are already pending.`,
		example: `
caddy webhooks subscriptions replay sub_0199d3c2a4e00001 --since 24h
caddy webhooks subscriptions replay sub_0199d3c2a4e00001 --since 7d --event-type 'order.*'
caddy webhooks subscriptions replay sub_0199d3c2a4e00001 --event-id evt_0199d3c2a4e00001`,
		min: 1, max: 1,
		filters: []string{"event-id", "event-type", "since", "until"},
		run:     runReplay,
	})
}

func runReplay(c *call) error {
	query, err := c.filters()
	if err != nil {
		return err
	}
	body, err := pastEvents(query, "replay events")
	if err != nil {
		return err
	}
	return c.longRequest(longRequest{
		method: http.MethodPost, path: pathOf("/subscriptions", c.args[0]) + "/replay", body: body,
		partial: "events may be replayed", progress: pendingNow,
	}, func(counts map[string]int) error {
		n := counts["replayed"]
		if n == 0 {
			fmt.Fprintln(c.err, "Either the subscription matches none of these events, or it already has a delivery for each: "+c.line("deliveries list")+" shows those, and "+c.line("deliveries redeliver --all")+" sends them again.")
		}
		_, err := fmt.Fprintf(c.out, "%s replayed\n", count(n, "event", "events"))
		return err
	})
}
