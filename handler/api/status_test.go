package api_test

import (
	"fmt"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

func TestStatus(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	sub := s.subscribe(r.URL)
	s.dead("a", "1")
	s.post("/subscriptions/"+sub.text("subscription_id")+"/deactivate", "").want(t, 200)
	s.publish("a", "2")
	st := s.get("/status").want(t, 200)
	if fmt.Sprint(st["dead_letters"]) != "1" || fmt.Sprint(st["pending"]) != "1" || st["oldest_due"] != nil || st["draining"] != false {
		t.Errorf("%v", st)
	}
	one := st["subscriptions"].([]any)[0].(map[string]any)
	if one["health"] != "inactive" || one["reason"] != outbound.ReasonByHand || one["last_failure_at"] == nil || one["last_success_at"] != nil || fmt.Sprint(one["failures_in_a_row"]) != "2" || fmt.Sprint(one["pending"]) != "1" || fmt.Sprint(one["ready"]) != "0" || fmt.Sprint(one["dead_letters"]) != "1" {
		t.Errorf("%v", one)
	}
}
