package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// maxLine bounds a line of the stream, which holds a delivery without its payload.
const maxLine = 1 << 20

func (t *tool) tail() *cobra.Command {
	return online(t.command(verb{
		use:   "tail",
		short: "Shows each attempt as it happens",
		long: `
Shows each attempt as it happens, until interrupted. After a reload or a restart
of Caddy, it continues if Caddy is back within --timeout. Attempts made in the
meantime are not shown; see "caddy webhooks deliveries list".

With --json, each line is the delivery after the attempt.`,
		example: `
caddy webhooks tail
caddy webhooks tail --state pending,dead
caddy webhooks tail --json --event-type order.* | jq .last_attempt.error_message`,
		filters: []string{"event-id", "subscription-id", "event-type", "tenant", "state"},
		run:     (*call).tail,
	}))
}

// tail prints the stream of attempts. When the stream ends, it connects again.
func (c *call) tail() error {
	query, err := c.filters()
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	body, err := client.stream(c.cmd.Context(), "/tail", query, typeEvents)
	if err != nil {
		return err
	}
	if unknown := c.unknown(); unknown != "" {
		fmt.Fprintln(c.err, strings.TrimSpace(unknown))
	}
	if !c.json {
		fmt.Fprintf(c.out, tailFormat, "AT", "STATE", "#", "STATUS", "TOOK", "EVENT TYPE", "SUBSCRIPTION", "TENANT", "DELIVERY ID", "ERROR")
	}
	for {
		err := c.follow(body)
		body.Close()
		if err != nil || c.cmd.Context().Err() != nil {
			return err
		}
		fmt.Fprintln(c.err, "The connection ended, as it does when Caddy reloads: reconnecting.")
		if body, err = c.reconnect(client, query); err != nil {
			return err
		}
	}
}

const (
	typeEvents = "text/event-stream"

	tailFormat = "%-8s  %-9s  %-3s  %-13s  %-8s  %-24s  %-20s  %-12s  %-20s  %s\n"

	reconnectPause = 500 * time.Millisecond
)

// reconnect connects again, trying for as long as the client's timeout. It stops if
// Caddy refuses the request.
func (c *call) reconnect(client *client, query url.Values) (body io.ReadCloser, err error) {
	for until := time.Now().Add(client.timeout); ; {
		select {
		case <-time.After(reconnectPause):
		case <-c.cmd.Context().Done():
			return nil, c.cmd.Context().Err()
		}
		body, err = client.stream(c.cmd.Context(), "/tail", query, typeEvents)
		refused, _ := errors.AsType[*problem](err)
		if err == nil || time.Now().After(until) || refused != nil && refused.Status < 500 {
			return body, err
		}
	}
}

// follow prints a stream until it ends, which is not an error.
func (c *call) follow(body io.Reader) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	var event string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			event = value
		case "data":
			if err := c.printTailed(event, value); err != nil {
				return err
			}
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("reading the stream: a line is longer than %d bytes: check that this command has the same version as the running Caddy", maxLine)
	}
	return nil // if the connection broke, tail connects again
}

// printTailed prints one event of the stream.
func (c *call) printTailed(event, data string) error {
	switch event {
	case "missed":
		var missed struct {
			Attempts int `json:"attempts"`
		}
		if err := decode([]byte(data), &missed); err != nil {
			return err
		}
		_, err := fmt.Fprintf(c.err, "%s left out, since they came faster than they could be shown.\n", count(missed.Attempts, "attempt was", "attempts were"))
		return err
	case "attempt":
		if c.json {
			_, err := fmt.Fprintln(c.out, data)
			return err
		}
		var d delivery
		if err := decode([]byte(data), &d); err != nil {
			return err
		}
		return printTrimmed(c.out, c.tailed(&d))
	}
	return nil // later versions may have other events
}

// tailed formats the line about an attempt.
func (t *tool) tailed(d *delivery) string {
	status := d.Last.Class
	if d.Last.Status != 0 {
		status = fmt.Sprint(d.Last.Status)
	}
	words := clean(d.Last.Error)
	if !d.Next.IsZero() {
		words += ", next " + ago(t.now().Sub(d.Next))
	}
	return fmt.Sprintf(tailFormat, d.Last.At.In(t.zone).Format(time.TimeOnly), clean(d.State), fmt.Sprint(d.Last.Number), cell(status, 13),
		fmt.Sprintf("%d ms", d.Last.Millis), cell(d.EventType, 24), clean(d.SubscriptionID), cell(d.Tenant, 24), clean(d.ID), words)
}
