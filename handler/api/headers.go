package api

import (
	"slices"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

// header is one that deliveries are to carry, or that is to be taken away.
type header struct {
	name, value string
	remove      bool
}

// readHeaders reads an object of headers; null takes one away. Their names have
// no case.
func readHeaders(field string, value []byte) ([]header, error) {
	if value[0] != '{' {
		return nil, invalidField(field, `must be an object of texts, as in {"X-Env": "production"}`)
	}
	var sent []header
	s := scanner{data: value}
	err := s.members(func(name, value []byte) error {
		h := header{name: unescape(name), remove: isNull(value)}
		isSame := func(o header) bool { // not of one that is taken away to be spelt otherwise
			return o.name == h.name || o.remove == h.remove && strings.EqualFold(o.name, h.name)
		}
		if slices.ContainsFunc(sent, isSame) {
			return refuse(codeRepeatedField, "headers has %s twice: keep one", quote(h.name)).at(field)
		}
		if len(sent) == 2*egress.MaxHeaders { // all that are there taken away, and as many set
			return invalidField(field, "has too many: %d are the most", egress.MaxHeaders)
		}
		if value[0] != '"' && !h.remove {
			return invalidField(field, "has something else than a text for %s: put it in double quotes", quote(h.name))
		}
		err := text(field, value, &h.value)
		sent = append(sent, h)
		return err
	})
	return sent, err
}

// mergeHeaders writes headers over those that are there, by RFC 7396.
func mergeHeaders(there map[string]string, sent []header) map[string]string {
	merged := map[string]string{}
	for name, value := range there {
		if !slices.ContainsFunc(sent, func(h header) bool { return strings.EqualFold(h.name, name) }) {
			merged[name] = value
		}
	}
	for _, h := range sent {
		if !h.remove {
			merged[h.name] = h.value
		}
	}
	return merged
}
