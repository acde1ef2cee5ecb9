package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// delivery is a delivery in the API.
type delivery struct {
	ID             string    `json:"delivery_id"`
	EventID        string    `json:"event_id"`
	EventType      string    `json:"event_type"`
	Tenant         string    `json:"tenant"`
	SubscriptionID string    `json:"subscription_id"`
	URL            string    `json:"url"`
	State          string    `json:"state"`
	Reason         string    `json:"reason"` // why it is a dead letter
	Attempts       int       `json:"attempts"`
	Created        time.Time `json:"created_at"`
	Held           bool      `json:"held"`
	Next           time.Time `json:"next_attempt_at"`
	Last           attempt   `json:"last_attempt"`
}

// attempt is an attempt in the API.
type attempt struct {
	ID       string    `json:"attempt_id"`
	URL      string    `json:"url"`
	Number   int       `json:"number"`
	At       time.Time `json:"at"`
	Millis   int64     `json:"latency_ms"`
	Status   int       `json:"status"` // 0 if there was no response
	Class    string    `json:"class"`
	Error    string    `json:"error_message"`
	Response string    `json:"response_body"`
	Binary   string    `json:"response_body_base64"`
}

// err is what is wrong with a delivery. The reason for a dead letter includes the
// last error if that is the cause.
func (d *delivery) err() string { return cmp.Or(d.Reason, d.Last.Error) }

// due reports whether the next attempt could have been made already.
func (t *tool) due(d *delivery) bool { return !d.Next.IsZero() && !d.Next.After(t.now()) }

// nextOrLast formats the time of the next attempt, or else of the last one.
func (t *tool) nextOrLast(d *delivery) string {
	switch {
	case d.Held:
		return "held"
	case t.due(d):
		return "due " + t.when(d.Next)
	case !d.Next.IsZero():
		return "next " + t.when(d.Next)
	case !d.Last.At.IsZero():
		return "last " + t.when(d.Last.At)
	}
	return nothing
}

func (t *tool) deliveries() *cobra.Command {
	return t.noun("deliveries", "Shows, redelivers and cancels deliveries",
		t.listDeliveries(), t.showDelivery(), t.redeliver(), t.cancel())
}

func (t *tool) listDeliveries() *cobra.Command {
	return listCommand(t, "/deliveries", verb{
		short: "Lists deliveries, newest first",
		example: `
caddy webhooks deliveries list --state pending
caddy webhooks deliveries list --subscription-id sub_0199d3c2a4e00001 --since 1h`,
		filters: []string{"event-id", "subscription-id", "event-type", "tenant", "state", "since", "until"},
	}, []string{"DELIVERY ID", "STATE", "ATTEMPTS", "EVENT TYPE", "EVENT ID", "SUBSCRIPTION", "TENANT", "NEXT OR LAST", "ERROR"}, func(c *call, d *delivery) []string {
		return []string{clean(d.ID), clean(d.State), fmt.Sprint(d.Attempts), clean(d.EventType), clean(d.EventID), clean(d.SubscriptionID), cell(d.Tenant, 24), c.nextOrLast(d), cell(d.err(), widest)}
	})
}

func (t *tool) showDelivery() *cobra.Command {
	return t.command(verb{
		use:   "show <delivery-id>",
		short: "Shows a delivery with its attempts",
		example: `
caddy webhooks deliveries show dlv_0199d3c2a4e00001`,
		min: 1, max: 1,
		run: func(c *call) error { return c.showDelivery("/deliveries", printing(printDelivery)) },
	})
}

// showDelivery prints a delivery or dead letter of a list, and its attempts. As JSON,
// it is the API's own object with the attempts added.
func (c *call) showDelivery(list string, print printer) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var response json.RawMessage
	if err := client.do(c.cmd.Context(), http.MethodGet, pathOf(list, c.args[0]), nil, nil, &response); err != nil {
		return err
	}
	attempts, err := client.all(c.cmd.Context(), pathOf("/deliveries", c.args[0])+"/attempts")
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, withAttempts(response, attempts))
	}
	if err := print(c, response); err != nil {
		return err
	}
	var d delivery // a dead letter has a URL too
	if err := decode(response, &d); err != nil {
		return err
	}
	return printAttempts(c, attempts, d.URL)
}

// withAttempts adds the attempts to an object that only has their number, as the
// field attempt_list.
func withAttempts(object []byte, attempts []json.RawMessage) []byte {
	out := bytes.NewBuffer(bytes.TrimSuffix(bytes.TrimSpace(object), []byte("}")))
	out.WriteString(`,"attempt_list":[`)
	for i, a := range attempts {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(a)
	}
	out.WriteString("]}")
	return out.Bytes()
}

// addTo adds what a delivery and a dead letter have in common.
func (d *delivery) addTo(f *fields, c *call) {
	f.addText("Reason", d.Reason)
	f.addText("Event", d.EventID)
	f.addText("Event type", d.EventType)
	f.addText("Tenant", d.Tenant)
	f.addText("Subscription", d.SubscriptionID)
	f.addText("URL", d.URL)
	f.add("Created", c.when(d.Created))
}

func printDelivery(c *call, d *delivery) error {
	var f fields
	f.addText("Delivery", d.ID)
	f.addText("State", d.State)
	d.addTo(&f, c)
	switch {
	case d.Held:
		f.add("Held", "until its subscription is active: "+c.line("status")+" shows why it isn't")
	case c.due(d):
		f.add("Due since", c.when(d.Next)+": "+c.line("status")+" shows what its subscription waits for")
	case !d.Next.IsZero():
		f.add("Next attempt", c.when(d.Next))
	}
	return f.flush(c.out)
}

// printAttempts prints a table of attempts. Their URLs are only shown if one differs
// from that of the next attempt.
func printAttempts(c *call, rows []json.RawMessage, nextURL string) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(c.out, "\nNo attempt has been made yet.")
		return err
	}
	attempts, moved := make([]attempt, len(rows)), false
	for i, row := range rows {
		if err := decode(row, &attempts[i]); err != nil {
			return err
		}
		moved = moved || attempts[i].URL != "" && attempts[i].URL != nextURL
	}
	head := []string{"#", "ATTEMPT ID", "AT", "TOOK", "STATUS", "CLASS", "ERROR", "RESPONSE"}
	if moved {
		head = append(head, "URL")
	}
	t := newTable(head...)
	for _, a := range attempts {
		status := nothing
		if a.Status != 0 {
			status = fmt.Sprint(a.Status)
		}
		cells := []string{
			fmt.Sprint(a.Number), clean(a.ID), c.when(a.At), fmt.Sprintf("%d ms", a.Millis), status,
			cell(a.Class, 20), cell(a.Error, widest), cell(a.response(), widest),
		}
		if moved {
			cells = append(cells, cmp.Or(clean(a.URL), nothing))
		}
		t.row(cells...)
	}
	fmt.Fprintln(c.out)
	return t.flush(c.out)
}

// response is the body of the receiver's response, if a terminal can show it.
func (a *attempt) response() string {
	if a.Binary != "" {
		return "not text: --json shows it in base64"
	}
	return a.Response
}

func (t *tool) redeliver() *cobra.Command {
	return t.bulk(bulk{
		change: change{method: http.MethodPost, list: "/deliveries", action: "/redeliver", attempts: true, done: "queued"},
		do:     "redeliver", one: "delivery", many: "deliveries", delivered: true, countField: "redelivered",
		filters:  []string{"event-id", "subscription-id", "event-type", "tenant", "since", "until"},
		progress: func(url.Values) progressText { return pendingNow },
		hintNone: func(c *call) {
			fmt.Fprintln(c.err, "Nothing that was delivered matches: "+c.line("deliveries list")+" shows all deliveries.")
		},
	}, verb{
		use:   "redeliver <delivery-id or attempt-id>… | --all",
		short: "Redelivers deliveries, by id or in bulk",
		long: `
Redelivers deliveries, whatever their state: they are queued, and attempted
immediately.

With --all instead of ids, all that were delivered and match the filters are
redelivered, the oldest first: use it if a receiver has lost what it accepted.
Either --since or --event-id is required. For those that failed, use
"caddy webhooks dead-letters redeliver".`,
		example: `
caddy webhooks deliveries redeliver dlv_0199d3c2a4e00001
caddy webhooks deliveries redeliver att_0199d3c2a4e00001 att_0199d3c2a4e00101
caddy webhooks deliveries redeliver --all --subscription-id sub_0199d3c2a4e00001 --since 3h --dry-run
caddy webhooks deliveries redeliver --all --subscription-id sub_0199d3c2a4e00001 --since 3h`,
	})
}

func (t *tool) cancel() *cobra.Command {
	return t.command(verb{
		use:   "cancel <delivery-id>…",
		short: "Turns pending deliveries into dead letters, such as one that holds up an ordered subscription",
		example: `
caddy webhooks deliveries cancel dlv_0199d3c2a4e00001`,
		min: 1, max: -1,
		run: change{method: http.MethodPost, list: "/deliveries", action: "/cancel", done: "cancelled"}.run,
	})
}
