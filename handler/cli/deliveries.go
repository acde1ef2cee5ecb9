package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// delivery is what the API tells of a delivery.
type delivery struct {
	ID             string    `json:"delivery_id"`
	EventID        string    `json:"event_id"`
	EventType      string    `json:"event_type"`
	Tenant         string    `json:"tenant"`
	SubscriptionID string    `json:"subscription_id"`
	URL            string    `json:"url"`
	State          string    `json:"state"`
	Reason         string    `json:"reason"` // why it is dead
	Attempts       int       `json:"attempts"`
	Created        time.Time `json:"created_at"`
	Held           bool      `json:"held"`
	Next           time.Time `json:"next_attempt_at"`
	Last           attempt   `json:"last_attempt"`
}

// attempt is what the API tells of an attempt.
type attempt struct {
	ID       string    `json:"attempt_id"`
	URL      string    `json:"url"`
	Number   int       `json:"number"`
	At       time.Time `json:"at"`
	Millis   int64     `json:"latency_ms"`
	Status   int       `json:"status"` // 0 where there was no answer
	Class    string    `json:"class"`
	Error    string    `json:"error_message"`
	Response string    `json:"response_body"`
	Binary   string    `json:"response_body_base64"`
}

// err is what is wrong with a delivery. The reason why it is dead names the last
// error where that is why.
func (d *delivery) err() string { return cmp.Or(d.Reason, d.Last.Error) }

// due tells whether a delivery waits for its turn although its time has come.
func (t *tool) due(d *delivery) bool { return !d.Next.IsZero() && !d.Next.After(t.now()) }

// nextOrLast is when a delivery is tried next, or was tried last.
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
	var l listFlags
	cmd := t.command(verb{
		use:   "list",
		short: "Lists deliveries, newest first",
		example: `
caddy webhooks deliveries list --state pending
caddy webhooks deliveries list --subscription-id sub_0199d3c2a4e00001 --since 1h`,
		run: func(c *call) error {
			head := []string{"DELIVERY ID", "STATE", "ATTEMPTS", "EVENT TYPE", "EVENT ID", "SUBSCRIPTION", "NEXT OR LAST", "ERROR"}
			return c.list("/deliveries", &l, head, rowOf(func(d *delivery) []string {
				return []string{clean(d.ID), clean(d.State), fmt.Sprint(d.Attempts), clean(d.EventType), clean(d.EventID), clean(d.SubscriptionID), c.nextOrLast(d), cell(d.err(), widest)}
			}))
		},
	})
	l.register(cmd.Flags())
	registerFilters(cmd.Flags(), "event-id", "subscription-id", "event-type", "tenant", "state", "since", "until")
	return cmd
}

func (t *tool) showDelivery() *cobra.Command {
	return t.command(verb{
		use:   "show <delivery-id>",
		short: "Shows a delivery with its attempts",
		example: `
caddy webhooks deliveries show dlv_0199d3c2a4e00001`,
		min: 1, max: 1,
		run: func(c *call) error { return c.showDelivery("/deliveries/", printing(printDelivery)) },
	})
}

// showDelivery shows a delivery, or a dead letter, and its attempts. As JSON
// it is the API's own object, with the attempts in it.
func (c *call) showDelivery(noun string, print printer) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	id := url.PathEscape(c.args[0])
	var answer json.RawMessage
	if err := client.do(c.context(), http.MethodGet, noun+id, nil, nil, &answer); err != nil {
		return err
	}
	attempts, err := client.all(c.context(), "/deliveries/"+id+"/attempts")
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, withAttempts(answer, attempts))
	}
	if err := print(c, answer); err != nil {
		return err
	}
	return printing(func(c *call, now *struct{ URL string }) error { return printAttempts(c, attempts, now.URL) })(c, answer)
}

// withAttempts puts the attempts into an object that says only how many they
// are.
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

func printDelivery(c *call, d *delivery) error {
	var f fields
	f.addText("Delivery", d.ID)
	f.addText("State", d.State)
	f.addText("Reason", d.Reason)
	f.addText("Event", d.EventID)
	f.addText("Event type", d.EventType)
	f.addText("Tenant", d.Tenant)
	f.addText("Subscription", d.SubscriptionID)
	f.addText("URL", d.URL)
	f.add("Created", c.when(d.Created))
	switch {
	case d.Held:
		f.add("Held", "until its subscription is active: `caddy webhooks status` shows why it isn't")
	case c.due(d):
		f.add("Due since", c.when(d.Next)+": `caddy webhooks status` shows what its subscription waits for")
	case !d.Next.IsZero():
		f.add("Next attempt", c.when(d.Next))
	}
	return f.flush(c.out)
}

// printAttempts prints their URLs where one went elsewhere than the next one goes.
func printAttempts(c *call, rows []json.RawMessage, next string) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(c.out, "\nNo attempt was made yet.")
		return err
	}
	attempts, elsewhere := make([]attempt, len(rows)), false
	for i, row := range rows {
		if err := decode(row, &attempts[i]); err != nil {
			return err
		}
		elsewhere = elsewhere || attempts[i].URL != "" && attempts[i].URL != next
	}
	head := []string{"#", "ATTEMPT ID", "AT", "TOOK", "STATUS", "CLASS", "ERROR", "ANSWER"}
	if elsewhere {
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
			cell(a.Class, 20), cell(a.Error, widest), cell(a.answer(), widest),
		}
		if elsewhere {
			cells = append(cells, cmp.Or(clean(a.URL), nothing))
		}
		t.row(cells...)
	}
	fmt.Fprintln(c.out)
	return t.flush(c.out)
}

// answer is what the receiver said, where a terminal can show it.
func (a *attempt) answer() string {
	if a.Binary != "" {
		return "not text: --json shows it in base64"
	}
	return a.Response
}

func (t *tool) redeliver() *cobra.Command {
	var all bool
	cmd := t.command(verb{
		use:   "redeliver <delivery-id or attempt-id>… | --all",
		short: "Queues deliveries again, by id or in bulk",
		long: `
Queues deliveries immediately, whatever their state.

With --all instead of ids, all that were delivered and match the filters are
queued again, the oldest first: use it if a receiver has lost what it accepted.
Either --since or --event-id is required. For those that failed, use
"caddy webhooks dead-letters redeliver".`,
		example: `
caddy webhooks deliveries redeliver dlv_0199d3c2a4e00001
caddy webhooks deliveries redeliver att_0199d3c2a4e00001 att_0199d3c2a4e00101
caddy webhooks deliveries redeliver --all --subscription-id sub_0199d3c2a4e00001 --since 3h`,
		min: 0, max: -1,
		run: func(c *call) error {
			query, err := c.filters()
			switch {
			case err != nil:
				return err
			case all && len(c.args) > 0:
				return usagef("ids and --all can't be given together")
			case all:
				return redeliverDelivered(c)
			case len(query) > 0:
				return usagef("filters select among what was delivered: add --all to queue every one that matches")
			case len(c.args) == 0:
				return usagef("name the deliveries to queue by their ids, or --all for every one that was delivered and matches the filters")
			}
			return c.each(http.MethodPost, "queued", nil, func(id string) string {
				noun := "/deliveries/"
				if strings.HasPrefix(id, "att_") {
					noun = "/attempts/"
				}
				return noun + url.PathEscape(id) + "/redeliver"
			})
		},
	})
	cmd.Flags().BoolVar(&all, "all", false, "All that were delivered and match the filters")
	registerFilters(cmd.Flags(), "event-id", "subscription-id", "event-type", "tenant", "since", "until")
	return cmd
}

func redeliverDelivered(c *call) error {
	body, err := c.past("deliver events again")
	if err != nil {
		return err
	}
	return c.work(work{
		method: http.MethodPost, path: "/deliveries/redeliver", body: body,
		done: "deliveries may be queued", stand: pendingNow,
	}, func(counts map[string]int) error {
		n := counts["redelivered"]
		if n == 0 {
			fmt.Fprintln(c.err, "Nothing that was delivered matches: `caddy webhooks deliveries list` shows what there is."+c.unknownSubscription())
		}
		_, err := fmt.Fprintf(c.out, "%s queued\n", count(n, "delivery", "deliveries"))
		return err
	})
}

func (t *tool) cancel() *cobra.Command {
	return t.command(verb{
		use:   "cancel <delivery-id>…",
		short: "Turns pending deliveries into dead letters, such as one that holds up an ordered subscription",
		example: `
caddy webhooks deliveries cancel dlv_0199d3c2a4e00001`,
		min: 1, max: -1,
		run: func(c *call) error {
			return c.each(http.MethodPost, "cancelled", nil, func(id string) string {
				return "/deliveries/" + url.PathEscape(id) + "/cancel"
			})
		},
	})
}
