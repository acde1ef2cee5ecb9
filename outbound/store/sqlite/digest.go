package sqlite

import (
	"hash/crc32"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// digest is a checksum of what an event's row has of what is sent, headers as
// JSON. It is for damage that leaves a row's form whole: a bit that flips in a
// payload, or a row that is found under another's id.
func digest(id store.ID, kind, tenant, chosen, contentType, headers string, payload []byte) int64 {
	head := make([]byte, 0, 512)
	for _, text := range []string{id.With(store.EventPrefix), kind, tenant, chosen, contentType, headers} {
		head = append(append(head, text...), 0)
	}
	return int64(crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, payload))
}

// readDigest tells whether a row's digest is that of what the row has. Rows of
// format 1 have none, nor do those without their payload, and are taken as they
// are.
func (s *stmt) readDigest(id store.ID, kind, tenant, chosen, contentType, headers string, payload []byte) (sound bool) {
	if s.isNull() {
		s.column++
		return true
	}
	return s.readInt() == digest(id, kind, tenant, chosen, contentType, headers, payload)
}
