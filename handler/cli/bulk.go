package cli

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// bulk is something that is done to things of one kind, by id or to all that match.
type bulk struct {
	list, one, many string   // of the API, and the words for what is in it
	filters         []string // flags that select
	ofID            string   // the one among them that an id may be given with
	method, path    string   // what is asked of the API, after the list or the id
	do, done        string   // the words for it
	answer          string   // the field that tells how many
	stand           func(*serverStatus) string
	hintNone        func(*call)                 // says why it may be done to none
	hintLeft        func(*call, map[string]int) // and why some may be left
}

func (t *tool) bulk(b bulk, v verb) *cobra.Command {
	var all, dry bool
	v.min, v.max = 0, -1
	v.run = func(c *call) error {
		query, err := c.filters()
		switch {
		case err != nil:
			return err
		case all && len(c.args) > 0:
			return usagef("ids and --all can't be given together")
		case dry && !all:
			return usagef("--dry-run tells how many --all is about: add that")
		case dry:
			return b.countAll(c, query)
		case all:
			return b.all(c, query)
		case len(c.args) == 0 && len(query) == 0:
			return usagef("name the %s to %s by their ids, or --all for every one that matches the filters", b.many, b.do)
		case len(c.args) == 0, len(query) > 1, len(query) == 1 && !query.Has(b.ofID):
			return usagef("filters select among all %s: add --all to %s every one that matches", b.many, b.do)
		}
		return c.each(b.method, b.done, query, func(id string) string { return b.list + "/" + url.PathEscape(id) + b.path })
	}
	cmd := t.command(v)
	cmd.Flags().BoolVar(&all, "all", false, "All "+b.many+" that match the filters")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "Only show how many match")
	registerFilters(cmd.Flags(), b.filters...)
	return cmd
}

// countAll tells how many match, and does nothing to them.
func (b *bulk) countAll(c *call, query url.Values) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	n, err := c.countList(client, b.list, query)
	switch {
	case err != nil:
		return fmt.Errorf("counting %s: %w", b.many, err)
	case c.json:
		return printValue(c.out, map[string]int{"matching": n})
	case n == 0:
		b.none(c)
	}
	_, err = fmt.Fprintln(c.out, count(n, b.one+" matches", b.many+" match"))
	return err
}

// countList counts the rows of a list.
func (c *call) countList(client *client, path string, query url.Values) (n int, err error) {
	next, progress := "", c.progress("counted")
	for _, err := range client.list(c.context(), path, query, 0, &next) {
		if err != nil {
			return n, err
		}
		n++
		progress.at(n)
	}
	return n, nil
}

// none says why it may be done to none.
func (b *bulk) none(c *call) {
	if unknown := c.unknownSubscription(); unknown != "" {
		fmt.Fprintln(c.err, strings.TrimSpace(unknown))
	} else if b.hintNone != nil {
		b.hintNone(c)
	}
}

// all does it to all that match.
func (b *bulk) all(c *call, query url.Values) error {
	if len(query) == 0 {
		query.Set("all", "true")
	}
	return c.work(work{
		method: b.method, path: b.list + b.path, query: query,
		done: b.many + " may be " + b.done, stand: b.stand,
	}, func(counts map[string]int) error {
		n := counts[b.answer]
		if n == 0 {
			b.none(c)
		}
		if b.hintLeft != nil {
			b.hintLeft(c, counts)
		}
		_, err := fmt.Fprintf(c.out, "%s %s\n", count(n, b.one, b.many), b.done)
		return err
	})
}
