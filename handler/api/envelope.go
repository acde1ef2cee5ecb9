package api

import (
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

var eventFields = []string{"event_type", "payload", "event_id", "tenant", "headers"}

// parseEvent reads the envelope of an event in one pass. The payload is a part
// of body, to the byte as it was sent: body must not be changed afterwards.
func parseEvent(body []byte) (*outbound.NewEvent, error) {
	n := &outbound.NewEvent{}
	err := fields(body, eventFields, func(field string, value []byte) error {
		switch field {
		case "event_type":
			return text(field, value, &n.Type)
		case "event_id":
			return filled(field, value, &n.ID)
		case "tenant":
			return filled(field, value, &n.Tenant)
		case "headers":
			if isNull(value) {
				return nil
			}
			sent, err := readHeaders(field, value)
			n.Headers = mergeHeaders(nil, sent)
			return err
		default:
			n.Payload = value
			return nil
		}
	})
	if err != nil {
		return nil, err
	}
	if n.Payload == nil {
		return nil, refuse(codeMissingField, "payload is missing: it may be any JSON value, also null").at("payload")
	}
	return n, nil
}

// eventTooLarge says that a body can hold no event of a size that is
// allowed.
func eventTooLarge(maxPayload int64) error {
	return refuse(codeTooLarge, "the event is too large: its payload may have %s (max_payload), and what is around it %s; send a link to the data instead",
		bytesOf(maxPayload), bytesOf(envelopeRoom)).at("payload")
}
