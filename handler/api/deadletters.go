package api

import (
	"bytes"
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// deadLetter is a delivery that was given up, as answers show it.
type deadLetter struct {
	DeliveryID     string    `json:"delivery_id"`
	AttemptID      *string   `json:"attempt_id"` // of the last attempt; null if there was none
	EventID        string    `json:"event_id"`
	EventType      string    `json:"event_type"`
	Tenant         *string   `json:"tenant"`
	SubscriptionID string    `json:"subscription_id"`
	URL            string    `json:"url"`
	Reason         string    `json:"reason"`
	ErrorMessage   string    `json:"error_message"` // of the last attempt; the reason if there was none
	Class          *string   `json:"class"`
	Status         *int      `json:"status"`
	Attempts       int       `json:"attempts"`
	CreatedAt      timestamp `json:"created_at"`
	FailedAt       timestamp `json:"failed_at"`
	ContentType    string    `json:"content_type,omitempty"` // only with the payload
}

func deadLetterOf(r *outbound.Record) deadLetter {
	d := deadLetter{
		DeliveryID: recordCursor(r), EventID: r.EventID, EventType: r.EventType, Tenant: orNull(r.Tenant),
		SubscriptionID: r.SubscriptionID, URL: r.URL, Reason: r.Reason, ErrorMessage: r.Reason,
		Attempts: r.Attempts, CreatedAt: timestamp(r.ID.Time()), ContentType: r.ContentType,
	}
	if a := r.Last; a != nil {
		d.AttemptID, d.FailedAt = orNull(a.ID.With(store.AttemptPrefix)), timestamp(a.At)
		d.Class, d.Status = orNull(a.Class), orNull(a.Status)
		if a.Error != "" {
			d.ErrorMessage = a.Error
		}
	}
	return d
}

func encodeDeadLetter(r *outbound.Record, payload bool) ([]byte, error) {
	d := deadLetterOf(r)
	if !payload {
		d.ContentType = ""
		return encode(d)
	}
	return encodeWith(d, r.ContentType, r.Payload)
}

// DeadLetter returns a dead letter as a line of JSON, as in a list of them.
func DeadLetter(r *outbound.Record) ([]byte, error) { return encodeDeadLetter(r, false) }

// payloadPage limits the memory for all payloads of a page, in bytes.
const payloadPage = 16 << 20

// deadLetterQuery reads the parameters of a list of dead letters.
func (c *call) deadLetterQuery() (q outbound.Query, limit int, err error) {
	if q, limit, err = c.sent.page(store.DeliveryPrefix); err != nil {
		return q, 0, err
	}
	q.States = []store.State{store.Dead}
	if q.Payload, err = c.sent.flag("payload"); err != nil {
		return q, 0, err
	}
	if c.wantsLines() {
		if _, ok := c.sent["limit"]; ok {
			return q, 0, refuse(codeInvalidParameter, "limit has no meaning for %s, which lists all of them: remove it, or ask for %s", typeNDJSON, typeJSON).at("limit")
		}
		limit = maxLimit
	}
	if q.Payload {
		limit = int(max(min(int64(limit), payloadPage/c.engine.MaxPayload()), 1))
	}
	q.Limit = limit + 1
	return q, limit, nil
}

// wantsLines reports whether the caller accepts application/x-ndjson.
func (c *call) wantsLines() bool {
	for _, accepted := range c.r.Header["Accept"] {
		for one := range strings.SplitSeq(accepted, ",") {
			t, params, err := mime.ParseMediaType(one)
			if err != nil || t != typeNDJSON {
				continue
			}
			if weight, err := strconv.ParseFloat(params["q"], 64); err != nil || weight > 0 {
				return true
			}
		}
	}
	return false
}

func (c *call) listDeadLetters() error {
	q, limit, err := c.deadLetterQuery()
	if err != nil {
		return err
	}
	if c.wantsLines() {
		return c.streamDeadLetters(q, limit)
	}
	return c.answerInTurn(c.searches, func() ([]byte, error) { return c.deadLetterPage(q, limit) })
}

// deadLetterPage returns the answer with a page.
func (c *call) deadLetterPage(q outbound.Query, limit int) ([]byte, error) {
	records, err := c.engine.Deliveries(c.r.Context(), q)
	if err != nil {
		return nil, err
	}
	page, next := cut(records, limit, recordCursor)
	body := []byte(`{"data":[`) // by hand, since an encoder would change the payloads' white space
	for i, r := range page {
		object, err := encodeDeadLetter(r, q.Payload)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, bytes.TrimSpace(object)...)
	}
	cursor, err := json.Marshal(next)
	if err != nil {
		return nil, err
	}
	body = append(body, `],"next_cursor":`...)
	body = append(body, cursor...)
	return append(body, "}\n"...), nil
}

// streamDeadLetters writes all dead letters, one per line, a page at a time. An
// error after the first page aborts the connection, so that nobody mistakes a part
// for the whole.
func (c *call) streamDeadLetters(q outbound.Query, limit int) error {
	control := http.NewResponseController(c.w)
	for begun := false; ; begun = true {
		var next store.ID
		lines, err := c.inTurn(c.searches, func() (lines []byte, err error) {
			lines, next, err = c.deadLetterLines(q, limit)
			return lines, err
		})
		if err != nil && begun {
			c.report(c.r, problemOf(err))
			panic(http.ErrAbortHandler)
		}
		if err != nil {
			return err
		}
		if !begun {
			setHeaders(c.w.Header(), typeNDJSON)
			c.w.WriteHeader(http.StatusOK)
		}
		if _, err := c.w.Write(lines); err != nil || next == 0 {
			return nil
		}
		_ = control.Flush() // if that isn't supported, the lines are sent later
		q.Before = next
	}
}

// deadLetterLines returns a page of lines, and the id before which the next page
// begins, or 0 if this is the last one.
func (c *call) deadLetterLines(q outbound.Query, limit int) (lines []byte, next store.ID, err error) {
	records, err := c.engine.Deliveries(c.r.Context(), q)
	if err != nil {
		return nil, 0, err
	}
	if len(records) > limit {
		records = records[:limit]
		next = records[limit-1].ID
	}
	for _, r := range records {
		object, err := encodeDeadLetter(r, q.Payload)
		if err != nil {
			return nil, 0, err
		}
		line, err := asLine(object)
		if err != nil {
			return nil, 0, err
		}
		lines = append(lines, line...)
	}
	return lines, next, nil
}

func (c *call) deadLetter() (*outbound.Record, error) {
	r, err := c.engine.Delivery(c.r.Context(), c.id)
	if err != nil {
		return nil, notFound(err, "dead letter", c.id, "/dead-letters")
	}
	if r.State != store.Dead {
		return nil, refuse(codeNotFound, "delivery %s is no dead letter, it is %s: see GET /deliveries/%s", c.id, r.State, c.id)
	}
	return r, nil
}

func (c *call) showDeadLetter() error {
	r, err := c.deadLetter()
	if err != nil {
		return err
	}
	return c.answerWith(deadLetterOf(r), r.ContentType, r.Payload)
}

func (c *call) redeliverDeadLetter() error {
	return c.changeDelivery(http.StatusAccepted, func(ctx context.Context, id string) (*outbound.Record, error) {
		if _, err := c.deadLetter(); err != nil {
			return nil, err
		}
		return c.engine.Redeliver(ctx, id)
	})
}

// redeliverDeadLetters queues the dead letters that match the filters.
func (c *call) redeliverDeadLetters() error {
	return c.changeDeadLetters("redeliver", "redelivered", c.engine.RedeliverDead)
}

// deleteDeadLetters deletes the dead letters that match the filters.
func (c *call) deleteDeadLetters() error {
	return c.changeDeadLetters("delete", "deleted", c.engine.DeleteDead)
}

func (c *call) deleteDeadLetter() error {
	return c.remove(func() error {
		r, err := c.deadLetter()
		if err != nil {
			return err
		}
		_, err = c.engine.DeleteDead(c.r.Context(), outbound.Query{Delivery: r.ID})
		return err
	})
}

// changeDeadLetters calls change with the filters, and answers with the number of
// dead letters that it changed, as the field done.
func (c *call) changeDeadLetters(verb, done string, change func(context.Context, outbound.Query) (int, error)) error {
	_, q, err := c.selected("dead letters to "+verb, deadLetterFilters)
	if err != nil {
		return err
	}
	n, err := change(c.r.Context(), q)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]int{done: n})
}
