package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// delivery is what the API tells of a delivery, a dead letter included.
type delivery struct {
	ID             string          `json:"delivery_id"`
	EventID        string          `json:"event_id"`
	EventType      string          `json:"event_type"`
	Tenant         string          `json:"tenant"`
	SubscriptionID string          `json:"subscription_id"`
	URL            string          `json:"url"`
	State          string          `json:"state"`
	Attempts       int             `json:"attempts"`
	Error          string          `json:"error_message"`
	Created        time.Time       `json:"created_at"`
	NextAttempt    time.Time       `json:"next_attempt_at"`
	LastAttempt    time.Time       `json:"last_attempt_at"`
	AttemptID      string          `json:"attempt_id"`
	Payload        json.RawMessage `json:"payload"`
}

// attempt is what the API tells of an attempt.
type attempt struct {
	ID       string    `json:"attempt_id"`
	Number   int       `json:"number"`
	At       time.Time `json:"started_at"`
	Millis   float64   `json:"latency_ms"`
	Status   int       `json:"status_code"`
	Class    string    `json:"error_class"`
	Error    string    `json:"error_message"`
	Response string    `json:"response_body"`
}

// nextOrLast is when a delivery is tried next, or was tried last.
func (t *tool) nextOrLast(d *delivery) string {
	if !d.NextAttempt.IsZero() {
		return t.when(d.NextAttempt)
	}
	return t.when(d.LastAttempt)
}

func (t *tool) deliveries() *cobra.Command {
	return t.noun("deliveries", "Shows deliveries and their attempts, and sends them again",
		t.listDeliveries(), t.showDelivery(), t.redeliver())
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
			return c.list("/deliveries", &l, head, func(row json.RawMessage) ([]string, error) {
				var d delivery
				err := decode(row, &d)
				return []string{clean(d.ID), clean(d.State), fmt.Sprint(d.Attempts), clean(d.EventType), clean(d.EventID), clean(d.SubscriptionID), c.nextOrLast(&d), cell(d.Error, 60)}, err
			})
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
		run: func(c *call) error { return c.showDelivery("/deliveries/") },
	})
}

// showDelivery shows a delivery, or a dead letter, and its attempts. As JSON
// it is the API's own object, with the attempts in it.
func (c *call) showDelivery(noun string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	id := url.PathEscape(c.args[0])
	var answer json.RawMessage
	if err := client.ask(c.context(), http.MethodGet, noun+id, nil, nil, &answer); err != nil {
		return err
	}
	var attempts page
	if err := client.ask(c.context(), http.MethodGet, "/deliveries/"+id+"/attempts", nil, nil, &attempts); err != nil {
		return err
	}
	return printDelivery(c, answer, attempts.Data)
}

func printDelivery(c *call, answer []byte, attempts []json.RawMessage) error {
	if c.json {
		var all map[string]json.RawMessage
		if err := decode(answer, &all); err != nil {
			return err
		}
		list, err := json.Marshal(attempts)
		if err != nil {
			return err
		}
		all["attempt_list"] = list
		return printValue(c.out, all)
	}
	var d delivery
	if err := decode(answer, &d); err != nil {
		return err
	}
	var f fields
	f.addText("Delivery", d.ID)
	f.addText("State", d.State)
	f.addText("Event", d.EventID)
	f.addText("Event type", d.EventType)
	f.addText("Tenant", d.Tenant)
	f.addText("Subscription", d.SubscriptionID)
	f.addText("URL", d.URL)
	f.add("Created", c.when(d.Created))
	if !d.NextAttempt.IsZero() {
		f.add("Next attempt", c.when(d.NextAttempt))
	}
	f.addText("Error", d.Error)
	f.addText("Payload", cut(string(d.Payload), maxShown))
	if err := f.flush(c.out); err != nil {
		return err
	}
	return printAttempts(c, attempts)
}

func printAttempts(c *call, attempts []json.RawMessage) error {
	if len(attempts) == 0 {
		_, err := fmt.Fprintln(c.out, "\nNo attempt was made yet.")
		return err
	}
	t := newTable("#", "ATTEMPT ID", "AT", "TOOK", "STATUS", "ERROR", "ANSWER")
	for _, row := range attempts {
		var a attempt
		if err := decode(row, &a); err != nil {
			return err
		}
		status := nothing
		if a.Status != 0 {
			status = fmt.Sprint(a.Status)
		}
		t.row(fmt.Sprint(a.Number), clean(a.ID), c.when(a.At), fmt.Sprintf("%.0f ms", a.Millis), status,
			cell(strings.TrimPrefix(a.Class+": "+a.Error, ": "), 80), cell(a.Response, 40))
	}
	fmt.Fprintln(c.out)
	return t.flush(c.out)
}

func (t *tool) redeliver() *cobra.Command {
	return t.command(verb{
		use:   "redeliver <delivery-id or attempt-id>…",
		short: "Queues deliveries at once, whatever their state",
		example: `
caddy webhooks deliveries redeliver dlv_0199d3c2a4e00001
caddy webhooks deliveries redeliver att_0199d3c2a4e00001 att_0199d3c2a4e00101`,
		min: 1, max: -1,
		run: func(c *call) error {
			return c.each(func(id string) string {
				noun := "/deliveries/"
				if strings.HasPrefix(id, "att_") {
					noun = "/attempts/"
				}
				return noun + url.PathEscape(id) + "/redeliver"
			})
		},
	})
}
