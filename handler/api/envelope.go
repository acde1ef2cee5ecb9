package api

import (
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

var eventFields = []string{"event_type", "payload", "event_id", "tenant", "headers"}

// parseEvent reads an event as it is published. Its payload is a slice of body,
// byte for byte as it was sent, so body must not be changed afterwards.
func parseEvent(body []byte) (*outbound.NewEvent, error) {
	n := &outbound.NewEvent{}
	err := fields(body, eventFields, func(field string, value []byte) error { return readEventField(n, field, value) })
	if err != nil {
		return nil, err
	}
	if n.Payload == nil {
		return nil, refuse(codeMissingField, "payload is missing: it may be any JSON value, including null").at("payload")
	}
	return n, nil
}

func readEventField(n *outbound.NewEvent, field string, value []byte) error {
	switch field {
	case "event_type":
		return readString(field, value, &n.Type)
	case "event_id":
		return readNonEmpty(field, value, &n.ID)
	case "tenant":
		return readNonEmpty(field, value, &n.Tenant)
	case "headers":
		return mergeHeaders(value, &n.Headers)
	default:
		n.Payload = value
		return nil
	}
}

// sampleEvent reads an event for one subscription from the body, which may be empty: each
// field may be left out. The payload is bounded as that of a published event.
func (c *call) sampleEvent(known ...string) (*outbound.NewEvent, error) {
	n := &outbound.NewEvent{}
	body, err := c.readBody(c.eventLimit(), eventTooLarge)
	if err != nil || len(body) == 0 {
		return n, err
	}
	if _, err := c.mediaType(typeJSON); err != nil {
		return n, err
	}
	return n, fields(body, known, func(field string, value []byte) error {
		if field == "event_type" {
			return readNonEmpty(field, value, &n.Type)
		}
		return readEventField(n, field, value)
	})
}

// eventLimit is how many bytes an event may have in a body or a line.
func (c *call) eventLimit() int64 { return c.engine.MaxPayload() + envelopeRoom }

func eventTooLarge(limit int64) error {
	return refuse(codeTooLarge, "the event is too large: its payload may have %s (max_payload), and the rest of it %s; send a link to the data instead",
		formatBytes(limit-envelopeRoom), formatBytes(envelopeRoom)).at("payload")
}
