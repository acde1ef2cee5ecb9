package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestEventTypesLife(t *testing.T) {
	s := start(t)
	file := filepath.Join(t.TempDir(), "order.json")
	must.Do(t, os.WriteFile(file, []byte(`{"type": "object", "required": ["total"]}`), 0o600))
	s.run("", "event-types", "put", "order.created", "--description", "An order was placed", "--schema-file", file).want(t, 0)
	s.run("", "event-types", "put", "user.deleted").want(t, 0)
	golden(t, "event-types-list", s.run("", "event-types", "list").want(t, 0).out)
	golden(t, "event-types-show", s.run("", "event-types", "show", "order.created").want(t, 0).out)

	s.run("", "events", "publish", "order.created", "--payload", "{}").want(t, 1).says(t, "/total is missing")
	s.run(`{"type":"objekt"}`, "event-types", "put", "order.created", "--schema-file", "-").want(t, 1).says(t, "is not a JSON Schema")
	s.run("{", "event-types", "put", "order.created", "--schema-file", "-").want(t, 2).says(t, "is not JSON")
	s.run("", "event-types", "put", "order.created").want(t, 0) // without a schema
	s.run("", "events", "publish", "order.created", "--payload", "{}").want(t, 0)
	s.run("", "event-types", "delete", "order.created", "user.deleted").want(t, 0).prints(t, "order.created deleted\nuser.deleted deleted\n")
	s.run("", "event-types", "show", "order.created", "--json").want(t, 1).says(t, `"code": "not_found"`)
}
