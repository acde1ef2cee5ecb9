package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// printer shows an answer of the API to people.
type printer func(c *call, answer []byte) error

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
	if err := client.ask(c.context(), method, path, query, body, &answer); err != nil {
		return err
	}
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
func (c *call) each(method, done string, path func(id string) string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	refused := 0
	for _, id := range c.args {
		var answer json.RawMessage
		if err := client.ask(c.context(), method, path(id), nil, nil, &answer); err != nil {
			var p *problem
			if len(c.args) == 1 || !errors.As(err, &p) {
				return err
			}
			refused++
			printError(c.err, c.cmd.CommandPath(), err, c.json)
			continue
		}
		if err := c.printDone(id, done, answer); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d were not %s", refused, len(c.args), done)
	}
	return nil
}

func (c *call) printDone(id, done string, answer []byte) error {
	switch {
	case !c.json:
		_, err := fmt.Fprintf(c.out, "%s %s\n", clean(id), done)
		return err
	case len(answer) == 0:
		return nil
	}
	return printJSON(c.out, answer)
}
