package sqlite

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestPagesAreReadAsSQLiteDoes reads rows of every shape from the file and its log, and
// compares them with what SQLite reads.
func TestPagesAreReadAsSQLiteDoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	cs := must.Get(openFile(path))(t)
	defer cs.close()
	c := cs.writer.conn
	insert := c.prepare("INSERT INTO event (id, last, deliveries, type, tenant, payload, digest, payload_removed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
	want := map[int64][]any{}
	add := func(id int64, size int) {
		payload := any(strings.Repeat("x", size))
		if size%2 == 0 {
			payload = bytes.Repeat([]byte{0xff}, size)
		}
		var tenant any
		if size%3 == 0 {
			tenant = fmt.Sprint("tenant ", size)
		}
		row := []any{id, id + int64(size), int64(size % 100), "order.created", tenant, nil, nil, nil, nil, nil, payload, nil, nil}
		if size == 0 {
			row[10] = []byte{}
		}
		if size%5 > 0 {
			row[11] = digest(store.ID(id), "order.created", text(tenant), "", "", "", bytesOf(row[10]))
		} else {
			row[12] = int64(1)
		}
		for _, v := range append(row[:5:5], row[10:]...) {
			insert.any(v)
		}
		must.Do(t, insert.exec())
		want[id] = row
	}
	// Sizes around those at which a record continues on other pages, and ids of every length.
	for i, size := range []int{1, 2, 99, 4000, 4018, 4019, 4020, 4021, 4022, 4023, 4024, 4025, 4026, 4027, 4028, 8107, 8108, 8110, 12200, 100_001} {
		add(int64(math.Pow(2.9, float64(i+1))), size)
	}
	if _, _, err := c.checkpoint("TRUNCATE"); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		add(math.MaxInt64/2+int64(i), 97*i+101)
	}
	log, err := readLog(path + "-wal")
	if err != nil || log.damage != "" || len(log.frames) == 0 {
		t.Fatalf("the log has %d frames, damage %q, error %v", len(log.frames), log.damage, err)
	}
	defer log.close()
	f := must.Get(os.Open(path))(t)
	defer f.Close()
	from := must.Get(newPages(f, log))(t)
	got := map[int64][]any{}
	events := tables[1]
	_, types := events.fields()
	must.Do(t, from.each(func(c cell) error {
		if row := events.parse(c, types, record(c.row)); row != nil {
			got[c.rowid] = row
		}
		return nil
	}))
	for id, row := range want {
		if !reflect.DeepEqual(got[id], row) {
			t.Errorf("row %d: got %.200v, want %.200v", id, got[id], row)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d rows, want %d", len(got), len(want))
	}
}

// FuzzPage reads any bytes as a page.
func FuzzPage(f *testing.F) {
	f.Add([]byte{tableLeaf, 0, 0, 0, 1, 0x0f, 0xf0, 0})
	f.Add(bytes.Repeat([]byte{indexInterior, 0, 0xff}, 1000))
	f.Add(append([]byte{tableLeaf, 0, 0, 0, 1, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 5, 1, 3, 0, 1, 0x17}, "hello"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "page")
		must.Do(t, os.WriteFile(path, b, 0o600))
		file := must.Get(os.Open(path))(t)
		defer file.Close()
		p := must.Get(newPages(file, &wal{}))(t)
		must.Do(t, p.each(func(c cell) error {
			for _, table := range tables {
				_, types := table.fields()
				table.parse(c, types, record(c.row))
			}
			return nil
		}))
	})
}

// FuzzLog reads any bytes as a log.
func FuzzLog(f *testing.F) {
	f.Add([]byte("no log"))
	f.Add(bytes.Repeat([]byte{0x37, 0x7f, 0x06, 0x82}, 5000))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "log")
		must.Do(t, os.WriteFile(path, b, 0o600))
		w := must.Get(readLog(path))(t)
		defer w.close()
		for _, frame := range w.frames {
			if frame.at+pageSize > int64(len(b)) {
				t.Errorf("got a frame at %d in a log of %d bytes", frame.at, len(b))
			}
		}
	})
}
