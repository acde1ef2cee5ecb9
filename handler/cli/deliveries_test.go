package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestDeliveriesAreShownAndSentAgain(t *testing.T) {
	s := start(t)
	s.subscribe("order.*")
	id := s.publish("order.created", `{"order":7}`, "--event-id", "order-7")
	golden(t, "deliveries-list", steady(s.run("", "deliveries", "list").want(t, 0).out))
	golden(t, "deliveries-show", steady(s.run("", "deliveries", "show", id).want(t, 0).out))

	if r := s.run("", "deliveries", "redeliver", id).want(t, 0); r.out != id+" queued\n" {
		t.Errorf("printed %q", r.out)
	}
	s.attempted()
	shown := s.run("", "deliveries", "show", id, "--json").want(t, 0)
	var d struct {
		delivery
		List []attempt `json:"attempt_list"`
	}
	if err := json.Unmarshal([]byte(shown.out), &d); err != nil {
		t.Fatal(err)
	}
	if d.ID != id || d.Attempts != 2 || len(d.List) != 2 || d.List[1].Number != 2 || d.List[1].Status != 200 {
		t.Errorf("printed %s", shown.out)
	}

	// By its attempt, and with others that are not there.
	r := s.run("", "deliveries", "redeliver", "dlv_0000000000000001", d.List[0].ID, "x").want(t, 1)
	s.attempted()
	if r.out != d.List[0].ID+" queued\n" || !strings.Contains(r.err, `there is no delivery "dlv_0000000000000001"`) || !strings.Contains(r.err, "2 of 3 were not queued") {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
}

// An attempt went where its subscription pointed then.
func TestAttemptsBeforeAndAfterAMove(t *testing.T) {
	s := start(t)
	sub := s.subscribe("order.*")
	id := s.publish("order.created", `{"order":7}`, "--event-id", "order-7")
	s.run("", "subscriptions", "update", sub, "--url", s.receiver.URL+"/moved").want(t, 0)
	s.run("", "deliveries", "redeliver", id).want(t, 0)
	s.attempted()
	golden(t, "deliveries-show-moved", steady(s.run("", "deliveries", "show", id).want(t, 0).out))
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
			if err := json.Unmarshal([]byte(r.out), &p); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range p.Data {
				got = append(got, d.ID)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("lists %v, want %s", got, c.want)
			}
		})
	}
}

// A mistyped id is told from one that has nothing.
func TestFiltersThatSelectNothing(t *testing.T) {
	s := start(t)
	there, wrong := s.subscribe("a"), "sub_nobody"
	for _, list := range [][]string{
		{"deliveries", "list"}, {"dead-letters", "list"}, {"events", "list"},
		{"dead-letters", "delete", "--all"}, {"dead-letters", "redeliver", "--all"}, {"dead-letters", "redeliver", "--all", "--dry-run"},
		{"deliveries", "redeliver", "--all", "--since", "1h"},
	} {
		for id, unknown := range map[string]bool{there: false, wrong: true} {
			r := s.run("", append(list, "--subscription-id", id)...).want(t, 0)
			if strings.Contains(r.err, "There is no subscription "+id) != unknown {
				t.Errorf("%v of %s: stderr %q", list, id, r.err)
			}
		}
	}
}

func TestWhenADeliveryIsTried(t *testing.T) {
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
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestADeliveryThatIsHeld(t *testing.T) {
	s := start(t)
	held := s.subscribe("*")
	s.run("", "subscriptions", "deactivate", held).want(t, 0)
	s.run("{}", "events", "publish", "a", "--event-id", "e").want(t, 0)
	var list struct{ Data []delivery }
	if err := json.Unmarshal([]byte(s.run("", "deliveries", "list", "--json").want(t, 0).out), &list); err != nil {
		t.Fatal(err)
	}
	if held := field(t, s.run("", "deliveries", "show", list.Data[0].ID).want(t, 0).out, "Held"); !strings.Contains(held, "`caddy webhooks status`") {
		t.Errorf("held %q", held)
	}
	if r := s.run("", "deliveries", "list").want(t, 0); !strings.Contains(r.out, held+"  held  ") {
		t.Errorf("listed %s", r.out)
	}
	if r := s.run("", "deliveries", "cancel", list.Data[0].ID).want(t, 0); r.out != list.Data[0].ID+" cancelled\n" {
		t.Errorf("cancelling prints %s", r.out)
	}
	if r := s.run("", "dead-letters", "list").want(t, 0); !strings.Contains(r.out, "cancelled by hand") {
		t.Errorf("dead letters: %s", r.out)
	}
	if r := s.run("", "deliveries", "cancel", list.Data[0].ID).want(t, 1); !strings.Contains(r.err, "is dead: only one that waits can be cancelled") {
		t.Errorf("a second time: %s", r.err)
	}
}

func TestDeadLettersLife(t *testing.T) {
	s := start(t)
	s.subscribe("order.*")
	s.answer.Store(500)
	id := s.publish("order.created", `{"order":7}`, "--event-id", "order-7")
	golden(t, "dead-letters-list", steady(s.run("", "dead-letters", "list").want(t, 0).out))
	golden(t, "dead-letters-show", steady(s.run("", "dead-letters", "show", id).want(t, 0).out))
	golden(t, "dead-letters-export", steady(s.run("", "dead-letters", "export").want(t, 0).out))
	golden(t, "deliveries-show-dead", steady(s.run("", "deliveries", "show", id).want(t, 0).out))

	s.answer.Store(200)
	if r := s.run("", "dead-letters", "redeliver", id).want(t, 0); r.out != id+" queued\n" {
		t.Errorf("printed %q", r.out)
	}
	s.attempted()
	if r := s.run("", "dead-letters", "show", id).want(t, 1); !strings.Contains(r.err, "is no dead letter, it is delivered") {
		t.Errorf("stderr %q", r.err)
	}
	if r := s.run("", "dead-letters", "list").want(t, 0); r.out != "" {
		t.Errorf("it is listed still: %s", r.out)
	}
}

func TestDeadLettersAreDeleted(t *testing.T) {
	s := start(t)
	s.subscribe("*")
	s.answer.Store(500)
	var ids []string
	for i := range 5 {
		ids = append(ids, s.publish(fmt.Sprint("type.", i%2), "1"))
	}
	for _, args := range [][]string{{}, {"--event-type", "type.0"}, {"--all", ids[0]}} {
		s.run("", append([]string{"dead-letters", "delete"}, args...)...).want(t, 2)
	}
	if r := s.run("", "dead-letters", "delete", ids[0], ids[1]).want(t, 0); r.out != ids[0]+" deleted\n"+ids[1]+" deleted\n" {
		t.Errorf("printed %q", r.out)
	}
	if r := s.run("", "dead-letters", "delete", ids[0], ids[2]).want(t, 1); r.out != ids[2]+" deleted\n" || !strings.Contains(r.err, "it is discarded") || !strings.Contains(r.err, "1 of 2 were not deleted") {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
	if r := s.run("", "dead-letters", "delete", "--all", "--event-type", "type.0", "--dry-run").want(t, 0); r.out != "1 dead letter matches\n" {
		t.Errorf("printed %q", r.out)
	}
	if r := s.run("", "dead-letters", "delete", "--all", "--dry-run", "--json").want(t, 0); r.out != "{\n  \"matching\": 2\n}\n" {
		t.Errorf("printed %q", r.out)
	}
	s.run("", "dead-letters", "delete", ids[4], "--dry-run").want(t, 2)
	if r := s.run("", "dead-letters", "delete", "--all", "--event-type", "type.0").want(t, 0); r.out != "1 dead letter deleted\n" {
		t.Errorf("printed %q", r.out)
	}
	if r := s.run("", "dead-letters", "delete", "--all", "--json").want(t, 0); r.out != "{\n  \"deleted\": 1\n}\n" {
		t.Errorf("printed %q", r.out)
	}
	if r := s.run("", "dead-letters", "delete", "--all").want(t, 0); r.out != "0 dead letters deleted\n" || strings.Contains(r.err, "subscriptions were deleted") {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
	if r := s.run("", "deliveries", "list", "--state", "discarded").want(t, 0); strings.Count(r.out, "discarded") != 5 {
		t.Errorf("listed %s", r.out)
	}
}

func TestDeadLettersInBulk(t *testing.T) {
	s := start(t)
	s.subscribe("*")
	s.answer.Store(500)
	const letters = 5
	for i := range letters {
		s.publish(fmt.Sprint("type.", i%2), "1")
	}
	for _, args := range [][]string{{}, {"--event-type", "type.0"}, {"--all", "dlv_0000000000000001"}} {
		s.run("", append([]string{"dead-letters", "redeliver"}, args...)...).want(t, 2)
	}
	for span, want := range map[string]int{"--failed-since": letters, "--failed-until": 0} {
		var list struct{ Data []deadLetter }
		r := s.run("", "dead-letters", "list", "--json", span, "1h").want(t, 0)
		if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list.Data) != want {
			t.Errorf("%s: %v, %d of %d", span, err, len(list.Data), want)
		}
		if r := s.run("", "dead-letters", "export", span, "2026-01-31 14:04").want(t, 0); strings.Count(r.out, "\n") != want {
			t.Errorf("%s: exported %s", span, r.out)
		}
	}
	for how, want := range map[string]int{"--class=status": letters, "--class=dns": 0, "--status=500": letters, "--status=503": 0} {
		if r := s.run("", "dead-letters", "export", how).want(t, 0); strings.Count(r.out, "\n") != want {
			t.Errorf("%s: exported %s", how, r.out)
		}
	}
	if r := s.run("", "dead-letters", "redeliver", "--all", "--class", "dns", "--status", "503").want(t, 0); r.out != "0 dead letters queued\n" {
		t.Errorf("printed %q", r.out)
	}
	s.run("", "dead-letters", "list", "--failed-since", "yesterday").want(t, 2)
	s.run("", "deliveries", "list", "--failed-since", "1h").want(t, 2)
	if r := s.run("", "dead-letters", "redeliver", "--all", "--failed-until", "1h").want(t, 0); r.out != "0 dead letters queued\n" {
		t.Errorf("printed %q", r.out)
	}
	s.answer.Store(200)
	if r := s.run("", "dead-letters", "redeliver", "--all", "--failed-since", "1h", "--event-type", "type.0").want(t, 0); r.out != "3 dead letters queued\n" {
		t.Errorf("printed %q", r.out)
	}
	if r := s.run("", "dead-letters", "redeliver", "--all", "--json").want(t, 0); r.out != "{\n  \"redelivered\": 2\n}\n" {
		t.Errorf("printed %q", r.out)
	}
	for range letters {
		s.attempted()
	}
	if r := s.run("", "dead-letters", "redeliver", "--all").want(t, 0); r.out != "0 dead letters queued\n" || !strings.Contains(r.err, "subscriptions were deleted") {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
	if r := s.run("", "dead-letters", "list", "--event-type", "type.0").want(t, 0); r.out != "" || r.err != "None match.\n" {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
}

func TestRedeliverWhatWasDelivered(t *testing.T) {
	s := start(t)
	sub := s.subscribe("*")
	s.publish("order.created", "1")
	s.publish("order.paid", "2")
	for _, args := range [][]string{{}, {"--since", "1h"}, {"--all"}, {"--all", "--subscription-id", sub}, {"--all", "--since", "1h", "dlv_0000000000000001"}} {
		s.run("", append([]string{"deliveries", "redeliver"}, args...)...).want(t, 2)
	}
	if r := s.run("", "deliveries", "redeliver", "--all", "--subscription-id", sub, "--since", "1h", "--event-type", "order.paid").want(t, 0); r.out != "1 delivery queued\n" {
		t.Errorf("printed %q", r.out)
	}
	s.attempted()
	if r := s.run("", "deliveries", "redeliver", "--all", "--since", "1h", "--json").want(t, 0); r.out != "{\n  \"redelivered\": 2\n}\n" {
		t.Errorf("printed %q", r.out)
	}
	s.attempted()
	s.attempted()
	if r := s.run("", "deliveries", "redeliver", "--all", "--since", "1h", "--until", "1m").want(t, 0); r.out != "0 deliveries queued\n" || !strings.Contains(r.err, "Nothing that was delivered matches") {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
}

// Long bulk work tells how much is left, and ends when Caddy falls silent.
func TestBulkRedeliveryShowsProgress(t *testing.T) {
	seen := make(chan struct{}, 100)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			seen <- struct{}{}
			answer(200, "application/json", `{"dead_letters":12000}`)(w, r)
			return
		}
		<-seen
		<-seen
		answer(200, "application/json", `{"redelivered":24000}`)(w, r)
	})
	r := run(t, "", "dead-letters", "redeliver", "--all", "--address", address).want(t, 0)
	if r.out != "24,000 dead letters queued\n" || !strings.Contains(r.err, "12,000 dead letters left\n") {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}

	silent := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			panic(http.ErrAbortHandler)
		}
		<-r.Context().Done()
	})
	if r := run(t, "", "dead-letters", "redeliver", "--all", "--address", silent).want(t, 1); !strings.Contains(r.err, "can be run again") {
		t.Errorf("stderr %q", r.err)
	}
}

func TestExport(t *testing.T) {
	s := start(t)
	s.subscribe("*")
	s.answer.Store(500)
	payloads := []string{`{ "n" : 1 }`, `"☃"`, `[12345678901234567890]`}
	for _, p := range payloads {
		s.publish("a", p)
	}
	name := filepath.Join(t.TempDir(), "dead.ndjson")
	if r := s.run("", "dead-letters", "export", "--output", name).want(t, 0); r.out != "" || r.err != "3 dead letters exported\n" {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `12345678901234567890`) || !strings.Contains(lines[2], `{"n":1}`) {
		t.Errorf("exported %s", text)
	}
	if r := s.run("", "dead-letters", "export", "--event-type", "b").want(t, 0); r.out != "" {
		t.Errorf("exported %q", r.out)
	}
	if r := s.run("", "dead-letters", "export", "--output", "/nonexistent/x").want(t, 1); !strings.Contains(r.err, "/nonexistent/x") {
		t.Errorf("stderr %q", r.err)
	}
}

func TestExportThatIsCutIsNoSuccess(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer(200, "application/x-ndjson", "{}\n{}\n{\"half")(w, r)
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	r := run(t, "", "dead-letters", "export", "--address", address).want(t, 1)
	if !strings.HasPrefix(r.out, "{}\n{}\n") || !strings.Contains(r.err, "2 of them written") {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
}

func TestStatus(t *testing.T) {
	s := start(t)
	if r := s.run("", "status").want(t, 0); !strings.Contains(r.out, "There are no subscriptions.") {
		t.Errorf("printed %q", r.out)
	}
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
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A reason that is the last error too is told once.
func TestTrouble(t *testing.T) {
	const gone = "the receiver answered 410 Gone"
	for want, s := range map[string]subscriptionStatus{
		gone: {Reason: gone, LastError: gone},
		"deactivated by hand; last error: " + gone: {Reason: "deactivated by hand", LastError: gone},
	} {
		if got := s.trouble(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Those in trouble come first, and errors are whole.
func TestStatusOfMany(t *testing.T) {
	long := strings.Repeat("x", 100) + " (it pointed to https://example.com)"
	address := serve(t, answer(200, "application/json", `{"pending":0,"subscriptions":[
		{"subscription_id":"sub_1","health":"ok"},
		{"subscription_id":"sub_2","health":"inactive"},
		{"subscription_id":"sub_3","health":"down","last_error":"`+long+`"},
		{"subscription_id":"sub_4","health":"ok"},
		{"subscription_id":"sub_5","health":"failing"}]}`))
	r := run(t, "", "status", "--address", address).want(t, 0)
	if ids := strings.Join(regexp.MustCompile(`sub_\d`).FindAllString(r.out, -1), " "); ids != "sub_3 sub_5 sub_2 sub_1 sub_4" {
		t.Errorf("in the order %s", ids)
	}
	if !strings.Contains(r.out, long) {
		t.Errorf("printed %s", r.out)
	}
}

// A full store is told with what to do.
func TestStatusOfAFullStore(t *testing.T) {
	address := serve(t, answer(200, "application/json", `{"store":{"path":"/data/webhooks.db","full":true}}`))
	if full := field(t, run(t, "", "status", "--address", address).want(t, 0).out, "Full"); !strings.Contains(full, "free some space") {
		t.Errorf("told %q", full)
	}
}

// All of it by a real Caddy's admin endpoint, which asks for Host and Origin.
func TestByTheAdminEndpoint(t *testing.T) {
	s := start(t)
	mounted.Store(&s.handler)
	t.Cleanup(func() { mounted.Store(nil) })
	s.address = runCaddy(t)
	s.subscribe("*")
	id := s.publish("a", "{}")
	if r := s.run("", "deliveries", "show", id).want(t, 0); field(t, r.out, "State") != "delivered" {
		t.Errorf("printed %q", r.out)
	}
	s.run("", "status").want(t, 0)
	if r := s.run("", "events", "show", "nothing").want(t, 1); !strings.Contains(r.err, `there is no event "nothing"`) {
		t.Errorf("stderr %q", r.err)
	}
}
