package cli

import (
	"cmp"
	"net/http"

	"github.com/spf13/cobra"
)

func (t *tool) previewEvent() *cobra.Command {
	var eventType string
	var payload bodyFlags
	var lines []string
	cmd := t.command(verb{
		use:   "preview <subscription-id>",
		short: "Shows what a subscription would be sent of an event, and sends nothing",
		long: `
Shows whether a subscription would get an event, and what it would be sent:
the headers, without the signature, and the payload after the transform.
Nothing is stored or sent. Without a payload, it is the first example in the
schema of the event type.`,
		example: `
caddy webhooks subscriptions preview sub_0199d3c2a4e00001 --event-type order.created --payload '{"order":7}'
caddy webhooks subscriptions preview sub_0199d3c2a4e00001 --event-type order.created --header 'X-Env: test'`,
		min: 1, max: 1,
		run: func(c *call) error {
			headers, err := parseHeaders(lines)
			if err != nil {
				return err
			}
			body, err := testBody(c, eventType, flat(headers), &payload)
			if err != nil {
				return err
			}
			return c.request(http.MethodPost, pathOf("/subscriptions", c.args[0])+"/preview", nil, body, printing(printPreview))
		},
	})
	cmd.Flags().StringVar(&eventType, "event-type", "webhook.test", "The type of the event")
	cmd.Flags().StringArrayVarP(&lines, "header", "H", nil, "Header of the event, as \"Name: value\"")
	payload.register(cmd.Flags(), "payload", "payload")
	return cmd
}

// preview is the API's response to a preview.
type preview struct {
	Selected    bool              `json:"selected"`
	OfType      bool              `json:"matches_event_types"`
	Wanted      *bool             `json:"matches_filter"` // nil if there is no filter
	FilterError string            `json:"filter_error"`
	Error       string            `json:"error_message"`
	Headers     map[string]string `json:"headers"`
	payload
}

func printPreview(c *call, p *preview) error {
	var f fields
	f.add("Selected", yesOrNo(p.Selected))
	f.add("By event types", yesOrNo(p.OfType))
	if p.Wanted != nil {
		f.addText("By filter", cmp.Or(p.FilterError, yesOrNo(*p.Wanted)))
	}
	f.addText("Error", p.Error)
	f.addAll("Header", p.Headers)
	p.show(&f)
	return f.flush(c.out)
}
