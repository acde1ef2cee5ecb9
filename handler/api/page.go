package api

import (
	"strconv"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// pageParameters select a page of a list.
var pageParameters = []string{"limit", "cursor"}

const (
	defaultLimit = 50
	maxLimit     = 200
)

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

// place returns how many rows a page may have, and the key of the last row of the
// previous page, or 0 for the first page. The prefix keeps the cursor of one list from
// being used for another.
func (q query) place(prefix string) (limit int, last store.ID, err error) {
	if limit, err = q.limit(); err != nil {
		return 0, 0, err
	}
	if sent, ok := q["cursor"]; ok {
		if last, ok = store.ParseID(prefix, sent); !ok {
			return 0, 0, badCursor()
		}
	}
	return limit, last, nil
}

func badCursor() error {
	return refuse(codeInvalidParameter, "cursor does not belong to this list: use the next_cursor of its previous page, or leave it out for the first page").at("cursor")
}

// page returns the filters and the page that were asked for as a query of the engine.
// Its limit is one row more than the page's, which tells whether there is another.
func (q query) page(prefix string) (out outbound.Query, limit int, err error) {
	limit, before, err := q.place(prefix)
	if err != nil {
		return out, 0, err
	}
	out, err = q.parse(codeInvalidParameter)
	out.Before, out.Limit = before, limit+1
	return out, limit, err
}

// cut cuts a page of limit rows from rows. If there are more, next is the cursor of
// the next page.
func cut[T any](rows []T, limit int, cursor func(T) string) (page []T, next *string) {
	if len(rows) <= limit {
		return rows, nil
	}
	return rows[:limit], new(cursor(rows[limit-1]))
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
	return c.answerInTurn(c.turns, func() ([]byte, error) { return encode(l) })
}
