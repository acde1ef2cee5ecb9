package api

import (
	"net/http"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// replayFields say which past events a subscription is to get.
var replayFields = []string{"event_id", "event_type", "since", "until"}

// replay sends a subscription past events that it didn't get.
func (c *call) replay() error {
	q, err := c.past(replayFields, "replay events")
	if err != nil {
		return err
	}
	n, err := c.engine.Replay(c.r.Context(), c.id, q)
	if err != nil {
		return c.noSubscription(err)
	}
	return c.answer(http.StatusOK, map[string]int{"replayed": n})
}

// redeliverDelivered queues again what was delivered.
func (c *call) redeliverDelivered() error {
	q, err := c.past(filters, "deliver events again")
	if err != nil {
		return err
	}
	n, err := c.engine.RedeliverDelivered(c.r.Context(), q)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]int{"redelivered": n})
}

// past reads from the body what of the past is to be sent, which nobody means to be
// all of it.
func (c *call) past(fields []string, do string) (outbound.Query, error) {
	if _, err := c.query(); err != nil {
		return outbound.Query{}, err
	}
	sent := query{}
	if err := c.object(fields, sent.field); err != nil {
		return outbound.Query{}, err
	}
	q, err := sent.filter(codeInvalidField)
	if err == nil && q.Since.IsZero() && q.EventID == "" {
		err = refuse(codeMissingField, "since is missing: say from which time on to %s, or name one of them by event_id", do).at("since")
	}
	return q, err
}
