package api

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// idempotencyKey is a header that clients of other services send
// (draft-ietf-httpapi-idempotency-key-header). Here it is the event's id.
const idempotencyKey = "Idempotency-Key"

// publish stores one event, or many if they are sent as application/x-ndjson.
func (c *call) publish() error {
	t, err := c.mediaType(typeJSON, typeNDJSON)
	if err != nil {
		return err
	}
	key := strings.Trim(c.r.Header.Get(idempotencyKey), `"`)
	if t == typeJSON {
		return c.publishOne(key)
	}
	if key != "" {
		return refuse(codeInvalidField, "%s is for one event: give each line its event_id instead", idempotencyKey).at(idempotencyKey)
	}
	return c.publishLines()
}

func (c *call) publishOne(key string) error {
	body, err := c.readBody(c.eventLimit(), eventTooLarge)
	if err != nil {
		return err
	}
	n, err := parseEvent(body)
	if err != nil {
		if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
			return refuse(codeInvalidJSON, "the body is a list: send one event as an object, or several with Content-Type: %s, each an object on a line of its own", typeNDJSON)
		}
		return err
	}
	if n.ID = cmp.Or(n.ID, key); key != "" && key != n.ID {
		return refuse(codeInvalidField, "event_id and %s differ: send one of them", idempotencyKey).at(idempotencyKey)
	}
	p, err := c.engine.Publish(c.r.Context(), n)
	if e, ok := errors.AsType[*outbound.Invalid](err); ok && e.Field == "event_id" && key != "" {
		return refuse(codeInvalidField, "%s %s", idempotencyKey, e.What).at(idempotencyKey)
	}
	if err != nil {
		return notPublished(err)
	}
	status, body := Published(p)
	writeBody(c.w, status, typeJSON, body)
	return nil
}

// Published returns the status and the body of the answer to a published event.
func Published(p outbound.Published) (status int, body []byte) {
	return publishedStatus(p), appendPublished(append(make([]byte, 0, 192), '{'), p)
}

// publishedStatus is 202 for an event that was stored, and 200 for a duplicate.
func publishedStatus(p outbound.Published) int {
	if p.Duplicate {
		return http.StatusOK
	}
	return http.StatusAccepted
}

// appendPublished appends what became of an event, and the end of the object.
// It is written by hand because this is the most frequent answer.
func appendPublished(b []byte, p outbound.Published) []byte {
	b = append(b, `"event_id":"`...)
	b = append(b, p.EventID...) // [A-Za-z0-9_-]: nothing to escape
	b = append(b, `","deliveries":`...)
	b = strconv.AppendInt(b, int64(p.Deliveries), 10)
	b = append(b, `,"duplicate":`...)
	b = strconv.AppendBool(b, p.Duplicate)
	return append(b, "}\n"...)
}

// event is an event as answers show it.
type event struct {
	EventID        string            `json:"event_id"`
	EventType      string            `json:"event_type"`
	Tenant         *string           `json:"tenant"`
	ContentType    string            `json:"content_type"`
	Headers        map[string]string `json:"headers"`
	CreatedAt      timestamp         `json:"created_at"`
	PayloadRemoved bool              `json:"payload_removed,omitempty"`
}

func eventOf(e *outbound.Event) event {
	return event{
		EventID: e.ID, EventType: e.Type, Tenant: orNull(e.Tenant), ContentType: e.ContentType,
		Headers: orEmpty(e.Headers), CreatedAt: timestamp(e.Created()),
		PayloadRemoved: e.PayloadRemoved,
	}
}

func (c *call) listEvents() error {
	q, limit, err := c.sent.page(store.EventPrefix)
	if err != nil {
		return err
	}
	if filter := c.sent["filter"]; filter != "" {
		q.Limit = limit
		return c.findEvents(q, filter)
	}
	events, err := c.engine.Events(c.r.Context(), q)
	if err != nil {
		return err
	}
	return answerList(c, events, limit, func(e *outbound.Event) string { return e.Key.With(store.EventPrefix) }, eventOf)
}

// findEvents answers with the events that a filter selects. The search for a page
// is limited in time, so a page may be short or empty and still have a cursor.
func (c *call) findEvents(q outbound.Query, filter string) error {
	found, last, err := c.engine.Find(c.r.Context(), q, filter)
	if err != nil {
		return c.badFilter(err)
	}
	var next *string
	if last != 0 {
		next = new(last.With(store.EventPrefix))
	}
	return answerPage(c, found, next, eventOf)
}

// badFilter makes an invalid filter a problem of the query, if it was sent there
// and not in the body. Other errors are returned as they are.
func (c *call) badFilter(err error) error {
	e, ok := errors.AsType[*outbound.Invalid](err)
	if !ok || c.r.URL.RawQuery == "" {
		return err
	}
	return refuse(codeInvalidParameter, "%v", e).at(e.Field)
}

// fullEvent is an event with a page of its deliveries.
type fullEvent struct {
	event
	Deliveries []delivery `json:"deliveries"`
	Next       *string    `json:"next_cursor"`
}

func (c *call) showEvent() error {
	q, limit, err := c.sent.page(store.DeliveryPrefix)
	if err != nil {
		return err
	}
	e, err := c.engine.Event(c.r.Context(), q.Tenant, c.id)
	if err != nil {
		return c.noEvent(err, q.Tenant)
	}
	q.Event = e.Key
	records, err := c.engine.Deliveries(c.r.Context(), q)
	if err != nil {
		return err
	}
	full := fullEvent{event: eventOf(e), Deliveries: []delivery{}}
	records, full.Next = cut(records, limit, recordCursor)
	for _, r := range records {
		full.Deliveries = append(full.Deliveries, deliveryOf(r))
	}
	if e.PayloadRemoved {
		e.Payload = nil
	}
	return c.answerWith(full, e.ContentType, e.Payload)
}

func (c *call) deleteEvent() error {
	q, err := c.sent.parse(codeInvalidParameter)
	if err != nil {
		return err
	}
	return c.remove(func() error { return c.noEvent(c.engine.DeleteEvent(c.r.Context(), q.Tenant, c.id), q.Tenant) })
}

// deleteEvents deletes the events that match the filters.
func (c *call) deleteEvents() error {
	sent, q, err := c.selected("events to delete", eventFilters)
	if err != nil {
		return err
	}
	deleted, pending, err := c.engine.DeleteEvents(c.r.Context(), q, sent["filter"])
	if err != nil {
		return c.badFilter(err)
	}
	return c.answer(http.StatusOK, map[string]int{"deleted": deleted, "pending": pending})
}

// noEvent says that there is no such event, and that an event is found only with
// its tenant.
func (c *call) noEvent(err error, tenant string) error {
	if tenant = cmp.Or(tenant, c.engine.tenant); tenant == "" {
		return notFound(err, "event", c.id, "/events; an event of a tenant is found with ?tenant=…")
	}
	return notFound(err, "event", c.id, "/events?tenant=…: it is not among the events of the tenant "+quote(tenant))
}
