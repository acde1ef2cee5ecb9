package handler

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAdminTailAfterAFailedReload: whoever follows the attempts does so whether or
// not a config has failed to load before.
func TestAdminTailAfterAFailedReload(t *testing.T) {
	runCaddy(t, unreached(t, ""), "")
	t.Cleanup(func() { runCaddy(t, "", "") }) // before the store's directory goes
	if refusal := loadCaddy(t, unreached(t, "sign nothing-known"), ""); !strings.Contains(refusal, "nothing-known") {
		t.Fatalf("the second config: %q", refusal)
	}
	admin := fmt.Sprintf("http://localhost:%d/webhooks", adminPort())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream := ask(t, http.DefaultClient, must(http.NewRequestWithContext(ctx, "GET", admin+"/tail", nil)))
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	if !lines.Scan() { // so that it has begun
		t.Fatal("the stream is empty")
	}
	publish := must(http.NewRequest("POST", admin+"/events", strings.NewReader(`{"event_type":"a","payload":1}`)))
	publish.Header.Set("Content-Type", "application/json")
	do(t, publish).want(t, http.StatusAccepted)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "event: attempt") {
			return
		}
	}
	t.Errorf("the stream has ended: %v", lines.Err())
}
