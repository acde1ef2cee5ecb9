package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// event is an event in the API.
type event struct {
	ID          string            `json:"event_id"`
	Type        string            `json:"event_type"`
	Tenant      string            `json:"tenant"`
	ContentType string            `json:"content_type"`
	Headers     map[string]string `json:"headers"`
	Created     time.Time         `json:"created_at"`
	Deliveries  []delivery        `json:"deliveries"`
	Next        string            `json:"next_cursor"` // "" unless there are more deliveries
	payload
}

// payload is a payload in the API's responses: JSON as it is, other text as a
// string, anything else in base64.
type payload struct {
	JSON   json.RawMessage `json:"payload"`
	Text   string          `json:"payload_text"`
	Base64 string          `json:"payload_base64"`

	Removed bool `json:"payload_removed"` // by retain_size
}

// maxShown is how many characters of a payload are shown; --json shows all of it.
const maxShown = 2000

func (p *payload) show(f *fields) {
	text := cmp.Or(string(p.JSON), p.Text)
	switch {
	case p.Base64 != "":
		text = "base64 " + p.Base64
	case p.Removed:
		text = "removed when the store had outgrown retain_size"
	}
	f.addText("Payload", cut(text, maxShown))
}

func (t *tool) events() *cobra.Command {
	return t.noun("events", "Publishes and shows events",
		t.publishEvent(), t.listEvents(), t.showEvent(), t.deleteEvent())
}

type publishFlags struct {
	payload bodyFlags
	id      string
	tenant  string
	headers []string
}

func (t *tool) publishEvent() *cobra.Command {
	var p publishFlags
	cmd := t.command(verb{
		use:   "publish <event-type>",
		short: "Publishes an event: it is delivered to every subscription that matches",
		long: `
Publishes an event. If the command succeeds, the event is stored durably; its
deliveries follow.

The payload is any JSON value, and delivered byte for byte. It is read from
--payload, --payload-file or standard input.

With --event-id, it is safe to publish an event again after an error: a second
one with the same id, type and payload changes nothing, whatever its headers.`,
		example: `
caddy webhooks events publish order.created --payload '{"order":7}'
caddy webhooks events publish order.created --payload-file order.json --event-id order-7-created
caddy webhooks events publish order.created --payload-file order.json --header 'X-Env: test'
jq .order dump.json | caddy webhooks events publish order.created`,
		min: 1, max: 1,
		run: p.run,
	})
	f := cmd.Flags()
	p.payload.register(f, "payload", "payload")
	f.StringVar(&p.id, "event-id", "", "The event's id, unique within its tenant (default: generated)")
	f.StringVar(&p.tenant, "tenant", "", "The tenant that the event belongs to")
	f.StringArrayVarP(&p.headers, "header", "H", nil, "Header to send with each of its deliveries, as \"Name: value\"; those of a subscription take precedence")
	return cmd
}

func (p *publishFlags) run(c *call) error {
	if err := c.refuseEmpty("event-id", "tenant"); err != nil {
		return err
	}
	if _, err := c.client(); err != nil { // fails before a payload is read from the terminal
		return err
	}
	payload, err := p.payload.read(c, "the payload")
	if err != nil {
		return err
	}
	headers, err := parseHeaders(p.headers)
	if err != nil {
		return err
	}
	body, err := envelope(struct {
		Type    string            `json:"event_type"`
		ID      string            `json:"event_id,omitempty"`
		Tenant  string            `json:"tenant,omitempty"`
		Headers map[string]string `json:"headers,omitempty"`
	}{c.args[0], p.id, p.tenant, flat(headers)}, payload)
	if err != nil {
		return err
	}
	return c.withRetryHint(c.request(http.MethodPost, "/events", nil, body, printing(printPublished)), "event-id", "The event may have been stored", "events list")
}

// published is the API's response to a published event.
type published struct {
	ID         string `json:"event_id"`
	Deliveries int    `json:"deliveries"`
	Duplicate  bool   `json:"duplicate"`
}

func printPublished(c *call, p *published) error {
	format := "%s published to %s\n"
	if p.Duplicate {
		format = "%s was published before, to %s: nothing was done\n"
	}
	_, err := fmt.Fprintf(c.out, format, clean(p.ID), count(p.Deliveries, "subscription", "subscriptions"))
	return err
}

// envelope makes the body of a request from an object, which must not be empty, and
// a payload. The payload's bytes stay as they are, which an encoder would change.
func envelope(head any, payload []byte) ([]byte, error) {
	if err := checkJSON(payload); err != nil {
		return nil, err
	}
	body := append(bytes.TrimSuffix(encode(head), []byte("}")), `,"payload":`...)
	return append(append(body, payload...), '}'), nil
}

// checkJSON makes sure that a payload is one JSON value. It can't add fields to its
// envelope then.
func checkJSON(payload []byte) error {
	if len(bytes.TrimSpace(payload)) == 0 {
		return usagef("the payload is empty: give it with --payload, --payload-file or on standard input; for an event without data, use {}")
	}
	var value json.RawMessage
	err := json.Unmarshal(payload, &value)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("the payload is not JSON: %w, at byte %d; text needs quotes, as in '\"text\"'", err, syntax.Offset)
	}
	return err
}

// eventFilters are the flags that select events.
var eventFilters = []string{"event-id", "subscription-id", "event-type", "tenant", "state", "since", "until", "filter"}

func (t *tool) listEvents() *cobra.Command {
	return listCommand(t, "/events", verb{
		short: "Lists events, newest first",
		example: `
caddy webhooks events list
caddy webhooks events list --event-type 'order.*' --since 24h
caddy webhooks events list --since 24h --filter 'payload.customer == "cus_7"'
caddy webhooks events list --all --json | jq -r '.data[].event_id'`,
		filters: eventFilters,
	}, []string{"EVENT ID", "EVENT TYPE", "TENANT", "PUBLISHED"}, func(c *call, e *event) []string {
		return []string{clean(e.ID), clean(e.Type), cell(e.Tenant, 24), c.when(e.Created)}
	})
}

func (t *tool) showEvent() *cobra.Command {
	return t.command(verb{
		use:   "show <event-id>",
		short: "Shows an event with its payload and its deliveries",
		example: `
caddy webhooks events show evt_0199d3c2a4e00001
caddy webhooks events show order-7-created --tenant acme --json`,
		min: 1, max: 1,
		filters: []string{"tenant"},
		run: func(c *call) error {
			query, err := c.filters()
			if err != nil {
				return err
			}
			query.Set("limit", strconv.Itoa(maxPage)) // of its deliveries
			return c.show(pathOf("/events", c.args[0]), query, printing(printEvent))
		},
	})
}

func (t *tool) deleteEvent() *cobra.Command {
	return t.bulk(bulk{
		change: change{method: http.MethodDelete, list: "/events", done: "deleted"},
		do:     "delete", one: "event", many: "events", filters: eventFilters, idScope: "tenant", countField: "deleted",
		progress: func(url.Values) progressText {
			return func(_, _ *serverStatus) string { return "still deleting events" }
		},
		hintLeft: hintPending,
	}, verb{
		use:   "delete <event-id>… | --all",
		short: "Deletes events, by id or in bulk, with their payloads, deliveries and attempts",
		long: `
Deletes events along with their payloads, deliveries, attempts and dead letters,
for example because they hold data that must not be kept. Pending deliveries have
to be cancelled first: "caddy webhooks deliveries cancel".

With --all instead of ids, all events that match the filters are deleted, or all
that there are without filters, except for those with a pending delivery. To
delete all that there is of a tenant, use "caddy webhooks tenants delete".

The embedded store overwrites the space in its file later: to do so now, stop
Caddy and run "caddy webhooks store compact". Backups, the file of
dead_letter_log, and what receivers got stay as they are.`,
		example: `
caddy webhooks events delete evt_0199d3c2a4e00001
caddy webhooks events delete order-7-created --tenant acme
caddy webhooks events delete --all --tenant acme --event-type 'order.*' --dry-run
caddy webhooks events delete --all --filter 'payload.customer == "cus_7"'`,
	})
}

// hintPending says what to do about events that were not deleted because a delivery
// is pending.
func hintPending(c *call, counts map[string]int) {
	if n := counts["pending"]; n > 0 {
		fmt.Fprintf(c.err, "%s not deleted, since a delivery is pending: wait until it is settled, or cancel it. %s shows such deliveries.\n", count(n, "event was", "events were"), c.line("deliveries list --state pending"))
	}
}

func printEvent(c *call, e *event) error {
	var f fields
	f.addText("Event", e.ID)
	f.addText("Event type", e.Type)
	f.addText("Tenant", e.Tenant)
	f.add("Published", c.when(e.Created))
	f.addText("Content type", e.ContentType)
	f.addAll("Header", e.Headers)
	e.show(&f)
	if err := f.flush(c.out); err != nil {
		return err
	}
	if len(e.Deliveries) == 0 {
		_, err := fmt.Fprintln(c.out, "\nNo subscription matched it.")
		return err
	}
	fmt.Fprintln(c.out)
	t := newTable("DELIVERY ID", "SUBSCRIPTION", "STATE", "ATTEMPTS", "NEXT OR LAST", "ERROR")
	for _, d := range e.Deliveries {
		t.row(clean(d.ID), clean(d.SubscriptionID), clean(d.State), fmt.Sprint(d.Attempts), c.nextOrLast(&d), cell(d.err(), widest))
	}
	if e.Next != "" {
		fmt.Fprintf(c.err, "There are more: %s lists all.\n", c.line("deliveries list --event-id "+shellWord(clean(e.ID))))
	}
	return t.flush(c.out)
}
