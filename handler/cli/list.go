package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// filter is a flag that sets the parameter of that name of the API's lists.
type filter struct {
	flag, usage string
	time        bool
}

var filters = []filter{
	{flag: "event-id", usage: "Only this event, or its deliveries"},
	{flag: "subscription-id", usage: "Only deliveries to this subscription, or events with one"},
	{flag: "event-type", usage: "Only this event type, or a prefix such as order.*"},
	{flag: "tenant", usage: "Only this tenant's"},
	{flag: "state", usage: "Only deliveries in this state, or events with one: pending (including between attempts), delivered, dead or discarded; separate several with commas"},
	{flag: "since", usage: "Only those published at or after this time, such as 24h (ago) or 2026-01-31T15:04:05Z", time: true},
	{flag: "until", usage: "Only those published before this time", time: true},
	{flag: "filter", usage: "Only those that a CEL expression selects, like a subscription's filter: 'payload.customer == \"cus_7\"'"},
	{flag: "failed-since", usage: "Only those whose last attempt failed at or after this time, such as 1h (ago), whenever they were published; those without an attempt don't match", time: true},
	{flag: "failed-until", usage: "Only those whose last attempt failed before this time", time: true},
	{flag: "class", usage: "Only those whose last attempt failed with this class, as shown by dead-letters show: dns, connect, tls, timeout, status …"},
	{flag: "status", usage: "Only those whose last attempt was answered with this status, such as 503"},
}

// filters returns the parameters of the filters that are set.
func (c *call) filters() (url.Values, error) {
	query := url.Values{}
	for _, filter := range filters {
		flag := c.cmd.Flags().Lookup(filter.flag)
		if flag == nil || !flag.Changed {
			continue
		}
		value := flag.Value.String()
		if filter.time {
			at, err := c.parseTime(value)
			if err != nil {
				return nil, usagef("--%s: %v", filter.flag, err)
			}
			value = at.UTC().Format(time.RFC3339Nano)
		}
		query.Set(apiName(filter.flag), value)
	}
	return query, nil
}

// unknown returns a hint if the filter's subscription doesn't exist, or no subscription
// has the filter's tenant, else "". With a mistyped one, it looks as if all were well.
func (c *call) unknown() string {
	id, _ := c.cmd.Flags().GetString("subscription-id")
	tenant, _ := c.cmd.Flags().GetString("tenant")
	client, err := c.client()
	if err != nil {
		return ""
	}
	if id != "" {
		err := client.do(c.cmd.Context(), http.MethodGet, pathOf("/subscriptions", id), nil, nil, nil)
		if p, ok := errors.AsType[*problem](err); ok && p.Status == http.StatusNotFound {
			return fmt.Sprintf(" There is no subscription %s (any more): %s lists the existing ones.", clean(id), c.line("subscriptions list"))
		}
	}
	if tenant != "" {
		var p page
		err := client.do(c.cmd.Context(), http.MethodGet, "/subscriptions", url.Values{"tenant": {tenant}, "limit": {"1"}}, nil, &p)
		if err == nil && len(p.Data) == 0 {
			return fmt.Sprintf(" No subscription has the tenant %s (any more): %s shows whose they are.", clean(tenant), c.line("subscriptions list"))
		}
	}
	return ""
}

// listFlags select how much of a list to show.
type listFlags struct {
	limit  int
	all    bool
	cursor string
}

const defaultLimit = 50

func (l *listFlags) register(f *pflag.FlagSet) {
	f.IntVar(&l.limit, "limit", defaultLimit, "The maximum number to show")
	f.BoolVar(&l.all, "all", false, "Show all")
	f.StringVar(&l.cursor, "cursor", "", "Continue where a previous list ended")
}

func (l *listFlags) check(c *call) error {
	switch {
	case l.all && c.cmd.Flags().Changed("limit"):
		return usagef("--all and --limit can't be given together")
	case l.all:
		l.limit = 0
	case l.limit < 1:
		return usagef("--limit must be greater than 0, not %d; --all shows all", l.limit)
	}
	return nil
}

// listCommand makes the command that prints a list of the API, with a heading and,
// for each row, its cells.
func listCommand[T any](t *tool, path string, v verb, head []string, cells func(*call, *T) []string) *cobra.Command {
	var l listFlags
	v.use = "list"
	v.run = func(c *call) error {
		return c.list(path, &l, head, func(row json.RawMessage) ([]string, error) {
			v := new(T)
			if err := decode(row, v); err != nil {
				return nil, err
			}
			return cells(c, v), nil
		})
	}
	cmd := t.command(v)
	l.register(cmd.Flags())
	return cmd
}

// listPrinter prints a list row by row. End gets the cursor that continues the
// list, "" if it is complete.
type listPrinter interface {
	add(row json.RawMessage) error
	end(next string) error
}

// list prints a list of the API, as a table with the given heading and cells, or
// as JSON.
func (c *call) list(path string, l *listFlags, head []string, cells func(json.RawMessage) ([]string, error)) error {
	if err := l.check(c); err != nil {
		return err
	}
	query, err := c.filters()
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	var out listPrinter = &tablePrinter{call: c, table: newTable(head...), cells: cells, filtered: len(query) > 0}
	if c.json {
		out = &jsonPrinter{w: c.out}
	}
	if l.cursor != "" {
		query.Set("cursor", l.cursor)
	}
	next := ""
	for row, err := range client.list(c.cmd.Context(), path, query, l.limit, &next) {
		if err != nil {
			return err
		}
		if err := out.add(row); err != nil {
			return err
		}
	}
	return out.end(next)
}

// alignedRows is how many rows are aligned with each other: they are held in
// memory, whose use shouldn't grow with the list.
const alignedRows = 1000

type tablePrinter struct {
	*call
	table    *table
	cells    func(json.RawMessage) ([]string, error)
	filtered bool
	rows     int
}

func (p *tablePrinter) add(row json.RawMessage) error {
	cells, err := p.cells(row)
	if err != nil {
		return err
	}
	p.table.row(cells...)
	if p.rows++; p.rows%alignedRows == 0 {
		return p.table.flush(p.out)
	}
	return nil
}

func (p *tablePrinter) end(next string) error {
	if p.rows == 0 {
		text := "There are none."
		if p.filtered {
			text = "None match." + p.unknown()
		}
		_, err := fmt.Fprintln(p.err, text)
		return err
	}
	if err := p.table.flush(p.out); err != nil {
		return err
	}
	if next != "" {
		fmt.Fprintf(p.err, "There are more: use --all to show all, or --cursor %s to continue from here.\n", next)
	}
	return nil
}

// jsonPrinter prints rows as one list document of the API, however many pages they
// came in.
type jsonPrinter struct {
	w    io.Writer
	rows int
}

func (p *jsonPrinter) add(row json.RawMessage) error {
	text := bytes.NewBufferString("{\n  \"data\": [")
	if p.rows > 0 {
		text = bytes.NewBufferString(",")
	}
	p.rows++
	text.WriteString("\n    ")
	if err := json.Indent(text, row, "    ", "  "); err != nil {
		return fmt.Errorf("reading the response: %w", err)
	}
	_, err := p.w.Write(text.Bytes())
	return err
}

func (p *jsonPrinter) end(next string) error {
	text := "\n  ],\n  \"next_cursor\": "
	if p.rows == 0 {
		text = "{\n  \"data\": [],\n  \"next_cursor\": "
	}
	cursor := "null"
	if next != "" {
		quoted, _ := json.Marshal(next) // can't fail for a string
		cursor = string(quoted)
	}
	_, err := io.WriteString(p.w, text+cursor+"\n}\n")
	return err
}
