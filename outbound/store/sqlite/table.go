package sqlite

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// table describes the rows of a table, so that they can be recognised on a page
// that nothing leads to.
type table struct {
	name string
	// columns are the columns in their order, each as a name and a letter for its
	// type, which is a capital if it may be NULL too. k: the rowid, which isn't in
	// the record; i: integer; r: number; t: text; b: bytes. In JSON, m: a map of
	// texts; l: a list of texts; s: secrets; o: OAuth2; d: a list of delays.
	columns string
	added   int  // how many columns at the end rows of older formats lack
	index   bool // it is stored as an index (WITHOUT ROWID)
	sound   func(row []any) bool
}

// tables are the tables that are read from a damaged file. The others follow from
// their rows.
var tables = []*table{
	{
		name:    "subscription",
		columns: "key:k id:t tenant:t url:t description:t event_types:l headers:M scheme:t secrets:S rate_limit:r ordered:i filter:t from_config:i active:i reason:t updated:i deleted:i failing_since:I oauth2:O last_delivery:I timeout:I retry:D metadata:M transform:T handshake:T",
		added:   8,
		sound: func(row []any) bool {
			deleted := number(row[16])
			return number(row[0]) > 0 && (deleted == 0 || deleted == number(row[0])) &&
				flag(row[10]) && flag(row[12]) && flag(row[13]) && row[1] != "" && strings.Contains(row[3].(string), "://")
		},
	},
	{
		name:    "event",
		columns: "id:k last:i deliveries:i type:t tenant:T chosen:T content_type:T headers:M trace_parent:T trace_state:T payload:b digest:I payload_removed:I",
		added:   2,
		sound: func(row []any) bool {
			id, last, deliveries := number(row[0]), number(row[1]), number(row[2])
			return id > 0 && deliveries >= 0 && last >= id && deliveries <= last-id && row[3] != "" &&
				(row[11] == nil || row[11] == digest(store.ID(id), text(row[3]), text(row[4]), text(row[5]), text(row[6]), text(row[7]), bytesOf(row[10])))
		},
	},
	{
		name:    "delivery",
		columns: "id:k event:i subscription:i state:i due:I attempts:i round:i reason:T at:I latency:I status:I class:T error:T response_body:B response_headers:M trace_id:T unlogged:I replayed:I url:T",
		added:   3,
		sound: func(row []any) bool {
			id, event, state, attempts, round := number(row[0]), number(row[1]), number(row[3]), number(row[5]), number(row[6])
			return event > 0 && id > event && number(row[2]) > 0 && state >= 0 && state <= 3 &&
				(row[4] != nil) == (state == 0) && round >= 0 && round <= attempts && attempts < 1<<31
		},
	},
	{
		name:    "attempt",
		columns: "id:k delivery:i number:i at:i latency:i status:I class:T error:T response_body:B response_headers:M trace_id:T url:T",
		added:   1,
		sound: func(row []any) bool {
			return number(row[0]) > 0 && number(row[1]) > 0 && number(row[2]) > 1 && number(row[2]) < 1<<31
		},
	},
	{
		name:    "event_type",
		columns: "name:t description:t schema:B from_config:i",
		index:   true,
		sound:   func(row []any) bool { return row[0] != "" && flag(row[3]) },
	},
	{
		name:    "seen",
		columns: "key:b until:i",
		index:   true,
		sound:   func(row []any) bool { return len(bytesOf(row[0])) == 32 },
	},
}

// fields returns the names of the columns, and their types as one letter each.
func (t *table) fields() (names []string, types string) {
	for column := range strings.FieldsSeq(t.columns) {
		name, letter, _ := strings.Cut(column, ":")
		names, types = append(names, name), types+letter
	}
	return names, types
}

// parse returns the values of a cell, completed to a row of the table, or nil if
// they can't be one.
func (t *table) parse(c cell, types string, values []any) []any {
	if c.index != t.index || len(values) > len(types) || len(values) < len(types)-t.added {
		return nil
	}
	row := make([]any, len(types))
	copy(row, values)
	for i, v := range row {
		if !fits(types[i], v) {
			return nil
		}
	}
	if types[0] == 'k' {
		row[0] = c.rowid
	}
	if !t.sound(row) {
		return nil
	}
	return row
}

// fits reports whether a column of a type can have a value.
func fits(letter byte, v any) bool {
	if v == nil {
		return letter == 'k' || letter < 'a' // a capital
	}
	switch letter | 0x20 { // in lower case
	case 'i':
		_, ok := v.(int64)
		return ok
	case 'r':
		switch v := v.(type) {
		case int64:
			return v >= 0
		case float64:
			return v >= 0
		}
	case 't':
		s, ok := v.(string)
		return ok && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
	case 'm':
		return isJSON[map[string]string](v)
	case 'l':
		return isJSON[[]string](v)
	case 's':
		return isJSON[[]store.Secret](v)
	case 'd':
		return isJSON[[]time.Duration](v)
	case 'o':
		return isJSON[store.OAuth2](v)
	case 'b':
		switch v := v.(type) {
		case string:
			return utf8.ValidString(v)
		case []byte:
			return true
		}
	}
	return false
}

func isJSON[T any](v any) bool {
	s, ok := v.(string)
	return ok && json.Unmarshal([]byte(s), new(T)) == nil
}

func number(v any) int64 { n, _ := v.(int64); return n }

func text(v any) string { s, _ := v.(string); return s }

func flag(v any) bool { return v == int64(0) || v == int64(1) }

func bytesOf(v any) []byte {
	if s, ok := v.(string); ok {
		return []byte(s)
	}
	b, _ := v.([]byte)
	return b
}
