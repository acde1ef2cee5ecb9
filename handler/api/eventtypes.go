package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// eventType is an entry of the catalogue as answers show it.
type eventType struct {
	Name        string          `json:"name"`
	Description *string         `json:"description"`
	Schema      json.RawMessage `json:"schema"`
	FromConfig  bool            `json:"from_config"`
}

func eventTypeOf(t outbound.EventType) eventType {
	return eventType{Name: t.Name, Description: orNull(t.Description), Schema: t.Schema, FromConfig: t.FromConfig}
}

// listEventTypes pages through the catalogue by name. The cursor is the last name
// of a page.
func (c *call) listEventTypes() error {
	limit, err := c.sent.limit()
	if err != nil {
		return err
	}
	after := c.sent["cursor"]
	if strings.ContainsFunc(after, notInName) {
		return badCursor()
	}
	types, err := c.engine.EventTypes(c.r.Context())
	if err != nil {
		return err
	}
	types = slices.DeleteFunc(types, func(t outbound.EventType) bool { return t.Name <= after })
	return answerList(c, types, limit, func(t outbound.EventType) string { return t.Name }, eventTypeOf)
}

func notInName(r rune) bool {
	return !(r == '.' || r == '_' || r == '-' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z')
}

func (c *call) showEventType() error {
	types, err := c.engine.EventTypes(c.r.Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(types, func(t outbound.EventType) bool { return t.Name == c.id })
	if i < 0 {
		return c.noEventType(outbound.ErrNotFound)
	}
	return c.answer(http.StatusOK, eventTypeOf(types[i]))
}

func (c *call) noEventType(err error) error {
	return notFound(err, "event type", c.id, "/event-types")
}

func (c *call) putEventType() error {
	t := outbound.EventType{Name: c.id}
	err := c.object([]string{"description", "schema"}, func(field string, value []byte) error {
		if field == "schema" {
			if !isNull(value) {
				t.Schema = slices.Clone(value)
			}
			return nil
		}
		return readString(field, value, &t.Description)
	})
	if err != nil {
		return err
	}
	added, err := c.engine.PutEventType(c.r.Context(), t)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if added {
		status = http.StatusCreated
	}
	return c.answer(status, eventTypeOf(t))
}

func (c *call) deleteEventType() error {
	return c.remove(func() error { return c.noEventType(c.engine.DeleteEventType(c.r.Context(), c.id)) })
}
