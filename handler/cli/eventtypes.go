package cli

import (
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"
)

// eventType is an entry of the catalogue in the API.
type eventType struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema"`
	FromConfig  bool            `json:"from_config"`
}

func (e *eventType) from() string {
	if e.FromConfig {
		return "configuration"
	}
	return "API"
}

func (e *eventType) hasSchema() bool { return len(e.Schema) > 0 && string(e.Schema) != "null" }

func (t *tool) eventTypes() *cobra.Command {
	return t.noun("event-types", "Manages the catalogue of event types",
		t.listEventTypes(), t.showEventType(), t.putEventType(), t.deleteEventType())
}

func (t *tool) listEventTypes() *cobra.Command {
	return listCommand(t, "/event-types", verb{
		short:   "Lists the catalogue, by name",
		example: "caddy webhooks event-types list",
	}, []string{"EVENT TYPE", "SCHEMA", "FROM", "DESCRIPTION"}, func(_ *call, e *eventType) []string {
		schema := nothing
		if e.hasSchema() {
			schema = "yes"
		}
		return []string{clean(e.Name), schema, e.from(), cell(e.Description, widest)}
	})
}

func (t *tool) showEventType() *cobra.Command {
	return t.command(verb{
		use:     "show <event-type>",
		short:   "Shows an event type with its schema",
		example: "caddy webhooks event-types show order.created",
		min:     1, max: 1,
		run: func(c *call) error { return c.show(pathOf("/event-types", c.args[0]), nil, printing(printEventType)) },
	})
}

func printEventType(c *call, e *eventType) error {
	var f fields
	f.addText("Event type", e.Name)
	f.addText("Description", e.Description)
	f.add("From", e.from())
	if e.hasSchema() {
		f.addText("Schema", string(e.Schema))
	}
	return f.flush(c.out)
}

func (t *tool) putEventType() *cobra.Command {
	var description, schema string
	cmd := t.command(verb{
		use:   "put <event-type>",
		short: "Adds an event type to the catalogue, or replaces it",
		long: `
Adds an event type to the catalogue, or replaces the one with that name,
including its description and schema.

With a JSON Schema, events of the type whose payload doesn't meet it are
refused. Event types that aren't in the catalogue can be published as well.`,
		example: `
caddy webhooks event-types put order.created --description 'An order was placed'
caddy webhooks event-types put order.created --schema-file order.schema.json`,
		min: 1, max: 1,
		run: func(c *call) error {
			body := map[string]any{"description": description}
			if schema != "" {
				text, err := c.read(schema, "the schema")
				if err != nil {
					return err
				}
				if !json.Valid(text) {
					return usagef("the schema in %s is not JSON", schema)
				}
				body["schema"] = json.RawMessage(text)
			}
			return c.act(http.MethodPut, pathOf("/event-types", c.args[0]), body, printing(printEventType))
		},
	})
	cmd.Flags().StringVar(&description, "description", "", "What it means that an event of this type is published")
	cmd.Flags().StringVar(&schema, "schema-file", "", "File with the JSON Schema of the payloads, - for standard input")
	return cmd
}

func (t *tool) deleteEventType() *cobra.Command {
	return t.command(verb{
		use:     "delete <event-type>…",
		short:   "Deletes event types from the catalogue; their events stay",
		example: "caddy webhooks event-types delete order.created",
		min:     1, max: -1,
		run: change{method: http.MethodDelete, list: "/event-types", done: "deleted"}.run,
	})
}
