package cli

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestStatus(t *testing.T) {
	s := start(t)
	s.run("", "status").want(t, 0).shows(t, "There are no subscriptions.")
	s.subscribe("order.*")
	held := s.subscribe("*")
	s.run("", "subscriptions", "deactivate", held).want(t, 0)
	s.subscribe("*", "--tenant", "acme")
	s.answer.Store(503)
	s.publish("order.created", "1")
	golden(t, "status", steady(s.run("", "status").want(t, 0).out))
	var status serverStatus
	if err := json.Unmarshal([]byte(s.run("", "status", "--json").want(t, 0).out), &status); err != nil || status.DeadLetters != 1 || status.Pending != 1 || status.Subscriptions[1].Pending != 1 || status.Subscriptions[0].DeadLetters+status.Subscriptions[1].DeadLetters != 1 {
		t.Errorf("%v: %+v", err, status)
	}
}

func TestHealth(t *testing.T) {
	tool := &tool{now: func() time.Time { return now }, zone: time.UTC}
	for want, s := range map[string]subscriptionStatus{
		"ok":                 {Health: "ok"},
		"down, next in 30s":  {Health: "down", PausedUntil: now.Add(30 * time.Second)},
		"failing":            {Health: "failing", PausedUntil: now.Add(-time.Second)},
		"paused, next in 2m": {Health: "paused", PausedUntil: now.Add(2 * time.Minute)},
		"inactive":           {Health: "inactive", PausedUntil: now.Add(2 * time.Minute)},
	} {
		if got := tool.health(&s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// If the reason is the same as the last error, it is printed once.
func TestTrouble(t *testing.T) {
	const gone = "the receiver answered 410 Gone"
	for want, s := range map[string]subscriptionStatus{
		gone: {Reason: gone, LastError: gone},
		"deactivated by hand; last error: " + gone: {Reason: "deactivated by hand", LastError: gone},
	} {
		if got := s.trouble(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Subscriptions in trouble come first, and errors are printed in full.
func TestStatusOfMany(t *testing.T) {
	long := strings.Repeat("x", 100) + " (it pointed to https://example.com)"
	address := serve(t, answer(200, "application/json", `{"pending":0,"subscriptions":[
		{"subscription_id":"sub_1","health":"ok"},
		{"subscription_id":"sub_6","health":"paused"},
		{"subscription_id":"sub_2","health":"inactive"},
		{"subscription_id":"sub_3","health":"down","last_error":"`+long+`"},
		{"subscription_id":"sub_4","health":"ok"},
		{"subscription_id":"sub_5","health":"failing"}]}`))
	r := run(t, "", "status", "--address", address).want(t, 0)
	if ids := strings.Join(regexp.MustCompile(`sub_\d`).FindAllString(r.out, -1), " "); ids != "sub_3 sub_5 sub_2 sub_6 sub_1 sub_4" {
		t.Errorf("got order %s", ids)
	}
	if !strings.Contains(r.out, long) {
		t.Errorf("got stdout %s", r.out)
	}
}

// If the store takes no events, the status says what to do. If it was damaged, it says what
// is lost, and what receivers get again.
func TestStatusOfAStoreThatFails(t *testing.T) {
	for store, c := range map[string]struct{ name, says string }{
		`"full":true,"error":"the disk is full"`: {"Full", "free some space"},
		`"damaged":[{"path":"/data/webhooks.db.damaged","set_aside_at":"2026-01-31T12:04:05Z","cause":"its header is broken"}]`: {"Damaged", "/data/webhooks.db.damaged was set aside 2026-01-31 12:04:05 (3h ago): its header is broken"},
		`"damaged":[{"lost":{"events":2,"deliveries":3},"repeated":1200}]`:                                                      {"Lost", "2 events, 3 deliveries and 0 subscriptions; 1,200 deliveries whose records were lost are made again"},
		`"damaged":[{"lost":{"events":2}}]`:                {"Lost", "0 subscriptions; delete the file"},
		`"damaged":[{"unreadable":50}]`:                    {"Lost", "50 records couldn't be read"},
		`"full":false,"error":"it was moved: put it back"`: {"Failing", "it was moved: put it back"},
	} {
		address := serve(t, answer(200, "application/json", `{"store":{"path":"/data/webhooks.db",`+store+`}}`))
		if got := field(t, run(t, "", "status", "--address", address).want(t, 0).out, c.name); !strings.Contains(got, c.says) {
			t.Errorf("got %s %q, want %q in it", c.name, got, c.says)
		}
	}
}
