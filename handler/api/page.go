package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// pageParameters select a page of a list.
var pageParameters = []string{"limit", "cursor"}

const (
	defaultLimit = 50
	maxLimit     = 200
)

// query has the parameters of a request, or the filters of a body, by name.
type query map[string]string

// readQuery reads the query parameters, of which only the known ones are allowed,
// each once.
func readQuery(r *http.Request, known []string) (query, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	sent, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(codeInvalidParameter, "the query can't be read: escape %% as %%25, and separate parameters by &")
	}
	q := query{}
	for name, values := range sent {
		if !slices.Contains(known, name) {
			return nil, unknownParameter(name, known)
		}
		if len(values) > 1 {
			return nil, refuse(codeInvalidParameter, "%s is given twice: keep one", name).at(name)
		}
		q[name] = values[0]
	}
	return q, nil
}

func unknownParameter(name string, known []string) error {
	switch {
	case slices.Contains(failureFilters, name):
		return refuse(codeInvalidParameter, "%s is only for dead letters: remove it, or ask /dead-letters", name).at(name)
	case len(known) == 0:
		return refuse(codeInvalidParameter, "there is no parameter %s here: remove it", quote(name)).at(name)
	}
	return refuse(codeInvalidParameter, "there is no parameter %s here: use %s", quote(name), strings.Join(known, ", ")).at(name)
}

// flag reads a parameter that is true or false, or left out, which is false.
func (q query) flag(name string) (bool, error) {
	switch q[name] {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, refuse(codeInvalidParameter, "%s must be true or false", name).at(name)
}

// limit returns how many rows a page may have.
func (q query) limit() (int, error) {
	sent, ok := q["limit"]
	if !ok {
		return defaultLimit, nil
	}
	n, err := strconv.ParseUint(sent, 10, 31) // unlike Atoi, it refuses a sign
	if err != nil || n < 1 || n > maxLimit {
		return 0, refuse(codeInvalidParameter, "limit must be a number from 1 to %d", maxLimit).at("limit")
	}
	return int(n), nil
}

// cursor returns the key of the last row of the previous page, or 0 for the first
// page. The prefix keeps the cursor of one list from being used for another.
func (q query) cursor(prefix string) (store.ID, error) {
	sent, ok := q["cursor"]
	if !ok {
		return 0, nil
	}
	key, ok := store.ParseID(prefix, sent)
	if !ok || key == 0 {
		return 0, badCursor()
	}
	return key, nil
}

func badCursor() error {
	return refuse(codeInvalidParameter, "cursor does not belong to this list: use the next_cursor of its previous page, or leave it out for the first page").at("cursor")
}

// cut cuts a page of limit rows from rows. If there are more, next is the cursor of
// the next page.
func cut[T any](rows []T, limit int, cursor func(T) string) (page []T, next *string) {
	if len(rows) <= limit {
		return rows, nil
	}
	last := cursor(rows[limit-1])
	return rows[:limit], &last
}

// list is an answer with a page of a list.
type list[T any] struct {
	Data []T     `json:"data"`
	Next *string `json:"next_cursor"`
}

// answerList answers with a page that is cut from rows, each as show returns it.
func answerList[T, U any](c *call, rows []T, limit int, cursor func(T) string, show func(T) U) error {
	page, next := cut(rows, limit, cursor)
	return answerPage(c, page, next, show)
}

// answerPage answers with a page, each row as show returns it.
func answerPage[T, U any](c *call, page []T, next *string, show func(T) U) error {
	l := list[U]{Data: make([]U, len(page)), Next: next}
	for i, row := range page {
		l.Data[i] = show(row)
	}
	return c.answer(http.StatusOK, l)
}
