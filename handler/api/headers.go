package api

import (
	"slices"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

// header is a header for deliveries, or the removal of one.
type header struct {
	name, value string
	remove      bool
}

// readHeaders reads an object of headers, in which null removes one. The case of
// names doesn't matter.
func readHeaders(field string, value []byte) ([]header, error) {
	if value[0] != '{' {
		return nil, invalidField(field, `must be an object of strings, as in {"X-Env": "production"}`)
	}
	var sent []header
	s := scanner{data: value}
	err := s.members(func(name, value []byte) error {
		h := header{name: unescape(name), remove: isNull(value)}
		// A header may be removed and set in another spelling.
		repeats := func(o header) bool {
			return o.name == h.name || o.remove == h.remove && strings.EqualFold(o.name, h.name)
		}
		if slices.ContainsFunc(sent, repeats) {
			return refuse(codeRepeatedField, "headers has %s twice: keep one", quote(h.name)).at(field)
		}
		if len(sent) == 2*egress.MaxHeaders { // all of them may be removed, and as many set
			return invalidField(field, "has too many: at most %d are allowed", egress.MaxHeaders)
		}
		if value[0] != '"' && !h.remove {
			return invalidField(field, "has a value for %s that is not a string: put it in double quotes", quote(h.name))
		}
		err := readString(field, value, &h.value)
		sent = append(sent, h)
		return err
	})
	return sent, err
}

// mergeHeaders merges sent into current, as in RFC 7396.
func mergeHeaders(current map[string]string, sent []header) map[string]string {
	merged := map[string]string{}
	for name, value := range current {
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
