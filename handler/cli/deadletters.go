package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// deadLetter is a dead letter in the API: a delivery, of which it has most fields.
type deadLetter struct {
	delivery
	Failed      time.Time `json:"failed_at"`
	Class       string    `json:"class"` // of the last attempt
	ContentType string    `json:"content_type"`
	payload
}

func (t *tool) deadLetters() *cobra.Command {
	return t.noun("dead-letters", "Shows, redelivers and deletes dead letters",
		t.listDeadLetters(), t.showDeadLetter(), t.redeliverDead(), t.exportDead(), t.deleteDead())
}

const typeNDJSON = "application/x-ndjson"

// deadFilters are the flags that select dead letters; failureFilters are those that select
// nothing else.
var (
	failureFilters = []string{"failed-since", "failed-until", "class", "status"}
	deadFilters    = append([]string{"event-id", "subscription-id", "event-type", "tenant", "since", "until"}, failureFilters...)
)

func (t *tool) listDeadLetters() *cobra.Command {
	return listCommand(t, "/dead-letters", verb{
		short: "Lists dead letters, newest first",
		example: `
caddy webhooks dead-letters list
caddy webhooks dead-letters list --failed-since 1h
caddy webhooks dead-letters list --subscription-id sub_0199d3c2a4e00001 --failed-since 24h`,
		filters: deadFilters,
	}, []string{"DELIVERY ID", "EVENT TYPE", "EVENT ID", "SUBSCRIPTION", "TENANT", "URL", "ATTEMPTS", "FAILED", "CLASS", "REASON"}, func(c *call, d *deadLetter) []string {
		return []string{clean(d.ID), clean(d.EventType), clean(d.EventID), clean(d.SubscriptionID), cell(d.Tenant, 24), cell(d.URL, 48), fmt.Sprint(d.Attempts), c.when(d.Failed), cell(d.Class, 20), cell(d.Reason, widest)}
	})
}

func (t *tool) showDeadLetter() *cobra.Command {
	return t.command(verb{
		use:   "show <delivery-id>",
		short: "Shows a dead letter with its payload and its attempts",
		example: `
caddy webhooks dead-letters show dlv_0199d3c2a4e00001`,
		min: 1, max: 1,
		run: func(c *call) error { return c.showDelivery("/dead-letters", printing(printDeadLetter)) },
	})
}

func printDeadLetter(c *call, d *deadLetter) error {
	var f fields
	f.addText("Dead letter", d.ID)
	d.addTo(&f, c)
	f.add("Failed", c.when(d.Failed))
	f.addText("Content type", d.ContentType)
	d.show(&f)
	return f.flush(c.out)
}

func (t *tool) redeliverDead() *cobra.Command {
	return t.bulk(bulkDead(bulk{change: change{method: http.MethodPost, action: "/redeliver", done: "queued"}, do: "redeliver", countField: "redelivered", hintNone: hintNoneQueued}), verb{
		use:   "redeliver <delivery-id>… | --all",
		short: "Redelivers dead letters, by id or in bulk",
		long: `
Redelivers dead letters: they are queued, attempted immediately, and then retried
on the full schedule.

With --all instead of ids, all dead letters that match the filters are queued,
or all that there are without filters, except for those whose subscription was
deleted.`,
		example: `
caddy webhooks dead-letters redeliver dlv_0199d3c2a4e00001
caddy webhooks dead-letters redeliver --all --subscription-id sub_0199d3c2a4e00001 --failed-since 24h
caddy webhooks dead-letters redeliver --all --class dns --failed-since 24h`,
	})
}

func (t *tool) deleteDead() *cobra.Command {
	return t.bulk(bulkDead(bulk{change: change{method: http.MethodDelete, done: "deleted"}, do: "delete", countField: "deleted"}), verb{
		use:   "delete <delivery-id>… | --all",
		short: "Deletes dead letters, by id or in bulk",
		long: `
Removes dead letters that will not be redelivered from the list. They remain as
deliveries in the state discarded until their event is removed:
"caddy webhooks deliveries redeliver" brings one back.

With --all instead of ids, all dead letters that match the filters are deleted,
or all that there are without filters.`,
		example: `
caddy webhooks dead-letters delete dlv_0199d3c2a4e00001
caddy webhooks dead-letters delete --all --subscription-id sub_0199d3c2a4e00001 --dry-run
caddy webhooks dead-letters delete --all --subscription-id sub_0199d3c2a4e00001`,
	})
}

// bulkDead fills in what the bulk changes of dead letters have in common.
func bulkDead(b bulk) bulk {
	b.list, b.one, b.many, b.filters = "/dead-letters", "dead letter", "dead letters", deadFilters
	b.progress = func(query url.Values) progressText { return deadProgress(query, b.done) }
	return b
}

// deadProgress counts the dead letters that there are no more. Their total is only known
// if all are changed, or all of one subscription.
func deadProgress(query url.Values, done string) progressText {
	subscription, rest := query.Get("subscription_id"), maps.Clone(query)
	rest.Del("subscription_id")
	rest.Del("all")
	return func(before, now *serverStatus) string {
		total := before.dead(subscription)
		n := max(0, total-now.dead(subscription)) // others may have come
		if len(rest) > 0 {
			return count(n, "dead letter", "dead letters") + " " + done + " so far"
		}
		return thousands(n) + " of " + count(total, "dead letter", "dead letters") + " " + done
	}
}

func hintNoneQueued(c *call) {
	fmt.Fprintln(c.err, "Either none match, or their subscriptions were deleted: "+c.line("dead-letters list")+" shows them. To send the events of a deleted subscription to the one that replaces it, use "+c.line("subscriptions replay")+".")
}

func (t *tool) exportDead() *cobra.Command {
	var output string
	cmd := t.command(verb{
		use:   "export",
		short: "Exports dead letters with their payloads, one JSON object per line",
		long: `
Exports all dead letters that match the filters, with their payloads, as NDJSON:
one JSON object per line, newest first.

The file that --output creates is only readable by its owner. If the command
fails or is interrupted, the export is incomplete, and its last line may be, too.`,
		example: `
caddy webhooks dead-letters export --output dead-letters.ndjson
caddy webhooks dead-letters export --event-type 'order.*' | jq -c .payload`,
		filters: deadFilters,
		run: func(c *call) error {
			query, err := c.filters()
			if err != nil {
				return err
			}
			return export(c, query, output)
		},
	})
	cmd.Flags().StringVarP(&output, "output", "o", stdin, "File to write to, - for standard output")
	return cmd
}

// export streams dead letters to a file or standard output.
func export(c *call, query url.Values, output string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	query.Set("payload", "true")
	lines, err := client.stream(c.cmd.Context(), "/dead-letters", query, typeNDJSON)
	if err != nil {
		return err
	}
	defer lines.Close()
	if output == stdin {
		n, err := copyLines(c.progress("exported"), c.out, lines)
		return exported(c, n, err)
	}
	file, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("exporting dead letters: %w", err)
	}
	n, err := copyLines(c.progress("exported"), file, lines)
	return exported(c, n, errors.Join(err, file.Close()))
}

// exported prints how many dead letters were exported, or adds it to the error.
func exported(c *call, n int, err error) error {
	if err != nil {
		return fmt.Errorf("exporting dead letters, after %s of them: %w", thousands(n), err)
	}
	_, err = fmt.Fprintf(c.err, "%s exported\n", count(n, "dead letter", "dead letters"))
	return err
}

// copyLines copies lines, printing its progress, and returns how many there were.
func copyLines(p *progress, to io.Writer, lines io.Reader) (int, error) {
	from, out := bufio.NewReaderSize(lines, 64<<10), bufio.NewWriterSize(to, 64<<10)
	n := 0
	for {
		line, err := from.ReadSlice('\n')
		if _, err := out.Write(line); err != nil {
			return n, err
		}
		switch {
		case err == nil:
			n++
			p.at(n)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return n, out.Flush()
		default:
			return n, errors.Join(err, out.Flush())
		}
	}
}
