package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestCaddyfileSubscription checks that subscriptions in the Caddyfile, with a scheme that
// the receiver knows, are updated at each reload.
func TestCaddyfileSubscription(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	const subscription = `
		subscription crm {
			url http://{$RECEIVER}/crm
			event_types order.* customer.created
			secret {env.CRM_SECRET}
			header X-Env production
		}
		subscription gh {
			url http://{$RECEIVER}/gh
			event_types order.created
			secret gh-secret
			scheme github
		}
`
	crm := whsec("crm")
	s := startServer(t, withOptions(local+subscription), "RECEIVER="+r.addr, "CRM_SECRET="+crm)
	id := s.publish(event{Type: "order.created", Payload: json.RawMessage(`{"n":1}`)})
	for _, d := range r.wait(2) {
		switch d.path {
		case "/crm":
			d.signed(t, crm)
			if d.id() != id || d.header.Get("X-Env") != "production" {
				t.Errorf("to crm came %v", d.header)
			}
		case "/gh":
			if got, want := d.header.Get("X-Hub-Signature-256"), "sha256="+hexSHA256("gh-secret", `{"n":1}`); got != want {
				t.Errorf("to gh: X-Hub-Signature-256 is %q, want %q", got, want)
			}
		}
	}
	for _, sub := range []string{"sub_crm", "sub_gh"} {
		s.settled(id, sub, "delivered")
		s.manager().do("DELETE", "/subscriptions/"+sub, nil).problem(http.StatusConflict, "configuration")
		s.manager().do("PATCH", "/subscriptions/"+sub, object{"url": r.url("/x")}).problem(http.StatusConflict, "configuration")
	}

	r.forget()
	s.reload(withOptions(local + strings.Replace(subscription, "/crm", "/crm2", 1)))
	s.publish(event{Type: "customer.created"})
	if d := r.wait(1)[0]; d.path != "/crm2" {
		t.Errorf("after the reload it came to %s", d.path)
	}
	s.reload(withOptions(local)) // removed, perhaps by mistake
	id = s.publish(event{Type: "order.created"})
	if d := s.delivery(id, "sub_crm"); d.text("state") != "pending" {
		t.Errorf("taken out, its delivery is %v", d)
	}
	s.reload(withOptions(local + subscription))
	s.settled(id, "sub_crm", "delivered")
}

// TestRotation checks that deliveries have the signatures of both secrets while the old one
// is valid, and then only that of the new one.
func TestRotation(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local+"\t\tsecret_grace 1h"))
	r := newReceiver(t)
	id, old := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	r.waitID(s.publish(event{Type: "a"})).signed(t, old)

	rotated := s.manager().do("POST", "/subscriptions/"+id+"/rotate-secret", nil).want(http.StatusOK).object()
	secret := rotated.text("secret")
	expires := parseTime(t, rotated.text("previous_secret_expires"))
	if in := time.Until(expires); in < 30*time.Minute || in > time.Hour {
		t.Errorf("the old secret expires in %v, want an hour", in)
	}
	if got := s.manager().get("/subscriptions/" + id + "/secret").text("secret"); got != secret || secret == old {
		t.Errorf("the secret is %q, was %q, and %q was answered", got, old, secret)
	}
	r.waitID(s.publish(event{Type: "a"})).signed(t, secret, old)
	s.stop()
	s.start()
	r.waitID(s.publish(event{Type: "a"})).signed(t, secret, old)
}

func TestRotationEnds(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local+"\t\tsecret_grace 1s"))
	r := newReceiver(t)
	id, old := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	rotated := s.manager().do("POST", "/subscriptions/"+id+"/rotate-secret", nil).want(http.StatusOK).object()
	must.Eventually(t, "the end of the old secret", func() bool {
		return time.Now().After(parseTime(t, rotated.text("previous_secret_expires")))
	})
	d := r.waitID(s.publish(event{Type: "a"}))
	d.signed(t, rotated.text("secret"))
	if old == rotated.text("secret") {
		t.Error("the secret is the old one")
	}
}

// TestDeactivation checks that deliveries, including new ones, are held across a restart, and
// resume when the subscription is activated.
func TestDeactivation(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	held, other := newReceiver(t), newReceiver(t)
	sub, _ := s.subscribe(object{"url": held.url("/"), "event_types": []string{"*"}})
	s.subscribe(object{"url": other.url("/"), "event_types": []string{"*"}})

	o := s.manager().do("POST", "/subscriptions/"+sub+"/deactivate", nil).want(http.StatusOK).object()
	if o["active"] != false {
		t.Errorf("the answer is %v", o)
	}
	first := s.publish(event{Type: "a"})
	other.waitID(first)
	s.stop()
	s.start()
	second := s.publish(event{Type: "a"})
	other.waitID(second)
	held.none()
	for _, id := range []string{first, second} {
		if d := s.delivery(id, sub); d.text("state") != "pending" || d.num("attempts") != 0 {
			t.Errorf("a held delivery is %v", d)
		}
	}
	s.manager().do("POST", "/subscriptions/"+sub+"/activate", nil).want(http.StatusOK)
	held.waitID(first)
	held.waitID(second)
	s.settled(first, sub, "delivered")
	s.settled(second, sub, "delivered")
}

// TestGone checks that a 410 deactivates the subscription, and that its deliveries are held.
func TestGone(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	r.answerStatus(http.StatusGone)
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	id := s.publish(event{Type: "a"})
	var o object
	must.Eventually(t, "the end of the subscription", func() bool {
		o = s.reader().get("/subscriptions/" + sub)
		return o["active"] == false
	})
	if !strings.Contains(o.text("reason"), "410") {
		t.Errorf("the reason is %q", o.text("reason"))
	}
	r.forget()
	r.answer(nil)
	later := s.publish(event{Type: "a"})
	if d := s.delivery(later, sub); d.text("state") != "pending" {
		t.Errorf("a delivery after that is %v", d)
	}
	r.none()
	s.manager().do("POST", "/subscriptions/"+sub+"/activate", nil).want(http.StatusOK)
	r.waitID(id)
	r.waitID(later)
}

// TestToldOfFailures checks that operational events about subscriptions go to those that
// subscribe to them by name, and to no others.
func TestToldOfFailures(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	pager := newReceiver(t)
	s := startServer(t, withOptions(local+`
		subscription pager {
			url `+pager.url("/pager")+`
			event_types webhooks.*
			secret `+secret+`
		}
		subscription all {
			url `+pager.url("/all")+`
			event_types *
		}
`))
	failing := newReceiver(t)
	failing.answerStatus(http.StatusGone)
	gone, _ := s.subscribe(object{"url": failing.url("/"), "event_types": []string{"order.*"}, "tenant": "acme"})
	s.manager().do("POST", "/events", object{"event_type": "webhooks.delivery.dead", "payload": 1}).problem(http.StatusUnprocessableEntity, "reserved")
	s.publish(event{Type: "order.created", Tenant: "acme"})
	d := pager.wait(1)[0]
	d.signed(t, secret)
	told := decode(t, d.body)
	data := told.object("data")
	if d.path != "/pager" || told.text("type") != "webhooks.subscription.deactivated" || data.text("subscription_id") != gone || data.text("tenant") != "acme" || !strings.Contains(data.text("reason"), "410") {
		t.Errorf("%s is told %v", d.path, told)
	}
	parseTime(t, told.text("timestamp"))
}
