package api

import (
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// preview is what a subscription would be sent of an event.
type preview struct {
	Selected     bool              `json:"selected"`
	OfType       bool              `json:"matches_event_types"`
	Wanted       *bool             `json:"matches_filter"` // null if there is no filter
	FilterError  *string           `json:"filter_error"`
	ErrorMessage *string           `json:"error_message"` // why a delivery would fail
	Headers      map[string]string `json:"headers"`
}

func previewOf(s *outbound.Subscription, p *outbound.Preview) preview {
	out := preview{
		Selected: p.OfType && p.Wanted, OfType: p.OfType,
		FilterError: orNull(p.FilterError), ErrorMessage: orNull(p.Error), Headers: map[string]string{},
	}
	if s.Filter != "" {
		out.Wanted = &p.Wanted
	}
	for name, values := range p.Header {
		out.Headers[name] = strings.Join(values, ", ")
	}
	return out
}

// previewEvent answers with what the subscription would be sent of the event in the
// body.
func (c *call) previewEvent() error {
	n, err := c.sampleEvent("event_type", "payload", "headers")
	if err != nil {
		return err
	}
	s, err := c.engine.Subscription(c.id)
	if err != nil {
		return c.noSubscription(err)
	}
	p, err := c.engine.Preview(c.r.Context(), c.id, n)
	if err != nil {
		return c.noSubscription(err)
	}
	return c.answerWith(previewOf(s, p), typeJSON, p.Body)
}
