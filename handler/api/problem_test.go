package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

func TestProblemOf(t *testing.T) {
	for _, c := range []struct {
		err           error
		status        int
		code, field   string
		retry, detail string
		logged        bool
	}{
		{&outbound.Invalid{Field: "url", What: "is refused"}, 422, codeInvalidField, "url", "", "url is refused", false},
		{&outbound.TooLarge{Limit: 10}, 413, codeTooLarge, "payload", "", "max_payload", false},
		{&outbound.Reused{EventID: "x"}, 409, codeReused, "event_id", "", `"x"`, false},
		{fmt.Errorf("%w: subscription s is configured", outbound.ErrConflict), 409, codeConflict, "", "", "subscription s is configured", false},
		{fmt.Errorf("reading: %w", outbound.ErrNotFound), 404, codeNotFound, "", "", "nothing here", false},
		{fmt.Errorf("committing in /secret/path: %w", outbound.ErrFull), 503, codeFull, "", "30", "free space", true},
		{fmt.Errorf("committing in /secret/path: %w", outbound.ErrUnavailable), 503, codeUnavailable, "", "1", "try again in a second", true},
		{fmt.Errorf("committing in /secret/path: %w", outbound.ErrDamaged), 503, codeUnavailable, "", "1", "try again", true},
		{fmt.Errorf("waiting: %w", context.Canceled), 503, codeUnavailable, "", "1", "send it again", false},
		{errors.New("/secret/path is gone"), 500, codeInternal, "", "", "log", true},
		{&syntaxError{data: []byte("\n\nx"), pos: 2, msg: "there is an x"}, 400, codeInvalidJSON, "", "", "line 3, column 1 (byte 2)", false},
		{broken(&http.MaxBytesError{Limit: 1 << 20}), 413, codeTooLarge, "", "", "1 MiB", false},
		{broken(errors.New("reset")), 400, codeIncomplete, "", "", "send it again", false},
		{broken(fmt.Errorf("reading: %w", os.ErrDeadlineExceeded)), 408, codeTooSlow, "", "", "send it again", false},
	} {
		p := problemOf(c.err)
		if p.Status != c.status || p.Code != c.code || p.Field != c.field || p.header.Get("Retry-After") != c.retry || (p.cause != nil) != c.logged {
			t.Errorf("%v: %+v", c.err, p)
		}
		if !strings.Contains(p.Detail, c.detail) || strings.Contains(p.Detail, "secret") || strings.HasPrefix(p.Detail, "conflict") {
			t.Errorf("%v: %s", c.err, p.Detail)
		}
		if p.Title == "" || p.Type != problemType+c.code {
			t.Errorf("%v: %+v", c.err, p)
		}
	}
}

// Problems are readable in curl, without escapes, and browsers don't treat them as
// pages.
func TestProblemsAreReadable(t *testing.T) {
	p := refuse(codeInvalidField, "a < b && <token>")
	w := httptest.NewRecorder()
	p.write(w)
	line := (&call{r: httptest.NewRequest(http.MethodPost, "/events", nil)}).appendRefused(nil, 1, p)
	for _, text := range []string{w.Body.String(), string(line)} {
		if !strings.Contains(text, "a < b && <token>") || strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "}\n") {
			t.Errorf("got %q", text)
		}
	}
	if h := w.Header(); h.Get("Content-Type") != "application/problem+json" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
		t.Errorf("headers %v", h)
	}
}

func TestBytesOf(t *testing.T) {
	for n, want := range map[int64]string{1: "1 bytes", 1024: "1 KiB", 1025: "1025 bytes", 256 << 10: "256 KiB", 3 << 20: "3 MiB", 1<<20 + 1024: "1025 KiB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestStartOfText(t *testing.T) {
	for text, want := range map[string]string{"": "", "abc": "abc", "né": "né", "n\xc3": "n", "n\xf0\x9f\x98": "n"} {
		if got, ok := startOfText([]byte(text)); !ok || got != want {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
	for _, bytes := range []string{"\xff\xfe\x00\x00\x00", "a\xc3b"} {
		if _, ok := startOfText([]byte(bytes)); ok {
			t.Errorf("%q is text", bytes)
		}
	}
}

// A publisher is told that it may send an event again if the store failed, which may have
// stored it anyway. Whoever reads isn't.
func TestOnlyPublishersAreToldToSendAgain(t *testing.T) {
	const again = "an event with an event_id is stored once"
	failed := fmt.Errorf("committing: %w", outbound.ErrUnavailable)
	if d := problemOf(failed).Detail; strings.Contains(d, again) {
		t.Errorf("for a reader: %s", d)
	}
	if d := notPublished(failed).Detail; !strings.Contains(d, again) {
		t.Errorf("for a publisher: %s", d)
	}
	full := fmt.Errorf("committing: %w", outbound.ErrFull)
	if d := notPublished(full).Detail; strings.Contains(d, again) { // nothing was stored
		t.Errorf("for a publisher, of a full disk: %s", d)
	}
}
