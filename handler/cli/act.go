package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// printer shows an answer of the API to people.
type printer func(c *call, answer []byte) error

// printing is a printer of what an answer is decoded into.
func printing[T any](print func(*call, *T) error) printer {
	return func(c *call, answer []byte) error {
		v := new(T)
		if err := decode(answer, v); err != nil {
			return err
		}
		return print(c, v)
	}
}

// show asks for one thing and shows it.
func (c *call) show(path string, query url.Values, print printer) error {
	return c.request(http.MethodGet, path, query, nil, print)
}

// act asks for a change and shows what came of it.
func (c *call) act(method, path string, body map[string]any, print printer) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("writing the request: %w", err)
		}
	}
	return c.request(method, path, nil, text, print)
}

func (c *call) request(method, path string, query url.Values, body []byte, print printer) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if err := client.do(c.context(), method, path, query, body, &answer); err != nil {
		return err
	}
	return c.print(answer, print)
}

// print shows an answer to people, or gives it to programs as it is.
func (c *call) print(answer []byte, print printer) error {
	switch {
	case !c.json:
		return print(c, answer)
	case len(answer) == 0:
		return nil // a change that has no answer
	}
	return printJSON(c.out, answer)
}

// said is a printer of words about what the command was called with.
func said(format string) printer {
	return func(c *call, _ []byte) error {
		_, err := fmt.Fprintf(c.out, format+"\n", clean(c.args[0]))
		return err
	}
}

// each asks for the same action on everything that the command was called
// with, and goes on to the next after one was refused. Done says what came of
// it.
func (c *call) each(method, done string, query url.Values, path func(id string) string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	refused := 0
	for _, id := range c.args {
		var answer json.RawMessage
		if err := client.do(c.context(), method, path(id), query, nil, &answer); err != nil {
			var p *problem
			if len(c.args) == 1 || !errors.As(err, &p) {
				return err
			}
			refused++
			printError(c.err, c.cmd.CommandPath(), err, c.json)
			continue
		}
		err := c.print(answer, func(*call, []byte) error {
			_, err := fmt.Fprintf(c.out, "%s %s\n", clean(id), done)
			return err
		})
		if err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d were not %s", refused, len(c.args), done)
	}
	return nil
}

// work is a change of many things, which may take long.
type work struct {
	method, path string
	query        url.Values
	body         []byte
	done         string                     // what may be so already when there is no answer
	stand        func(*serverStatus) string // how far it has come
}

// work does it, and has print tell how many there were, by the answer's fields.
func (c *call) work(w work, print func(counts map[string]int) error) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var answer json.RawMessage
	err = c.watch(client, w.stand, func(ctx context.Context) error {
		return client.withoutTimeout().do(ctx, w.method, w.path, w.query, w.body, &answer)
	})
	var lost *noResponse
	switch {
	case errors.As(err, &lost) && lost.sent:
		return fmt.Errorf("%w\nSome %s already: the command can be run again for the rest", err, w.done)
	case err != nil:
		return err
	}
	return c.print(answer, printing(func(_ *call, counts *map[string]int) error { return print(*counts) }))
}

// watch tells from time to time how far work has come, and ends it when Caddy no
// longer answers.
func (c *call) watch(client *client, stand func(*serverStatus) string, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(c.context())
	defer cancel()
	var result error
	done := make(chan struct{})
	go func() { defer close(done); result = work(ctx) }()
	ticks := time.NewTicker(c.progressInterval)
	defer ticks.Stop()
	for {
		select {
		case <-done:
			return result
		case <-ticks.C:
		}
		var s serverStatus
		if err := client.do(ctx, http.MethodGet, "/status", nil, nil, &s); err != nil {
			cancel()
			<-done
			return err
		}
		fmt.Fprintln(c.err, stand(&s))
	}
}
