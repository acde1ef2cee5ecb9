package handler

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestScrapeWhileAStoreIsOpened: metrics and the admin API answer while a config
// waits for a database that doesn't.
func TestScrapeWhileAStoreIsOpened(t *testing.T) {
	runCaddy(t, unreached(t, ""), "")
	database := must(net.Listen("tcp", "127.0.0.1:0"))
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
	// One host after another is waited for, so that it takes long enough; one that
	// refuses lies between them, or else all would share the time.
	hosts := strings.Repeat(fmt.Sprintf("%s,127.0.0.1:%d,", database.Addr(), freePort()), 6)
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
			t.Errorf("%s lacks %s", path, want)
		}
		select {
		case refusal := <-loaded:
			t.Fatalf("%s has waited until the database was given up: %s", path, refusal)
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

// TestScrapeWhileAStoreIsClosed: the figures are there all the time while stores
// come and go.
func TestScrapeWhileAStoreIsClosed(t *testing.T) {
	dir := t.TempDir()
	load := func(i int) {
		runCaddy(t, fmt.Sprintf("webhooks {\nstore sqlite %s\n}", filepath.Join(dir, fmt.Sprint(i%2))), "")
	}
	load(0)
	t.Cleanup(func() { runCaddy(t, "", "") }) // before the stores' directory goes
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
					t.Error("the figures are not known")
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
