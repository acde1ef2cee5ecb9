package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// pageParameters turn the pages of a list.
var pageParameters = []string{"limit", "cursor"}

const (
	defaultLimit = 50
	maxLimit     = 200
)

// query is what stands after the question mark: known names, each once.
type query map[string]string

func (c *call) query(known ...string) (query, error) {
	if c.r.URL.RawQuery == "" {
		return nil, nil
	}
	sent, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, refuse(codeInvalidParameter, "the query can't be read: escape %% as %%25, and separate parameters by &")
	}
	q := query{}
	for name, values := range sent {
		switch {
		case slices.Contains(failureFilters, name) && !slices.Contains(known, name):
			return nil, refuse(codeInvalidParameter, "%s selects among dead letters only: remove it, or ask /dead-letters", name).at(name)
		case !slices.Contains(known, name) && len(known) == 0:
			return nil, refuse(codeInvalidParameter, "there is no parameter %s here: remove it", quote(name)).at(name)
		case !slices.Contains(known, name):
			return nil, refuse(codeInvalidParameter, "there is no parameter %s here: use %s", quote(name), strings.Join(known, ", ")).at(name)
		case len(values) > 1:
			return nil, refuse(codeInvalidParameter, "%s is given twice: keep one", name).at(name)
		}
		q[name] = values[0]
	}
	return q, nil
}

// flag reads a parameter that is true or false.
func (q query) flag(name string) (bool, error) {
	switch q[name] {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, refuse(codeInvalidParameter, "%s must be true or false", name).at(name)
}

// limit is how many rows a page may have.
func (q query) limit() (int, error) {
	sent, ok := q["limit"]
	if !ok {
		return defaultLimit, nil
	}
	n, err := strconv.ParseUint(sent, 10, 31) // which takes no sign
	if err != nil || n < 1 || n > maxLimit {
		return 0, refuse(codeInvalidParameter, "limit must be a number from 1 to %d", maxLimit).at("limit")
	}
	return int(n), nil
}

// cursor is the key of the last row that the caller has, 0 at the beginning.
// Its prefix keeps the cursor of one list from being used for another.
func (q query) cursor(prefix string) (store.ID, error) {
	sent, ok := q["cursor"]
	if !ok {
		return 0, nil
	}
	key, ok := store.ParseID(prefix, sent)
	if !ok || key == 0 {
		return 0, refuse(codeInvalidParameter, "cursor is not one of this list's: use next_cursor of its last page, or leave it out to begin anew").at("cursor")
	}
	return key, nil
}

// cut makes a page of one row more than it may have, which tells that there is
// another: next is then the cursor for that.
func cut[T any](rows []T, limit int, cursor func(T) string) (page []T, next *string) {
	if len(rows) <= limit {
		return rows, nil
	}
	last := cursor(rows[limit-1])
	return rows[:limit], &last
}

// list is the answer with a page.
type list[T any] struct {
	Data []T     `json:"data"`
	Next *string `json:"next_cursor"`
}

// answerList answers with a page, cut from rows, each of them written by form.
func answerList[T, U any](c *call, rows []T, limit int, cursor func(T) string, form func(T) U) error {
	page, next := cut(rows, limit, cursor)
	return answerPage(c, page, next, form)
}

func answerPage[T, U any](c *call, page []T, next *string, form func(T) U) error {
	l := list[U]{Data: make([]U, len(page)), Next: next}
	for i, row := range page {
		l.Data[i] = form(row)
	}
	return c.answer(http.StatusOK, l)
}
