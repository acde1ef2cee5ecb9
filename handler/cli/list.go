package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/pflag"
)

// filter is a parameter of the API's lists, with the flag that sets it.
type filter struct {
	flag, param, usage string
	time               bool
}

var filters = []filter{
	{flag: "event-id", param: "event_id", usage: "Only this event, or its deliveries"},
	{flag: "subscription-id", param: "subscription_id", usage: "Only deliveries to this subscription"},
	{flag: "event-type", param: "event_type", usage: "Only this event type, or a prefix such as order.*"},
	{flag: "tenant", param: "tenant", usage: "Only this tenant's"},
	{flag: "state", param: "state", usage: "Only deliveries in this state: pending (including between attempts), delivered, dead or discarded; separate several with commas"},
	{flag: "since", param: "since", usage: "Only those published at or after this time, whenever they failed, such as 24h (ago) or 2026-01-31T15:04:05Z", time: true},
	{flag: "until", param: "until", usage: "Only those published before this time", time: true},
	{flag: "filter", param: "filter", usage: "Only those that a CEL expression selects, like a subscription's filter: 'payload.customer == \"cus_7\"'"},
	{flag: "failed-since", param: "failed_since", usage: "Only those whose last attempt failed at or after this time, such as 1h (ago), whenever they were published; those without an attempt don't match", time: true},
	{flag: "failed-until", param: "failed_until", usage: "Only those whose last attempt failed before this time", time: true},
	{flag: "class", param: "class", usage: "Only those whose last attempt failed in this way, as dead-letters show tells it: dns, connect, tls, timeout, status …"},
	{flag: "status", param: "status", usage: "Only those whose last attempt was answered with this status, such as 503"},
}

// registerFilters adds the flags of a list's filters.
func registerFilters(f *pflag.FlagSet, names ...string) {
	for _, filter := range filters {
		if slices.Contains(names, filter.flag) {
			f.String(filter.flag, "", filter.usage)
		}
	}
}

// filters reads the filters that are set.
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
		query.Set(filter.param, value)
	}
	return query, nil
}

// unknownSubscription says that the one which was asked for isn't there, since
// nothing else tells a mistyped id from one that has nothing.
func (c *call) unknownSubscription() string {
	id, _ := c.cmd.Flags().GetString("subscription-id")
	client, err := c.client()
	if id == "" || err != nil {
		return ""
	}
	err = client.do(c.context(), http.MethodGet, subscriptionPath(id, ""), nil, nil, nil)
	if p, ok := errors.AsType[*problem](err); !ok || p.Status != http.StatusNotFound {
		return ""
	}
	return fmt.Sprintf(" There is no subscription %s (any more): `caddy webhooks subscriptions list` shows those that there are.", clean(id))
}

// listFlags say how much of a list to show.
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
		return usagef("--limit must be over 0, not %d; --all shows all", l.limit)
	}
	return nil
}

// rowOf has a row of a list decoded, and returns its cells.
func rowOf[T any](cells func(*T) []string) func(json.RawMessage) ([]string, error) {
	return func(row json.RawMessage) ([]string, error) {
		v := new(T)
		if err := decode(row, v); err != nil {
			return nil, err
		}
		return cells(v), nil
	}
}

// shown is a list on its way to the user.
type shown interface {
	add(row json.RawMessage) error
	end(next string) error
}

// list shows a list of the API.
func (c *call) list(path string, l *listFlags, head []string, row func(json.RawMessage) ([]string, error)) error {
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
	var out shown = &shownTable{call: c, table: newTable(head...), cells: row, filtered: len(query) > 0}
	if c.json {
		out = &shownJSON{w: c.out}
	}
	if l.cursor != "" {
		query.Set("cursor", l.cursor)
	}
	next := ""
	for row, err := range client.list(c.context(), path, query, l.limit, &next) {
		if err != nil {
			return err
		}
		if err := out.add(row); err != nil {
			return err
		}
	}
	return out.end(next)
}

// block is how many rows are aligned with each other: a list of any length
// takes a bounded space.
const block = 1000

type shownTable struct {
	*call
	table    *table
	cells    func(json.RawMessage) ([]string, error)
	filtered bool
	rows     int
}

func (s *shownTable) add(row json.RawMessage) error {
	cells, err := s.cells(row)
	if err != nil {
		return err
	}
	s.table.row(cells...)
	if s.rows++; s.rows%block == 0 {
		return s.table.flush(s.out)
	}
	return nil
}

func (s *shownTable) end(next string) error {
	if s.rows == 0 {
		text := "There are none."
		if s.filtered {
			text = "None match." + s.unknownSubscription()
		}
		_, err := fmt.Fprintln(s.err, text)
		return err
	}
	if err := s.table.flush(s.out); err != nil {
		return err
	}
	if next != "" {
		fmt.Fprintf(s.err, "There are more: --all shows them, --cursor %s goes on from here.\n", next)
	}
	return nil
}

// shownJSON writes the document that the API has for a list, however many
// pages it came in.
type shownJSON struct {
	w    io.Writer
	rows int
}

func (s *shownJSON) add(row json.RawMessage) error {
	text := bytes.NewBufferString("{\n  \"data\": [")
	if s.rows > 0 {
		text = bytes.NewBufferString(",")
	}
	s.rows++
	text.WriteString("\n    ")
	if err := json.Indent(text, row, "    ", "  "); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	_, err := s.w.Write(text.Bytes())
	return err
}

func (s *shownJSON) end(next string) error {
	text := "\n  ],\n  \"next_cursor\": "
	if s.rows == 0 {
		text = "{\n  \"data\": [],\n  \"next_cursor\": "
	}
	cursor := "null"
	if next != "" {
		quoted, _ := json.Marshal(next) // of a string it can't fail
		cursor = string(quoted)
	}
	_, err := io.WriteString(s.w, text+cursor+"\n}\n")
	return err
}
