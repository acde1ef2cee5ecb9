package sqlite

import (
	"hash/crc32"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// digest returns a checksum of those columns of an event that are sent, with the
// headers as JSON. It detects damage that leaves a row well-formed: a bit that
// flips in a payload, or a row that is found under another one's id.
func digest(id store.ID, eventType, tenant, chosen, contentType, headers string, payload []byte) int64 {
	head := make([]byte, 0, 128) // enough without headers
	for _, text := range []string{id.With(store.EventPrefix), eventType, tenant, chosen, contentType, headers} {
		head = append(append(head, text...), 0)
	}
	return int64(crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, payload))
}

// readDigest reads an event's digest, and reports whether it matches the other
// columns. Rows of format 1 and those whose payload was removed have no digest,
// and count as sound.
func (s *stmt) readDigest(id store.ID, eventType, tenant, chosen, contentType, headers string, payload []byte) (sound bool) {
	if s.isNull() {
		s.column++
		return true
	}
	return s.readInt() == digest(id, eventType, tenant, chosen, contentType, headers, payload)
}
