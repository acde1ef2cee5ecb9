package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestDeliveriesAreShownAndSentAgain(t *testing.T) {
	s := start(t)
	s.subscribe("order.*", "--tenant", "acme")
	id := s.publish("order.created", `{"order":7}`, "--event-id", "order-7", "--tenant", "acme")
	golden(t, "deliveries-list", steady(s.run("", "deliveries", "list").want(t, 0).out))
	golden(t, "deliveries-show", steady(s.run("", "deliveries", "show", id).want(t, 0).out))

	s.run("", "deliveries", "redeliver", id).want(t, 0).prints(t, id+" queued\n")
	s.attempted()
	shown := s.run("", "deliveries", "show", id, "--json").want(t, 0)
	var d struct {
		delivery
		List []attempt `json:"attempt_list"`
	}
	must.Do(t, json.Unmarshal([]byte(shown.out), &d))
	if d.ID != id || d.Attempts != 2 || len(d.List) != 2 || d.List[1].Number != 2 || d.List[1].Status != 200 {
		t.Errorf("got stdout %s", shown.out)
	}

	// By the id of an attempt, along with ids that don't exist.
	r := s.run("", "deliveries", "redeliver", "dlv_0000000000000001", d.List[0].ID, "x").want(t, 1)
	s.attempted()
	if r.out != d.List[0].ID+" queued\n" || !strings.Contains(r.err, `there is no delivery "dlv_0000000000000001"`) || !strings.Contains(r.err, "2 of 3 were not queued") {
		t.Errorf("got stdout %q, stderr %q", r.out, r.err)
	}
}

// An attempt is shown with the URL that its subscription had then.
func TestAttemptsBeforeAndAfterAMove(t *testing.T) {
	s := start(t)
	sub := s.subscribe("order.*")
	id := s.publish("order.created", `{"order":7}`, "--event-id", "order-7")
	s.run("", "subscriptions", "update", sub, "--url", s.receiver.URL+"/moved").want(t, 0)
	s.run("", "deliveries", "redeliver", id).want(t, 0)
	s.attempted()
	golden(t, "deliveries-show-moved", steady(s.run("", "deliveries", "show", id).want(t, 0).out))
}

// A response that isn't text is shown as such, and not as missing.
func TestAnswerThatIsNotText(t *testing.T) {
	s := start(t)
	zipped := httptest.NewServer(answer(200, "application/json", "\x1f\x8b\x08\x00"))
	defer zipped.Close()
	s.subscribe("a", "--url", zipped.URL)
	id := s.publish("a", "1")
	s.run("", "deliveries", "show", id).want(t, 0).shows(t, "not text: --json shows it in base64")
}

func TestDeliveriesByFilter(t *testing.T) {
	s := start(t)
	a, b := s.subscribe("a"), s.subscribe("b")
	toA, toB := s.publish("a", "1", "--event-id", "e-a"), s.publish("b", "2")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"the subscription": {[]string{"--subscription-id", a}, toA},
		"the other one":    {[]string{"--subscription-id", b}, toB},
		"the event":        {[]string{"--event-id", "e-a"}, toA},
		"the event type":   {[]string{"--event-type", "b"}, toB},
		"states":           {[]string{"--state", "dead,pending"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.run("", append([]string{"deliveries", "list", "--json"}, c.args...)...).want(t, 0)
			var p struct{ Data []delivery }
			must.Do(t, json.Unmarshal([]byte(r.out), &p))
			var got []string
			for _, d := range p.Data {
				got = append(got, d.ID)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// A mistyped id gets another hint than a subscription without deliveries, and so does a
// mistyped tenant.
func TestFiltersThatSelectNothing(t *testing.T) {
	s := start(t)
	there, wrong := s.subscribe("a"), "sub_nobody"
	s.subscribe("a", "--tenant", "acme")
	for _, list := range [][]string{
		{"deliveries", "list"}, {"dead-letters", "list"}, {"events", "list"},
		{"dead-letters", "delete", "--all"}, {"dead-letters", "redeliver", "--all"}, {"dead-letters", "redeliver", "--all", "--dry-run"},
		{"deliveries", "redeliver", "--all", "--since", "1h"},
	} {
		for id, unknown := range map[string]bool{there: false, wrong: true} {
			r := s.run("", append(list, "--subscription-id", id)...).want(t, 0)
			if strings.Contains(r.err, "There is no subscription "+id) != unknown {
				t.Errorf("%v of %s: got stderr %q", list, id, r.err)
			}
		}
		for tenant, unknown := range map[string]bool{"acme": false, "acm": true} {
			r := s.run("", append(list, "--tenant", tenant)...).want(t, 0)
			if strings.Contains(r.err, "No subscription has the tenant "+tenant) != unknown {
				t.Errorf("%v of tenant %s: got stderr %q", list, tenant, r.err)
			}
		}
	}
}

func TestTimeOfTheNextAttempt(t *testing.T) {
	tool := &tool{now: func() time.Time { return now }, zone: time.UTC}
	for name, c := range map[string]struct {
		delivery
		want string
	}{
		"between attempts":        {delivery{Next: now.Add(time.Minute), Last: attempt{At: now.Add(-time.Minute)}}, "next 2026-01-31 15:05:05 (in 1m)"},
		"held":                    {delivery{Held: true}, "held"},
		"when it should go":       {delivery{Next: now.Add(-time.Minute)}, "due 2026-01-31 15:03:05 (1m ago)"},
		"settled":                 {delivery{Last: attempt{At: now.Add(-time.Minute)}}, "last 2026-01-31 15:03:05 (1m ago)"},
		"dead without an attempt": {delivery{}, "-"},
	} {
		if got := tool.nextOrLast(&c.delivery); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestADeliveryThatIsHeld(t *testing.T) {
	s := start(t)
	held := s.subscribe("*")
	s.run("", "subscriptions", "deactivate", held).want(t, 0)
	s.run("{}", "events", "publish", "a", "--event-id", "e").want(t, 0)
	var list struct{ Data []delivery }
	must.Do(t, json.Unmarshal([]byte(s.run("", "deliveries", "list", "--json").want(t, 0).out), &list))
	if held := field(t, s.run("", "deliveries", "show", list.Data[0].ID).want(t, 0).out, "Held"); !strings.Contains(held, "`caddy webhooks status --address "+s.address+"`") {
		t.Errorf("got Held %q", held)
	}
	s.run("", "deliveries", "list").want(t, 0).shows(t, held+"  -       held  ")
	s.run("", "deliveries", "cancel", list.Data[0].ID).want(t, 0).prints(t, list.Data[0].ID+" cancelled\n")
	s.run("", "dead-letters", "list").want(t, 0).shows(t, "cancelled by hand")
	s.run("", "deliveries", "cancel", list.Data[0].ID).want(t, 1).says(t, "is dead: only a pending delivery can be cancelled")
}

func TestRedeliverWhatWasDelivered(t *testing.T) {
	s := start(t)
	sub := s.subscribe("*")
	s.publish("order.created", "1")
	s.publish("order.paid", "2")
	for _, args := range [][]string{{}, {"--since", "1h"}, {"--all"}, {"--all", "--subscription-id", sub}, {"--all", "--dry-run"}} {
		s.run("", append([]string{"deliveries", "redeliver"}, args...)...).want(t, 2)
	}
	s.run("", "deliveries", "redeliver", "--all", "--subscription-id", sub, "--since", "1h", "--event-type", "order.paid").want(t, 0).prints(t, "1 delivery queued\n")
	s.attempted()
	s.run("", "deliveries", "redeliver", "--all", "--since", "1h", "--json").want(t, 0).prints(t, "{\n  \"redelivered\": 2\n}\n")
	s.attempted()
	s.attempted()
	s.answer.Store(500)
	s.publish("order.failed", "3")
	s.run("", "deliveries", "redeliver", "--all", "--since", "1h", "--dry-run").want(t, 0).prints(t, "2 deliveries match\n")
	s.run("", "deliveries", "redeliver", "--all", "--since", "1h", "--until", "1m").want(t, 0).prints(t, "0 deliveries queued\n").says(t, "Nothing that was delivered matches")
}

// A long bulk operation prints its progress, and fails when Caddy no longer responds.
// The total is shown if it is known.
func TestBulkRedeliveryShowsProgress(t *testing.T) {
	const (
		before = `{"dead_letters":24000,"subscriptions":[{"subscription_id":"sub_1","dead_letters":7000}]}`
		now    = `{"dead_letters":12000,"subscriptions":[{"subscription_id":"sub_1","dead_letters":6999}]}`
	)
	for says, filters := range map[string][]string{
		"12,000 of 24,000 dead letters queued\n": nil,
		"1 of 7,000 dead letters queued\n":       {"--subscription-id", "sub_1"},
		"12,000 dead letters queued so far\n":    {"--class", "dns"},
		"1 dead letter queued so far\n":          {"--class", "dns", "--subscription-id", "sub_1"},
	} {
		seen := make(chan struct{}, 100)
		var asked atomic.Int64
		address := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				status := now
				if asked.Add(1) == 1 {
					status = before
				}
				answer(200, "application/json", status)(w, r)
				seen <- struct{}{}
				return
			}
			for range 3 {
				<-seen
			}
			answer(200, "application/json", `{"redelivered":24000}`)(w, r)
		})
		r := run(t, "", append([]string{"dead-letters", "redeliver", "--all", "--address", address}, filters...)...).want(t, 0)
		if r.out != "24,000 dead letters queued\n" || !strings.Contains(r.err, says) {
			t.Errorf("%v: got stdout %q, stderr %q, want %q in it", filters, r.out, r.err, says)
		}
	}

	sent := make(chan struct{})
	silent := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			select {
			case <-sent:
				panic(http.ErrAbortHandler)
			default:
				answer(200, "application/json", before)(w, r)
			}
			return
		}
		close(sent)
		<-r.Context().Done()
	})
	run(t, "", "dead-letters", "redeliver", "--all", "--address", silent).want(t, 1).says(t, "run the command again")
}
