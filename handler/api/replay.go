package api

import "net/http"

// replayFields say which past events a subscription is to get.
var replayFields = []string{"event_id", "event_type", "since", "until"}

// replayed counts what was replayed.
type replayed struct {
	Replayed int `json:"replayed"`
}

// replay sends a subscription past events that it didn't get.
func (c *call) replay() error {
	if _, err := c.query(); err != nil {
		return err
	}
	sent := query{}
	if err := c.object(replayFields, sent.field); err != nil {
		return err
	}
	q, err := sent.filter(codeInvalidField)
	if err != nil {
		return err
	}
	if q.Since.IsZero() && q.EventID == "" {
		return refuse(codeMissingField, "since is missing: say from which time on to replay events, or name one of them by event_id").at("since")
	}
	n, err := c.engine.Replay(c.r.Context(), c.id, q)
	if err != nil {
		return c.noSubscription(err)
	}
	return c.answer(http.StatusOK, replayed{n})
}
