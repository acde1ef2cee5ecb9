package cli

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// bulk describes a change of things of one kind: of those with given ids, or of
// all that match filters.
type bulk struct {
	change           // of one row; to change all that match, the action follows the list's path
	do        string // the verb for it, such as "delete"
	one, many string // words for the rows, such as "event", "events"

	filters   []string // the flags that select rows
	idScope   string   // the parameter of filters that may also be given with ids, if any
	delivered bool     // filters select only successful deliveries, of past events, in the request's body

	countField string // the field of the response that counts the changed rows
	progress   func(query url.Values) progressText
	hintNone   func(*call)                 // says why nothing may have been changed, if set
	hintLeft   func(*call, map[string]int) // says why rows may have been left out, if set
}

func (t *tool) bulk(b bulk, v verb) *cobra.Command {
	var all, dryRun bool
	v.min, v.max, v.filters = 0, -1, b.filters
	selectable := b.many
	if b.delivered {
		selectable = "successful " + b.many
	}
	v.run = func(c *call) error {
		query, err := c.filters()
		switch {
		case err != nil:
			return err
		case all && len(c.args) > 0:
			return usagef("ids and --all can't be given together")
		case dryRun && !all:
			return usagef("--dry-run counts what --all would select: add --all")
		case all:
			return b.all(c, query, dryRun)
		case len(c.args) == 0 && len(query) == 0:
			return usagef("give the ids of the %s to %s, or --all for all that match the filters", b.many, b.do)
		case len(c.args) == 0, len(query) > 1, len(query) == 1 && !query.Has(b.idScope):
			return usagef("filters select among all %s: add --all to %s all that match", selectable, b.do)
		}
		one := b.change
		one.query = query
		return one.run(c)
	}
	cmd := t.command(v)
	cmd.Flags().BoolVar(&all, "all", false, "All "+selectable+" that match the filters")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "Only show how many match")
	return cmd
}

// countAll prints how many rows match, and changes nothing.
func (b *bulk) countAll(c *call, query url.Values) error {
	if b.delivered {
		query.Set("state", "delivered")
	}
	n, err := c.countList(b.list, b.many, query)
	switch {
	case err != nil:
		return err
	case c.json:
		return printValue(c.out, map[string]int{"matching": n})
	case n == 0:
		b.explainNone(c)
	}
	_, err = fmt.Fprintln(c.out, count(n, b.one+" matches", b.many+" match"))
	return err
}

// countList counts the rows of a list. Many is a word for them.
func (c *call) countList(path, many string, query url.Values) (n int, err error) {
	client, err := c.client()
	if err != nil {
		return 0, err
	}
	next, progress := "", c.progress("counted")
	for _, err := range client.list(c.cmd.Context(), path, query, 0, &next) {
		if err != nil {
			return n, fmt.Errorf("counting %s: %w", many, err)
		}
		n++
		progress.at(n)
	}
	return n, nil
}

// explainNone says why no row may have matched.
func (b *bulk) explainNone(c *call) {
	if unknown := c.unknown(); unknown != "" {
		fmt.Fprintln(c.err, strings.TrimSpace(unknown))
	} else if b.hintNone != nil {
		b.hintNone(c)
	}
}

// all changes all rows that match, or only counts them.
func (b *bulk) all(c *call, query url.Values, dryRun bool) error {
	r := longRequest{
		method: b.method, path: b.list + b.action, query: query,
		partial: b.many + " may be " + b.done, progress: b.progress(query),
	}
	if b.delivered {
		var err error
		if r.body, err = pastEvents(query, b.do+" events"); err != nil {
			return err
		}
		r.query = nil
	}
	if dryRun {
		return b.countAll(c, query)
	}
	if len(query) == 0 {
		query.Set("all", "true")
	}
	return c.longRequest(r, func(counts map[string]int) error {
		n := counts[b.countField]
		if n == 0 {
			b.explainNone(c)
		}
		if b.hintLeft != nil {
			b.hintLeft(c, counts)
		}
		_, err := fmt.Fprintf(c.out, "%s %s\n", count(n, b.one, b.many), b.done)
		return err
	})
}

// pastEvents makes the body of a request that sends past events, from the filters. Do
// is what the request does, such as "replay events".
func pastEvents(query url.Values, do string) ([]byte, error) {
	if !query.Has("since") && !query.Has("event_id") {
		return nil, usagef("give the time from which to %s, as in --since 24h, or one event with --event-id", do)
	}
	selection := map[string]string{}
	for name := range query {
		selection[name] = query.Get(name)
	}
	return encode(selection), nil
}
