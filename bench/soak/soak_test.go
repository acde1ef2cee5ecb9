package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestBalance: the ledger sees what is lost, whatever else arrived.
func TestBalance(t *testing.T) {
	const kind, event = 1, 17 // of the subscriptions 1 and 2
	first, second := delivery{event, 1}, delivery{event, 2}
	for _, c := range []struct {
		name  string
		taken []delivery
		dead  map[delivery]bool
		want  balance
	}{
		{"delivered", []delivery{first, second}, nil, balance{accepted: 1, owed: 2, delivered: 2}},
		{"one twice", []delivery{first, second, first}, nil, balance{accepted: 1, owed: 2, delivered: 2, repeats: 1}},
		{"one dead", []delivery{second}, map[delivery]bool{first: true}, balance{accepted: 1, owed: 2, delivered: 1, dead: 1}},
		{"one lost", []delivery{first}, nil, balance{accepted: 1, owed: 2, delivered: 1, lost: 1}},
		{"another's", []delivery{{event, 3}, {18, 1}}, map[delivery]bool{{18, 2}: true}, balance{accepted: 1, owed: 2, lost: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLedger()
			l.accept(event, kind)
			for _, d := range c.taken {
				l.take(d)
			}
			if got := l.balance(c.dead); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestNumber(t *testing.T) {
	for id, want := range map[string]uint64{"soak-17": 17, "evt_3441a37a1e600300": 0x3441a37a1e600300} {
		if got := number(id); got != want {
			t.Errorf("%s is %d, want %d", id, got, want)
		}
	}
}

// TestPlot: what is drawn is a whole document, with a line for each column.
func TestPlot(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "soak.csv"), filepath.Join(t.TempDir(), "soak.svg")
	row := strings.Repeat(",1", len(columns)-1)
	table := strings.Join([]string{strings.Join(columns, ","), "5" + row, "10" + row, ""}, "\n")
	must.Do(t, os.WriteFile(from, []byte(table), 0o600))
	must.Do(t, plot(from, to))
	file := must.Get(os.Open(to))(t)
	defer file.Close()
	lines, want := 0, 0
	for _, p := range panels {
		want += len(p.columns)
	}
	for d := xml.NewDecoder(file); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != want {
		t.Errorf("%d lines are drawn, want %d", lines, want)
	}
}
