package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// delivery is a delivery as answers show it.
type delivery struct {
	DeliveryID     string         `json:"delivery_id"`
	EventID        string         `json:"event_id"`
	EventType      string         `json:"event_type"`
	Tenant         *string        `json:"tenant"`
	SubscriptionID string         `json:"subscription_id"`
	URL            string         `json:"url"`
	State          string         `json:"state"`
	Reason         *string        `json:"reason"` // why it is dead
	Attempts       int            `json:"attempts"`
	Held           bool           `json:"held"` // its subscription is inactive
	NextAttemptAt  timestamp      `json:"next_attempt_at"`
	CreatedAt      timestamp      `json:"created_at"`
	LastAttempt    *attemptResult `json:"last_attempt"`
}

type attemptResult struct {
	AttemptID    string    `json:"attempt_id"`
	Number       int       `json:"number"`
	At           timestamp `json:"at"`
	LatencyMS    int64     `json:"latency_ms"`
	Status       *int      `json:"status"` // null if there was no answer
	Class        *string   `json:"class"`  // null if it succeeded
	ErrorMessage *string   `json:"error_message"`
}

// attempt is an attempt with all that is kept of it.
type attempt struct {
	attemptResult
	DeliveryID      string            `json:"delivery_id"`
	URL             *string           `json:"url"` // null if made before this was recorded
	ResponseBody    *string           `json:"response_body"`
	ResponseBase64  *string           `json:"response_body_base64"` // instead, if the body isn't text
	ResponseHeaders map[string]string `json:"response_headers"`
	TraceID         *string           `json:"trace_id"`
}

func deliveryOf(r *outbound.Record) delivery {
	d := delivery{
		DeliveryID: recordCursor(r), EventID: r.EventID, EventType: r.EventType, Tenant: orNull(r.Tenant),
		SubscriptionID: r.SubscriptionID, URL: r.URL, State: r.State.String(), Reason: orNull(r.Reason),
		Attempts: r.Attempts, Held: r.Held, CreatedAt: timestamp(r.ID.Time()),
	}
	if r.State == store.Pending && !r.Held {
		d.NextAttemptAt = timestamp(r.Due)
		if r.PausedUntil.After(r.Due) {
			d.NextAttemptAt = timestamp(r.PausedUntil)
		}
	}
	if r.Last != nil {
		d.LastAttempt = new(resultOf(r.Last))
	}
	return d
}

func resultOf(a *outbound.Attempt) attemptResult {
	return attemptResult{
		AttemptID: a.ID.With(store.AttemptPrefix), Number: a.Number, At: timestamp(a.At), LatencyMS: a.Latency.Round(time.Millisecond).Milliseconds(),
		Status: orNull(a.Status), Class: orNull(a.Class), ErrorMessage: orNull(a.Error),
	}
}

func attemptOf(a *outbound.Attempt, deliveryID string) attempt {
	out := attempt{
		attemptResult: resultOf(a), DeliveryID: deliveryID, URL: orNull(a.URL),
		ResponseHeaders: orEmpty(a.ResponseHeaders), TraceID: orNull(a.TraceID),
	}
	if text, ok := startOfText(a.ResponseBody); ok {
		out.ResponseBody = orNull(text)
	} else {
		out.ResponseBase64 = orNull(base64.StdEncoding.EncodeToString(a.ResponseBody))
	}
	return out
}

// startOfText returns b, without an incomplete character at its end: b is the start
// of a longer text. It reports whether it is UTF-8.
func startOfText(b []byte) (string, bool) {
	for i := len(b) - 1; i >= 0 && i > len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				b = b[:i]
			}
			break
		}
	}
	return string(b), utf8.Valid(b)
}

func recordCursor(r *outbound.Record) string { return r.ID.With(store.DeliveryPrefix) }

func (c *call) listDeliveries() error {
	q, limit, err := c.sent.page(store.DeliveryPrefix)
	if err != nil {
		return err
	}
	records, err := c.engine.Deliveries(c.r.Context(), q)
	if err != nil {
		return err
	}
	return answerList(c, records, limit, recordCursor, deliveryOf)
}

func (c *call) showDelivery() error {
	r, err := c.engine.Delivery(c.r.Context(), c.id)
	if err != nil {
		return c.noDelivery(err)
	}
	return c.answer(http.StatusOK, deliveryOf(r))
}

func (c *call) noDelivery(err error) error { return notFound(err, "delivery", c.id, "/deliveries") }

// listAttempts reads all attempts of the delivery and returns a page of them: there
// are few, unless somebody redelivers it endlessly. The cursor is a position among
// them and not a lower bound: different nodes may have made their ids, so these are
// in no order.
func (c *call) listAttempts() error {
	limit, after, err := c.sent.place(store.AttemptPrefix)
	if err != nil {
		return err
	}
	attempts, err := c.engine.Attempts(c.r.Context(), c.id)
	if err != nil {
		return c.noDelivery(err)
	}
	last := slices.IndexFunc(attempts, func(a *outbound.Attempt) bool { return a.ID == after })
	if after != 0 && last < 0 {
		return badCursor()
	}
	cursor := func(a *outbound.Attempt) string { return a.ID.With(store.AttemptPrefix) }
	return answerList(c, attempts[last+1:], limit, cursor, func(a *outbound.Attempt) attempt { return attemptOf(a, c.id) })
}

// redeliver queues a delivery again, due at once.
func (c *call) redeliver() error { return c.changeDelivery(http.StatusAccepted, c.engine.Redeliver) }

// cancel makes a pending delivery a dead letter.
func (c *call) cancel() error { return c.changeDelivery(http.StatusOK, c.engine.Cancel) }

// changeDelivery calls change with the id of the path, and answers with the delivery
// that was changed.
func (c *call) changeDelivery(status int, change func(context.Context, string) (*outbound.Record, error)) error {
	if err := c.noBody(); err != nil {
		return err
	}
	r, err := change(c.r.Context(), c.id)
	if err != nil {
		return c.noDelivery(err)
	}
	return c.answer(status, deliveryOf(r))
}

func (c *call) redeliverAttempt() error {
	return c.changeDelivery(http.StatusAccepted, func(ctx context.Context, id string) (*outbound.Record, error) {
		r, err := c.engine.RedeliverAttempt(ctx, id)
		return r, notFound(err, "attempt", id, "/deliveries/{id}/attempts")
	})
}
