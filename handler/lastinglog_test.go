package handler

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/slogtest"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// A lasting log has levels, attributes and groups like any other, whichever log it writes
// to.
func TestLastingLog(t *testing.T) {
	var out bytes.Buffer
	var ruling atomic.Pointer[slog.Logger]
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		ruling.Store(slog.New(slog.NewJSONHandler(&out, nil)))
		return newLastingLog(&ruling).Handler()
	}, func(t *testing.T) map[string]any {
		var line map[string]any
		must.Do(t, json.Unmarshal(out.Bytes(), &line))
		return line
	})

	ruling.Store(slog.New(slog.DiscardHandler))
	log := newLastingLog(&ruling).With("a", 1).WithGroup("g").With("b", 2)
	out.Reset()
	ruling.Store(slog.New(slog.NewTextHandler(&out, nil)))
	log.Info("later", "c", 3)
	if got := out.String(); !strings.Contains(got, "msg=later a=1 g.b=2 g.c=3") {
		t.Errorf("got %q in the later log", got)
	}
	out.Reset()
	if log.Debug("below its level"); out.Len() > 0 {
		t.Errorf("got %q in a log of level INFO", &out)
	}
}

// After a reload, a store that was opened by the previous config writes to the log of
// the new one.
func TestLogOfAStoreAfterAReload(t *testing.T) {
	dir, db := t.TempDir(), storePath(t)
	load := func(config string) (log string) {
		log = filepath.Join(dir, config+".log")
		runCaddy(t, fmt.Sprintf("log default {\noutput file %s\n}\nwebhooks {\nstore sqlite %s\n}", log, db), "")
		return log
	}
	load("first")
	admin(t, "POST", "/webhooks/events", `{"event_type":"a","payload":1}`).want(t, http.StatusAccepted)
	log := load("second")
	for _, path := range []string{db, db + "-wal"} {
		size := must.Get(os.Stat(path))(t).Size()
		must.Do(t, os.WriteFile(path, bytes.Repeat([]byte{0x5a}, int(size)), 0o600))
	}
	must.Eventually(t, "the store to write to the second log", func() bool {
		admin(t, "GET", "/webhooks/status", "") // the store notices it then
		return bytes.Contains(must.Get(os.ReadFile(log))(t), []byte("webhooks store: the file is open again"))
	})
}
