package handler

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// Refusals are logged at a limited rate and in short lines, so that they can't fill a
// disk.
func TestRefusalsAreLoggedAtABoundedRate(t *testing.T) {
	app := newApp(t)
	log := filepath.Join(t.TempDir(), "log.json")
	s := serveSite(t, "servers {\n\ttrusted_proxies static 127.0.0.1\n\t}\n\tlog {\n\toutput file "+log+"\n\tformat json\n\t}", `
	webhook_verify github `+strconv.Quote(testSecret)+`
	reverse_proxy `+app.addr)
	began := time.Now()
	long := post(t, s.url+"/"+strings.Repeat("p", 4<<10), "{}")
	long.Header.Set("X-Forwarded-Host", strings.Repeat("h", 4<<10))
	do(t, long).want(t, http.StatusUnauthorized)
	for range 200 {
		do(t, post(t, s.url, "{}")).want(t, http.StatusUnauthorized)
	}
	most := 10 + int(time.Since(began)/time.Second) + 1
	written := must.Get(os.ReadFile(log))(t)
	if n := bytes.Count(written, []byte("webhook refused")); n < 10 || n > most {
		t.Errorf("got %d refusals in the log, want 10 and one a second, which are %d at most", n, most)
	}
	for line := range bytes.Lines(written) {
		if bytes.Contains(line, []byte("webhook refused")) && len(line) > 1<<10 {
			t.Errorf("got a line of %d bytes: %s", len(line), line)
		}
	}
}

// An entry says how many were omitted before it.
func TestOmittedRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.WarnLevel)
		l := newRefusalLog(zap.New(core))
		r := prepared(httptest.NewRequest(http.MethodPost, "/", nil))
		refuse := func(n int) (last map[string]any) {
			for range n {
				l.writeDropped(r, "evt_1")
			}
			all := lines.TakeAll()
			return all[len(all)-1].ContextMap()
		}
		if got := refuse(15); got["omitted_before"] != nil {
			t.Errorf("at first: got %v, want none omitted", got)
		}
		for _, want := range []any{int64(5), nil} {
			time.Sleep(time.Second)
			if got := refuse(1); got["omitted_before"] != want {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	})
}

// An entry describes the request as it was sent, not as it was rewritten, and says if
// the fault is the server's.
func TestRefusalEntries(t *testing.T) {
	core, lines := observer.New(zap.DebugLevel)
	l := newRefusalLog(zap.New(core))
	r := prepared(httptest.NewRequest(http.MethodPost, "/sent?token=secret", nil))
	r.Method, r.URL.Path = http.MethodGet, "/rewritten"
	refused := &verdict{kind: kindRefused, reason: reasonNoRoom}
	failed := &verdict{kind: kindRefused, reason: reasonNoRoom, err: errors.New("no space left on device")}
	unenforced := &verdict{kind: kindUnenforced, reason: reasonNoRoom}
	for _, tt := range []struct {
		v       *verdict
		level   zapcore.Level
		message string
	}{
		{refused, zap.WarnLevel, "webhook refused"},
		{failed, zap.ErrorLevel, "webhook refused"},
		{unenforced, zap.WarnLevel, "webhook would be refused (enforce off)"},
	} {
		l.writeVerdict(r, tt.v)
		entry := lines.TakeAll()[0]
		fields := entry.ContextMap()
		if entry.Level != tt.level || entry.Message != tt.message || fields["method"] != "POST" || fields["path"] != "/sent" {
			t.Errorf("got %v %q with %v, want %v %q with POST /sent", entry.Level, entry.Message, fields, tt.level, tt.message)
		}
	}
	l.writeOmitted(r, []string{strings.Repeat("X", 1<<10)})
	if names := lines.TakeAll()[0].ContextMap()["headers"].(string); len(names) > 300 {
		t.Errorf("got %d bytes of header names", len(names))
	}
}
