package handler

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// Metrics and the admin API respond while a config that is being loaded waits for its
// database.
func TestScrapeWhileAStoreIsOpened(t *testing.T) {
	runCaddy(t, unreached(t, ""), "")
	database := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	var asked sync.Once
	waiting, over := make(chan struct{}), make(chan struct{})
	var silent sync.WaitGroup
	silent.Go(func() {
		for {
			conn, err := database.Accept()
			if err != nil {
				return
			}
			asked.Do(func() { close(waiting) })
			silent.Go(func() { <-over; conn.Close() })
		}
	})
	// The hosts are tried one after another, which takes long enough. Those that
	// refuse are in between, because the others would otherwise share the timeout.
	hosts := strings.Repeat(fmt.Sprintf("%s,127.0.0.1:%d,", database.Addr(), freeport.Get()), 6)
	loaded := make(chan string, 1)
	go func() {
		defer close(loaded)
		loaded <- loadCaddy(t, "webhooks {\nstore postgres postgres://u:p@"+hosts[:len(hosts)-1]+"/d?sslmode=disable\n}", "")
	}()
	<-waiting
	for path, want := range map[string]string{"/metrics": "caddy_webhooks_deliveries_pending 0\n", "/webhooks/status": `"sub_crm"`} {
		forgetFigures()
		got := admin(t, "GET", path, "").want(t, http.StatusOK)
		if !strings.Contains(got.body, want) {
			t.Errorf("%s: there is no %s", path, want)
		}
		select {
		case refusal := <-loaded:
			t.Fatalf("%s responded only after the config was refused: %s", path, refusal)
		default:
		}
	}
	close(over)
	database.Close()
	silent.Wait()
	if refusal := <-loaded; !strings.Contains(refusal, "opening the store") {
		t.Errorf("the config was not refused: %q", refusal)
	}
}

// All metrics are still there after a reload that failed.
func TestScrapeAfterAFailedReload(t *testing.T) {
	site := func(secret string) string {
		return fmt.Sprintf("http://127.0.0.1:%d {\nwebhook_verify github %q\n}", freeport.Get(), secret)
	}
	store := "webhooks {\nstore sqlite " + storePath(t) + "\n}"
	runCaddy(t, store, site(testSecret))
	for what, refused := range map[string][2]string{
		"no secret": {store, site("{env.NO_SUCH_SECRET}")},
		"no path":   {"webhooks {\nstore sqlite {env.NO_SUCH_PATH}\n}", ""},
	} {
		if loadCaddy(t, refused[0], refused[1]) == "" {
			t.Fatalf("%s: the config was not refused", what)
		}
		forgetFigures()
		got := admin(t, "GET", "/metrics", "").want(t, http.StatusOK)
		for _, metric := range []string{"caddy_webhooks_deliveries_pending 0\n", "caddy_webhooks_verify_secret_matches_total"} {
			if !strings.Contains(got.body, metric) {
				t.Errorf("%s: there is no %s", what, metric)
			}
		}
	}
}

// The figures are known at any time while stores are opened and closed.
func TestScrapeWhileAStoreIsClosed(t *testing.T) {
	dir := t.TempDir()
	load := func(i int) {
		runCaddy(t, fmt.Sprintf("webhooks {\nstore sqlite %s\n}", filepath.Join(dir, fmt.Sprint(i%2))), "")
	}
	load(0)
	t.Cleanup(func() { runCaddy(t, "", "") }) // before the stores' directory is removed
	var scrapes sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		scrapes.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if !countQueue().known {
					t.Error("a scrape got no figures")
					return
				}
			}
		})
	}
	for i := range 20 {
		load(i + 1)
	}
	close(done)
	scrapes.Wait()
}
