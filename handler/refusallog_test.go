package handler

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestRefusalsAreLoggedAtABoundedRate: whoever is refused can't fill a disk.
func TestRefusalsAreLoggedAtABoundedRate(t *testing.T) {
	app := newApp(t)
	log := filepath.Join(t.TempDir(), "log.json")
	s := serveSite(t, "servers {\n\ttrusted_proxies static 127.0.0.1\n\t}\n\tlog {\n\toutput file "+log+"\n\tformat json\n\t}", `
	webhook_verify github `+strconv.Quote(testSecret)+`
	reverse_proxy `+app.addr)
	long := post(t, s.url+"/"+strings.Repeat("p", 4<<10), "{}")
	long.Header.Set("X-Forwarded-Host", strings.Repeat("h", 4<<10))
	do(t, long).want(t, http.StatusUnauthorized)
	for range 200 {
		do(t, post(t, s.url, "{}")).want(t, http.StatusUnauthorized)
	}
	written, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(written, []byte("webhook refused")); n < 10 || n > 100 {
		t.Errorf("%d refusals of 200 were logged", n)
	}
	for line := range bytes.Lines(written) {
		if bytes.Contains(line, []byte("webhook refused")) && len(line) > 1<<10 {
			t.Errorf("a line has %d bytes: %s", len(line), line)
		}
	}
}
