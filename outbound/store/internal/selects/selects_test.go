package selects

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestSpan checks that a list of a period is continued from the cursor, and not from
// the end of the period: SQLite seeks to the first bound of a kind only.
func TestSpan(t *testing.T) {
	early, late := time.UnixMilli(1_000), time.UnixMilli(2_000)
	tests := []struct {
		name  string
		q     store.Query
		where string
		args  []any
		order string
	}{
		{"everything", store.Query{}, "", nil, "id DESC"},
		{"a period", store.Query{Since: early, Until: late}, " WHERE id > ? AND id < ?", []any{store.IDAt(early) - 1, store.IDAt(late)}, "id DESC"},
		{"its next page", store.Query{Since: early, Until: late, Before: store.IDAt(late) - 5}, " WHERE id > ? AND id < ?", []any{store.IDAt(early) - 1, store.IDAt(late) - 5}, "id DESC"},
		{"a cursor after it", store.Query{Until: early, Before: store.IDAt(late)}, " WHERE id < ?", []any{store.IDAt(early)}, "id DESC"},
		{"before 1970", store.Query{Until: time.UnixMilli(-1), Before: 7}, " WHERE id < ?", []any{store.ID(0)}, "id DESC"},
		{"oldest first", store.Query{Since: early, After: 1}, " WHERE id > ?", []any{store.IDAt(early) - 1}, "id ASC"},
		{"oldest first, the next page", store.Query{Since: early, After: store.IDAt(early) + 5}, " WHERE id > ?", []any{store.IDAt(early) + 5}, "id ASC"},
		{"both cursors", store.Query{After: 3, Before: 9}, " WHERE id > ? AND id < ?", []any{store.ID(3), store.ID(9)}, "id ASC"},
	}
	for _, test := range tests {
		w := where{Dialect: &Dialect{}}
		order := w.span("id", test.q)
		if w.String() != test.where || !slices.Equal(w.args, test.args) || order != test.order {
			t.Errorf("%s: got %q %v %q, want %q %v %q", test.name, strings.TrimSpace(w.String()), w.args, order, test.where, test.args, test.order)
		}
	}
}
