package payload

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// judge applies a filter to an event.
func judge(t *testing.T, f *Filter, ev *store.Event) (bool, error) {
	v := must.Get(NewView(t.Context(), ev))(t)
	defer v.Close()
	return f.Wants(v)
}

// view returns a view of a payload, which is closed at the end of the test.
func view(t *testing.T, payload string) *View {
	v := must.Get(NewView(t.Context(), &store.Event{Payload: []byte(payload)}))(t)
	t.Cleanup(v.Close)
	return v
}

// Filters see the payload, the type, ids and headers of an event. Missing values reject
// it; an error of types leaves it unjudged.
func TestFilterJudges(t *testing.T) {
	const order = `{"total": 150, "price": 9.5, "big": 9007199254740993, "paid": true, "note": null, "lines": [{"sku": "a"}, {"sku": "b"}], "customer": {"country": "NO"}}`
	headers := map[string]string{"X-Env": "test", "X": "y"}
	for _, c := range []struct {
		filter, payload string
		want, unjudged  bool
	}{
		{"payload.total > 100", order, true, false},
		{"payload.total > 150", order, false, false},
		{"payload.total > 149.5 && payload.price < 10", order, true, false},
		{"payload.total == 150.0", order, true, false},
		{"payload.big == 9007199254740993", order, true, false}, // has no exact float64
		{"payload.paid", order, true, false},
		{"payload.note == null", order, true, false},
		{`payload.lines.exists(l, l.sku == "b")`, order, true, false},
		{`payload["customer"].country in ["SE", "NO"]`, order, true, false},
		{`event_type.startsWith("order.")`, order, true, false},
		{`event_type == "order.created" && tenant == "acme" && event_id == "e1"`, order, true, false},
		{`headers["X-Env"] == "test"`, order, true, false},
		{`headers["x-env"] == "test" && "X-ENV" in headers && has(headers.X)`, order, true, false},
		{`headers["X-Missing"] == "test"`, order, false, false},
		{`!("X-Missing" in headers) && !has(headers.missing) && size(headers) == 2`, order, true, false},
		{`headers.exists(name, headers[name] == "y")`, order, true, false},
		{`headers["X-Env"] in ["live", "test"] && headers["X-Env"].matches("^t")`, `not JSON`, true, false},
		{`payload.customer.country.matches("^N")`, order, true, false},
		{"size(payload) == 3", `[1, 2, 3]`, true, false},
		{`payload == "x"`, `"x"`, true, false},
		{"payload.missing > 1", order, false, false},
		{"has(payload.missing) && payload.missing > 1", order, false, false},
		{"!has(payload.missing)", order, true, false},
		{`payload.total > "a"`, order, false, true},
		{"payload.total", order, false, true}, // not a bool
		{"payload.total > 100", `"text"`, false, false},
		{"payload == null", `not JSON`, true, false},
		{"payload == null", `1 2`, true, false},
		{"payload == null", ``, true, false},
		{"payload.exists(i, i == 2)", "[" + strings.Repeat("1,", 2_000) + "2]", true, false},
		{"payload.exists(i, i == 3)", "[" + strings.Repeat("1,", 2_000) + "2]", false, false},
		{`payload.lines.map(l, l.sku) == ["a"] + ["b"] && payload.lines.filter(l, l.sku != "a").size() == 1`, order, true, false},
		{`"b" in payload.lines.map(l, l.sku) && !("c" in payload)`, order, true, false},
		{`payload.total + 1 == 151 && payload.customer.country + "/" + tenant == "NO/acme"`, order, true, false},
		{`"NO" in payload.total`, order, false, true},
		{`payload.customer + payload.lines != 1`, order, false, true},
		{`payload.paid || payload.missing == 1`, order, true, false},
		{"payload.sums[0].large > 1e308", `{"sums": [{"large": 1e999}]}`, true, false},
	} {
		f, err := NewFilter(c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		var got bool
		for err = ErrTooLong; errors.Is(err, ErrTooLong); { // which it can be on a busy machine
			got, err = judge(t, f, &store.Event{ID: "e1", Type: "order.created", Tenant: "acme", Headers: headers, Payload: []byte(c.payload)})
		}
		if got != c.want || (err != nil) != c.unjudged {
			t.Errorf("%s: got %v, %v, want %v, unjudged %v", c.filter, got, err, c.want, c.unjudged)
		}
	}
}

// Filters that don't compile, aren't conditions or are too large are refused, with the
// position and a hint.
// A subscription without a filter gets every event of its types.
func TestNoFilterSelectsEveryEvent(t *testing.T) {
	f, err := NewFilter("")
	if err != nil || !f.Selects(t.Context(), &store.Event{Payload: []byte("1")}) {
		t.Errorf("got %v, not selected or %v", f, err)
	}
}

func TestFilterIsChecked(t *testing.T) {
	for filter, want := range map[string][]string{
		"payload.total >":                  {"1:16", "Syntax error"},
		"paylod.total > 1":                 {"1:1", "undeclared reference to 'paylod'", "payload.total > 100"},
		"1 + 1":                            {"true or false", "not int"},
		`"order"`:                          {"not string"},
		`payload.x.matches("(")`:           {"can't be used"},
		"payload.matches(payload)":         {"must be a literal"},
		"payload.matches('(.{0,20}){20}')": {"too large"},
		strings.Repeat("a", 5000):          {"4096 bytes"},
		strings.Repeat("(", 1000):          {""},
	} {
		_, err := NewFilter(filter)
		if err == nil {
			t.Errorf("%.40s: got no error", filter)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%.40s: got %v, want %q in it", filter, err, w)
			}
		}
	}
}

// Filters are bounded in time and memory: nested loops, values that double at each step,
// slow patterns and long texts end with ErrTooLong.
func TestFiltersThatTakeTooLong(t *testing.T) {
	double := func(built, last string) string {
		filter, value := "", "payload"
		for i := range 60 {
			next := fmt.Sprint("v", i)
			filter += strings.ReplaceAll(built, "v", value) + ".exists(" + next + ", "
			value = next
		}
		return filter + strings.ReplaceAll(last, "v", value) + strings.Repeat(")", 60)
	}
	ones := "[" + strings.Repeat("1,", 30_000) + "1]"
	text := `{"n": [` + strings.Repeat("1,", 20) + `1], "s": "` + strings.Repeat("x", 1<<20) + `"}`
	for _, c := range []struct{ filter, payload string }{
		{"payload.all(a, payload.all(b, payload.all(c, true)))", ones},
		{"payload.map(a, payload) == payload.map(a, payload)", ones},
		{"payload in payload.map(a, payload.map(b, payload))", ones},
		{double("[v + v]", "v == v"), `"text"`},
		{double("[v + v]", "v == v"), `[1]`},
		{double("[[v, v]]", "v == v"), `[1]`},
		{double("[[v, v]]", "v != v"), `[1]`},
		{double("[[v, v]]", "v in v"), `[1]`},
		{"payload.n.map(a, payload.s + payload.s).size() > 0", text},
		{"payload.n.map(a, bytes(payload.s)).size() > 0", text},
		{"payload.matches('[^a]{0,240}y')", `"` + strings.Repeat("x", 256<<10) + `"`},
	} {
		f, err := NewFilter(c.filter)
		if err != nil {
			t.Errorf("%.60s: %v", c.filter, err)
			continue
		}
		if _, err := judge(t, f, &store.Event{Payload: []byte(c.payload)}); !errors.Is(err, ErrTooLong) {
			t.Errorf("%.60s: got %v, want %v", c.filter, err, ErrTooLong)
		}
	}
}

// All filters of an event share one time limit, so that a publisher doesn't wait longer for
// many of them.
func TestFiltersOfAnEventShareItsTime(t *testing.T) {
	f := must.Get(NewFilter("payload > 1"))(t)
	v := view(t, "1")
	if yes, err := f.Wants(v); yes || err != nil {
		t.Errorf("within the time: got %v, %v, want false", yes, err)
	}
	v.end = time.Now()
	if _, err := f.Wants(v); !errors.Is(err, ErrTooLong) {
		t.Errorf("after the time: got %v, want %v", err, ErrTooLong)
	}
}

// FuzzFilter checks that no filter and payload cause a panic, and that a filter is
// deterministic.
func FuzzFilter(f *testing.F) {
	f.Add("payload.total > 100", `{"total": 150}`)
	f.Add(`payload.lines.exists(l, l.sku == "b")`, `{"lines": [{"sku": "b"}, 1, null]}`)
	f.Add(`payload == 1e400 || payload.a[0].b`, `[1e400, -0, {"a": "\ud800"}]`)
	f.Fuzz(func(t *testing.T, text, payload string) {
		filter, err := NewFilter(text)
		if err != nil || filter == nil {
			return
		}
		v := view(t, payload)
		first, _ := filter.Wants(v)
		if again, _ := filter.Wants(v); first != again {
			t.Errorf("%q of %q: got %v, then %v", text, payload, first, again)
		}
	})
}
