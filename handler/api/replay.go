package api

import (
	"net/http"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// replayFields select the past events that a subscription is to get.
var replayFields = []string{"event_id", "event_type", "since", "until"}

// replay queues past events that have no delivery to the subscription yet.
func (c *call) replay() error {
	q, err := c.pastQuery(replayFields, "replay events")
	if err != nil {
		return err
	}
	n, err := c.engine.Replay(c.r.Context(), c.id, q)
	if err != nil {
		return c.noSubscription(err)
	}
	return c.answer(http.StatusOK, map[string]int{"replayed": n})
}

// redeliverDelivered queues again what was delivered already.
func (c *call) redeliverDelivered() error {
	q, err := c.pastQuery(filters, "redeliver events")
	if err != nil {
		return err
	}
	n, err := c.engine.RedeliverDelivered(c.r.Context(), q)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]int{"redelivered": n})
}

// pastQuery reads from the body which past events or deliveries to send. It requires
// a time or an event, since nobody means all of the past. An error says what it was
// for, as in "replay events".
func (c *call) pastQuery(fields []string, do string) (outbound.Query, error) {
	sent := query{}
	if err := c.object(fields, sent.field); err != nil {
		return outbound.Query{}, err
	}
	q, err := sent.parse(codeInvalidField)
	if err == nil && q.Since.IsZero() && q.EventID == "" {
		err = refuse(codeMissingField, "since is missing: say since when to %s, or name one event by event_id", do).at("since")
	}
	return q, err
}
