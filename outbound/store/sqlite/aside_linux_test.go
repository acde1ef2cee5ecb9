package sqlite_test

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/logged"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestSettingAsideFailsForAWhile checks that a damaged file that can't be renamed, such
// as on a full disk, is salvaged once, and set aside as soon as it can be.
func TestSettingAsideFailsForAWhile(t *testing.T) {
	path := filepath.Join(fastDir(t), "webhooks.db")
	sub := &store.Subscription{Key: 1, ID: "crm", URL: "https://crm.example.com", EventTypes: []string{"order.*"}, Active: true}
	fillStore(t, path, sub, 1200)
	breakPages(t, path, "delivery_pending")
	var log logged.Buffer
	s := openLogging(t, path, &log)
	if err := syscall.Mount(path, path, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("what is mounted on can't be renamed, which needs the right to mount (%v)", err)
	}
	unmount := func() error { return syscall.Unmount(path, syscall.MNT_DETACH) }
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	claim := func() error {
		_, err := s.Claim(ctx, time.Now().Add(time.Hour), 1<<30, []store.Want{{Subscription: sub.Key, Limit: 2000}})
		return err
	}
	_ = claim() // finds the damage
	for strings.Count(log.String(), "can't reopen the file") < 3 {
		if ctx.Err() != nil {
			t.Fatal(unmount(), log.String())
		}
		time.Sleep(time.Millisecond)
	}
	must.Do(t, unmount())
	works(ctx, t, claim)
	if reports, err := filepath.Glob(path + ".damaged-*.json"); err != nil || len(reports) != 1 || len(s.Salvages()) != 1 {
		t.Errorf("reports %v, error %v, salvages %+v", reports, err, s.Salvages())
	}
}
