package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// printer prints a response of the API for people.
type printer func(c *call, response []byte) error

// printing makes a printer that decodes the response into a T first.
func printing[T any](print func(*call, *T) error) printer {
	return func(c *call, response []byte) error {
		v := new(T)
		if err := decode(response, v); err != nil {
			return err
		}
		return print(c, v)
	}
}

// show requests one thing and prints it.
func (c *call) show(path string, query url.Values, print printer) error {
	return c.request(http.MethodGet, path, query, nil, print)
}

// act requests a change and prints the response.
func (c *call) act(method, path string, body map[string]any, print printer) error {
	return c.request(method, path, nil, encode(body), print)
}

// encode returns the body of a request: v is made of texts, or of JSON that is valid.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func (c *call) request(method, path string, query url.Values, body []byte, print printer) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var response json.RawMessage
	if err := client.do(c.cmd.Context(), method, path, query, body, &response); err != nil {
		return err
	}
	return c.print(response, print)
}

// withRetryHint adds to an error, after which something may have been created, whether
// it is safe to run the command again: only with an id, which the flag gives.
func (c *call) withRetryHint(err error, flag, perhaps, list string) error {
	if lost, ok := errors.AsType[*noResponse](err); !ok || !lost.sent {
		return err
	}
	if c.cmd.Flags().Changed(flag) {
		return fmt.Errorf("%w\n%s: run the command again with the same --%s, which is safe", err, perhaps, flag)
	}
	return fmt.Errorf("%w\n%s: %s shows it if it was. With --%s, it is safe to run the command again", err, perhaps, c.line(list), flag)
}

// print prints a response for people or, with --json, as it is.
func (c *call) print(response []byte, print printer) error {
	switch {
	case !c.json:
		return print(c, response)
	case len(response) == 0: // as of a deletion
		return nil
	}
	return printJSON(c.out, response)
}

// pathOf returns the path of a row of a list, by its id.
func pathOf(list, id string) string { return list + "/" + url.PathEscape(id) }

// change is a change that is requested for each of the command's arguments, which are
// the ids of rows.
type change struct {
	method, list, action string // the action follows the row's path
	attempts             bool   // the ids may be those of attempts too
	query                url.Values
	body                 []byte
	done                 string // the participle of what it does, such as "deleted"
}

// run requests the change for each argument. One that the API refuses doesn't keep it
// from the others.
func (r change) run(c *call) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	refused := 0
	for _, id := range c.args {
		list := r.list
		if r.attempts && strings.HasPrefix(id, "att_") {
			list = "/attempts"
		}
		var response json.RawMessage
		if err := client.do(c.cmd.Context(), r.method, pathOf(list, id)+r.action, r.query, r.body, &response); err != nil {
			if _, refusal := errors.AsType[*problem](err); len(c.args) == 1 || !refusal {
				return err
			}
			refused++
			printError(c.err, c.cmd.CommandPath(), err, c.json)
			continue
		}
		err := c.print(response, func(*call, []byte) error {
			_, err := fmt.Fprintf(c.out, "%s %s\n", clean(id), r.done)
			return err
		})
		if err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d were not %s", refused, len(c.args), r.done)
	}
	return nil
}

// longRequest is a change of many things, which may take long.
type longRequest struct {
	method, path string
	query        url.Values
	body         []byte
	partial      string // what the change may have done if the response is lost, after "Some"
	progress     progressText
}

// progressText says how far a change has come, by the server's status before it and
// now.
type progressText func(before, now *serverStatus) string

// pendingNow is the progress of a request that queues deliveries.
func pendingNow(_, now *serverStatus) string {
	return count(now.Pending, "delivery", "deliveries") + " pending"
}

// longRequest makes the request without a timeout, and prints its progress. Print
// gets the counts in the response.
func (c *call) longRequest(r longRequest, print func(counts map[string]int) error) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var response json.RawMessage
	err = c.withProgress(client, r.progress, func(ctx context.Context) error {
		return client.withoutTimeout().do(ctx, r.method, r.path, r.query, r.body, &response)
	})
	var lost *noResponse
	switch {
	case errors.As(err, &lost) && lost.sent:
		return fmt.Errorf("%w\nSome %s already: run the command again for the rest", err, r.partial)
	case err != nil:
		return err
	}
	return c.print(response, printing(func(_ *call, counts *map[string]int) error { return print(*counts) }))
}

// withProgress prints the progress of a request, at intervals, by the server's
// status. It cancels the request if Caddy no longer responds.
func (c *call) withProgress(client *client, progress progressText, request func(context.Context) error) error {
	ctx, cancel := context.WithCancel(c.cmd.Context())
	defer cancel()
	var before serverStatus
	if err := client.do(ctx, http.MethodGet, "/status", nil, nil, &before); err != nil {
		return err
	}
	var result error
	done := make(chan struct{})
	go func() { defer close(done); result = request(ctx) }()
	ticks := time.NewTicker(c.progressInterval)
	defer ticks.Stop()
	for {
		select {
		case <-done:
			return result
		case <-ticks.C:
		}
		var now serverStatus
		if err := client.do(ctx, http.MethodGet, "/status", nil, nil, &now); err != nil {
			cancel()
			<-done
			return err
		}
		fmt.Fprintln(c.err, progress(&before, &now))
	}
}
