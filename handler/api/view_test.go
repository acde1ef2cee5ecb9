package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// confined returns the same server with an API that is confined to the tenant which the
// function returns.
func (s *server) confined(tenant func(*http.Request) (string, error)) *server {
	s.t.Helper()
	return s.with(api.Config{NoAuth: true, Tenant: tenant})
}

func (s *server) of(tenant string) *server {
	s.t.Helper()
	return s.confined(func(*http.Request) (string, error) { return tenant, nil })
}

// issue issues a token for a tenant. The body may be "".
func (s *server) issue(tenant, body string) string {
	s.t.Helper()
	return s.post("/tenants/"+tenant+"/tokens", body).want(s.t, 201).text("token")
}

// rows has the ids of what belongs to a tenant.
type rows struct {
	event        string // settled
	chosen       string // another one, whose id the publisher has chosen
	subscription string
	dead         string // a delivery
	waits        string // a delivery, which is held
	attempt      string // the second one of the dead letter
}

// rows creates rows for a tenant, or for none.
func (s *server) rows(r *receiver, tenant string) (made rows) {
	s.t.Helper()
	of := ""
	if tenant != "" {
		of = `,"tenant":"` + tenant + `"`
	}
	subscribe := func(types string) string {
		return s.post("/subscriptions", `{"url":"`+r.URL+`/`+tenant+`","event_types":["`+types+`"],"headers":{"X-Key":"key of `+tenant+`"}`+of+`}`).want(s.t, 201).text("subscription_id")
	}
	kind := fmt.Sprintf("order.n%d", s.made.Add(1)) // no other rows have it
	made.subscription = subscribe(kind)
	paused := subscribe(kind + ".paid")
	s.post("/subscriptions/"+paused+"/deactivate", "").want(s.t, 200)
	made.event = s.post("/events", `{"event_type":"`+kind+`","payload":"payload of `+tenant+`"`+of+`}`).want(s.t, 202).text("event_id")
	made.chosen = "chosen-" + made.event
	s.post("/events", `{"event_type":"`+kind+`.paid","payload":1,"event_id":"`+made.chosen+`"`+of+`}`).want(s.t, 202)
	for made.dead == "" {
		if a := s.attempt(); a.State == store.Dead && a.Event.ID == made.event {
			made.dead = a.Delivery.With(store.DeliveryPrefix)
			made.attempt = a.Attempt.ID.With(store.AttemptPrefix)
		}
	}
	made.waits = s.get("/deliveries?subscription_id="+paused).want(s.t, 200).rows()[0].text("delivery_id")
	return made
}

func (r rows) all() []string {
	return []string{r.event, r.chosen, r.subscription, r.dead, r.waits, r.attempt}
}

// The ids that a route can take.
func events(r rows) []string        { return []string{r.event, r.chosen} }
func subscriptions(r rows) []string { return []string{r.subscription} }
func deliveries(r rows) []string    { return []string{r.waits, r.dead} }
func dead(r rows) []string          { return []string{r.dead} }
func attempts(r rows) []string      { return []string{r.attempt} }

// reach describes how a route is called.
type reach struct {
	ids    func(rows) []string // what its {id} can be; nil if it has none
	body   string
	status int  // for the tenant's own rows
	tenant bool // it takes a tenant as a parameter or a field
}

// reaches has every route; the test fails if one is missing.
var reaches = map[string]reach{
	"POST /events":        {body: `{"event_type":"order.created","payload":1}`, status: 202, tenant: true},
	"GET /events":         {status: 200, tenant: true},
	"DELETE /events":      {body: all, status: 200, tenant: true},
	"GET /events/{id}":    {ids: events, status: 200, tenant: true},
	"DELETE /events/{id}": {ids: events, status: 204, tenant: true},

	"POST /subscriptions":                    {body: `{"url":"http://127.0.0.1/","event_types":["user.*"]}`, status: 201, tenant: true},
	"GET /subscriptions":                     {status: 200, tenant: true},
	"GET /subscriptions/{id}":                {ids: subscriptions, status: 200},
	"PATCH /subscriptions/{id}":              {ids: subscriptions, body: `{"description":"mine"}`, status: 200},
	"DELETE /subscriptions/{id}":             {ids: subscriptions, status: 204},
	"GET /subscriptions/{id}/secret":         {ids: subscriptions, status: 200},
	"POST /subscriptions/{id}/rotate-secret": {ids: subscriptions, status: 200},
	"POST /subscriptions/{id}/deactivate":    {ids: subscriptions, status: 200},
	"POST /subscriptions/{id}/activate":      {ids: subscriptions, status: 200},
	"POST /subscriptions/{id}/test":          {ids: subscriptions, status: 202},
	"POST /subscriptions/{id}/preview":       {ids: subscriptions, body: `{"event_type":"order.created","payload":1}`, status: 200},
	"POST /subscriptions/{id}/replay":        {ids: subscriptions, body: `{"since":"2020-01-01T00:00:00Z"}`, status: 200},

	"GET /deliveries":                 {status: 200, tenant: true},
	"GET /deliveries/{id}":            {ids: deliveries, status: 200},
	"GET /deliveries/{id}/attempts":   {ids: deliveries, status: 200},
	"POST /deliveries/redeliver":      {body: `{"since":"2020-01-01T00:00:00Z"}`, status: 200, tenant: true},
	"POST /deliveries/{id}/redeliver": {ids: deliveries, status: 202},
	"POST /deliveries/{id}/cancel":    {ids: deliveries, status: 200},
	"POST /attempts/{id}/redeliver":   {ids: attempts, status: 202},

	"GET /dead-letters":                 {status: 200, tenant: true},
	"DELETE /dead-letters":              {body: all, status: 200, tenant: true},
	"POST /dead-letters/redeliver":      {body: all, status: 200, tenant: true},
	"GET /dead-letters/{id}":            {ids: dead, status: 200},
	"DELETE /dead-letters/{id}":         {ids: dead, status: 204},
	"POST /dead-letters/{id}/redeliver": {ids: dead, status: 202},

	"GET /event-types":         {status: 200},
	"GET /event-types/{id}":    {ids: eventTypes, status: 200},
	"PUT /event-types/{id}":    {ids: eventTypes, body: `{}`, status: 403},
	"DELETE /event-types/{id}": {ids: eventTypes, status: 403},

	"DELETE /tenants/{id}":      {ids: tenants, status: 403},
	"POST /tenants/{id}/tokens": {ids: tenants, status: 403},

	"GET /status":       {status: 200},
	"GET /tail":         {status: 200, tenant: true},
	"GET /openapi.json": {status: 200},
}

// Tenants have names instead of ids.
func tenants(rows) []string { return []string{"acme"} }

// Event types are the same for all tenants.
func eventTypes(rows) []string { return []string{"order.created"} }

// On each route of an API that is confined to a tenant, what belongs to others is treated
// as if it didn't exist, and isn't changed. So it is with a token that was issued for the
// tenant.
func TestTenantIsolation(t *testing.T) {
	for name, confine := range map[string]func(*server) *server{
		"by the API":   func(s *server) *server { return s.of("acme") },
		"by the token": func(s *server) *server { return s.by(s.issue("acme", "")) },
	} {
		t.Run(name, func(t *testing.T) { isolates(t, confine) })
	}
}

func isolates(t *testing.T, confine func(*server) *server) {
	t.Helper()
	s := start(t)
	s.follow()() // so that tails end at once
	s.do(call{method: "PUT", path: "/event-types/order.created", body: `{}`}).want(t, 201)
	r := newReceiver(t, 500)
	acme := confine(s)

	// An operational event about acme's dead letter belongs to acme, but its delivery to
	// the operator doesn't.
	operator := s.post("/subscriptions", `{"url":"`+r.URL+`/operator","event_types":["webhooks.*"],"filter":"tenant == 'acme'"}`).want(t, 201).text("subscription_id")
	s.rows(r, "acme")
	told := rows{subscription: operator}
	for told.dead == "" {
		if list := s.get("/dead-letters?subscription_id="+operator).want(t, 200).rows(); len(list) == 0 {
			s.attempt()
		} else {
			told.dead, told.attempt = list[0].text("delivery_id"), list[0].text("attempt_id")
		}
	}
	others := []rows{s.rows(r, "rival"), s.rows(r, ""), told}
	secrets := []string{"rival", "operator", `"payload of "`, `"key of "`}
	for _, o := range others {
		secrets = append(secrets, o.all()...)
	}
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
	before := s.foreign("acme", operator)

	for _, route := range api.Routes() {
		use, ok := reaches[route]
		if !ok {
			t.Errorf("route %s is missing in reaches", route)
			continue
		}
		method, path, _ := strings.Cut(route, " ")
		for _, other := range others {
			use.deniesRows(t, acme, method, path, other)
			use.deniesFilters(t, acme, method, path, other)
		}
		if use.tenant {
			use.deniesTenant(t, acme, method, path)
		}
	}
	for _, route := range api.Routes() {
		use := reaches[route]
		method, path, _ := strings.Cut(route, " ")
		own := s.rows(r, "acme")
		id := ""
		if use.ids != nil {
			id = use.ids(own)[0]
		}
		a := acme.do(call{method: method, path: strings.Replace(path, "{id}", id, 1), body: use.body})
		if a.StatusCode != use.status {
			t.Errorf("%s for acme's own: got %d, want %d: %s", route, a.StatusCode, use.status, a.body)
		}
		if route == "GET /openapi.json" {
			continue
		}
		for _, secret := range secrets {
			if strings.Contains(string(a.body), secret) {
				t.Errorf("%s shows %s: %s", route, secret, a.body)
			}
		}
	}

	after := s.foreign("acme", operator)
	for id, row := range before {
		if after[id] != row {
			t.Errorf("%s was %s\nand is %s", id, row, after[id])
		}
	}
}

// deniesRows checks that another tenant's row gets the same response as one that doesn't
// exist.
func (use reach) deniesRows(t *testing.T, acme *server, method, path string, other rows) {
	t.Helper()
	if use.ids == nil || use.status == 403 || strings.HasPrefix(path, "/event-types") {
		return
	}
	methods := []string{method}
	if method == "GET" {
		methods = append(methods, "HEAD")
	}
	for _, id := range use.ids(other) {
		if id == "" {
			continue
		}
		missing := id[:4] + "0000000000000001"
		for _, method := range methods {
			for _, body := range []string{use.body, `{"nothing":1}`} {
				answered := func(id string) (int, string) {
					a := acme.do(call{method: method, path: strings.Replace(path, "{id}", id, 1), body: body})
					return a.StatusCode, strings.ReplaceAll(string(a.body), id, "…")
				}
				status, text := answered(id)
				wantStatus, want := answered(missing)
				if status != wantStatus || text != want || status < 400 || body == use.body && status != 404 {
					t.Errorf("%s %s with %s of another: %d %s\nand where there is none: %d %s", method, path, id, status, text, wantStatus, want)
				}
			}
		}
	}
}

// all is the body that selects all rows.
const all = `{"all":true}`

// with returns the call with another field or, if it has no body, another parameter.
func (use reach) with(method, path, name, value string) call {
	if object, ok := strings.CutSuffix(use.body, "}"); ok && use.body != all {
		return call{method: method, path: path, body: fmt.Sprintf("%s,%q:%q}", object, name, value)}
	}
	return call{method: method, path: path + "?" + name + "=" + value}
}

// deniesFilters checks that another tenant's ids select nothing.
func (use reach) deniesFilters(t *testing.T, acme *server, method, path string, other rows) {
	t.Helper()
	if use.ids != nil || !use.tenant || use.status != 200 || path == "/subscriptions" || path == "/tail" {
		return
	}
	for name, id := range map[string]string{"subscription_id": other.subscription, "event_id": other.event, "cursor": other.dead} {
		if id == "" || name == "cursor" && method != "GET" {
			continue
		}
		list := func(id string) answer {
			return acme.do(use.with(method, path, name, id))
		}
		missing := id[:4] + "0000000000000001"
		if name == "cursor" {
			missing = id[:4] + "7fffffffffffffff" // everything comes after it
		}
		got, want := list(id), list(missing)
		if name != "cursor" && (string(got.body) != string(want.body) || got.StatusCode != want.StatusCode) {
			t.Errorf("%s %s by %s of another: %s\nand of none: %s", method, path, name, got.body, want.body)
		}
		for _, secret := range other.all() {
			if secret != "" && strings.Contains(string(got.body), secret) {
				t.Errorf("%s %s by %s of another shows %s: %s", method, path, name, secret, got.body)
			}
		}
	}
}

// deniesTenant checks that another tenant can't be given, as a parameter or a field.
func (use reach) deniesTenant(t *testing.T, acme *server, method, path string) {
	t.Helper()
	path = strings.Replace(path, "{id}", "evt_0000000000000001", 1)
	for _, tenant := range []string{"rival", "there-is-none", "Acme"} {
		acme.do(use.with(method, path, "tenant", tenant)).refused(t, 403, "other_tenant")
		if use.body == all {
			acme.do(call{method: method, path: path, body: `{"tenant":"` + tenant + `"}`}).refused(t, 403, "other_tenant")
		}
	}
}

// foreign returns all rows of others as they are now.
func (s *server) foreign(tenant, operator string) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for path, id := range map[string]string{"/events": "event_id", "/deliveries": "delivery_id", "/subscriptions": "subscription_id"} {
		for _, row := range s.pages(path + "?limit=200") {
			if row.text("tenant") == tenant && row.text("subscription_id") != operator {
				continue
			}
			text, _ := json.Marshal(row)
			all[row.text(id)] = string(text)
			if path == "/subscriptions" {
				all[row.text(id)] += string(s.get(path + "/" + row.text(id) + "/secret").body)
			}
		}
	}
	return all
}

func TestTenantPublishes(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	acme := s.of("acme")
	s.post("/events", `{"event_type":"a","payload":1,"event_id":"x","tenant":"rival"}`).want(t, 202)
	s.post("/events", `{"event_type":"a","payload":1,"event_id":"x"}`).want(t, 202)
	s.subscribe(r.URL)
	sub := acme.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["*"]}`).want(t, 201)
	if sub.text("tenant") != "acme" {
		t.Errorf("got a subscription of %v", sub["tenant"])
	}
	acme.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["b"],"tenant":"acme"}`).want(t, 201)

	// Another tenant can have an event with the same id, and the own tenant may be given.
	for id, body := range map[string]string{
		"x": `{"event_type":"a","payload":2,"event_id":"x"}`,
		"y": `{"event_type":"a","payload":2,"event_id":"y","tenant":"acme"}`,
	} {
		p := acme.post("/events", body).want(t, 202)
		if p["deliveries"] != json.Number("1") || acme.get("/events/"+id).want(t, 200).text("tenant") != "acme" {
			t.Errorf("%s: %v", id, p)
		}
	}
	acme.do(call{method: "POST", path: "/events", body: `{"event_type":"a","payload":2}`, header: http.Header{"Idempotency-Key": {"x"}, "Content-Type": {"application/json"}}}).want(t, 200)

	a := acme.do(call{method: "POST", path: "/events", header: lines, body: `{"event_type":"a","payload":1}
{"event_type":"a","payload":1,"tenant":"rival"}
not JSON
{"event_type":"a","payload":1,"tenant":"acme"}
{"event_type":"a","payload":1,"tenant":"rival","tenant":"acme"}
{"event_type":"a","payload":1,"t\u0065nant":"rival"}
`})
	var statuses []string
	for line := range strings.Lines(string(a.body)) {
		statuses = append(statuses, string(parse(t, []byte(line))["status"].(json.Number)))
	}
	if want := []string{"202", "403", "400", "202", "422", "403"}; !slices.Equal(statuses, want) {
		t.Errorf("got statuses %v, want %v: %s", statuses, want, a.body)
	}
	if got := s.get("/events?tenant=rival").want(t, 200).rows(); len(got) != 1 {
		t.Errorf("rival has %v", got)
	}
}

// A tenant can't delete the operational events about it, which may have been delivered to
// others too.
func TestTenantsCantDeleteOperationalEvents(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	acme := s.of("acme")
	s.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["webhooks.*"]}`).want(t, 201)
	sub := acme.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["webhooks.*"]}`).want(t, 201).text("subscription_id")
	acme.post("/subscriptions/"+sub+"/deactivate", "").want(t, 200)
	acme.post("/subscriptions/"+sub+"/activate", "").want(t, 200)
	s.attempt()
	event := acme.get("/events?event_type=webhooks.subscription.activated").want(t, 200).rows()[0].text("event_id")
	if got := acme.get("/events/"+event).want(t, 200)["deliveries"].([]any); len(got) != 1 {
		t.Errorf("acme sees the deliveries %v", got)
	}
	acme.do(call{method: "DELETE", path: "/events/" + event}).refused(t, 403, "other_tenant")
	if a := acme.do(call{method: "DELETE", path: "/events?all=true"}).want(t, 200); fmt.Sprintf("%v %v", a["deleted"], a["pending"]) != "0 0" {
		t.Errorf("in bulk: %v", a)
	}
	acme.get("/events/"+event).want(t, 200)
}

func TestTenantsStatus(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	own := s.rows(r, "acme")
	s.rows(r, "rival")
	s.rows(r, "")
	got := s.of("acme").get("/status").want(t, 200)
	if subs := got["subscriptions"].([]any); len(subs) != 2 || object(subs[0].(map[string]any)).text("subscription_id") != own.subscription {
		t.Errorf("subscriptions: %v", subs)
	}
	delete(got, "subscriptions")
	want := object{"pending": json.Number("1"), "dead_letters": json.Number("1"), "in_flight": json.Number("0"), "oldest_due": nil, "draining": false, "store": nil}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if nobody := s.of("nobody").get("/status").want(t, 200); nobody["pending"] != json.Number("0") || len(nobody["subscriptions"].([]any)) != 0 {
		t.Errorf("a tenant without anything: got %v", nobody)
	}
}

func TestTenantsTail(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	acme := s.of("acme")
	s.post("/subscriptions", `{"url":"`+r.URL+`/operator","event_types":["webhooks.*"]}`).want(t, 201)
	f := acme.tail(t, "")
	for range 3 { // each of them causes an operational event
		s.rows(r, "rival")
		s.rows(r, "")
		own := s.rows(r, "acme")
		for range 2 {
			if d := f.next(s.contract); d.text("delivery_id") != own.dead {
				t.Errorf("got %v in acme's tail", d)
			}
		}
	}
}

// A confined API refuses every request without a tenant.
func TestRequestsWithoutATenant(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		tenant string
		err    error
		logged string
	}{
		"none":        {"", nil, "no tenant is given"},
		"not known":   {"acme", errors.New("nobody has logged in"), "nobody has logged in"},
		"not one":     {"auth0|123", nil, "auth0|123"},
		"line breaks": {"acme\n", nil, "can't be a tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			nobody := s.confined(func(*http.Request) (string, error) { return c.tenant, c.err })
			for _, route := range append(api.Routes(), "GET /nothing") {
				method, path, _ := strings.Cut(route, " ")
				p := nobody.do(call{method: method, path: strings.Replace(path, "{id}", "x", 1), body: reaches[route].body}).refused(t, 403, "no_tenant")
				if strings.Contains(p.text("detail"), "acme") {
					t.Errorf("%s: %v", route, p)
				}
			}
			if !strings.Contains(s.log.String(), c.logged) {
				t.Errorf("got no %q in the log:\n%s", c.logged, s.log)
			}
		})
	}
}

// The number of subscriptions of a tenant is limited.
func TestTenantsSubscriptionsAreBounded(t *testing.T) {
	s := start(t)
	own, body := s.of("acme"), `{"url":"https://example.com/hooks","event_types":["a"]}`
	last := ""
	for range 199 {
		last = own.post("/subscriptions", body).want(t, 201).text("subscription_id")
	}
	chosen := strings.Replace(body, "{", `{"subscription_id":"sub_acme.crm",`, 1)
	own.post("/subscriptions", chosen).want(t, 201)
	own.post("/subscriptions", body).refused(t, 409, "conflict")
	own.post("/subscriptions", chosen).want(t, 200)
	s.of("other").post("/subscriptions", body).want(t, 201)
	s.post("/subscriptions", strings.Replace(body, "{", `{"tenant":"acme",`, 1)).want(t, 201) // by the operator
	own.do(call{method: "DELETE", path: "/subscriptions/" + last}).want(t, 204)
	own.post("/subscriptions", body).refused(t, 409, "conflict")
}

// A tenant isn't told which ids others have: it can only choose its own.
func TestTenantsChooseTheirOwnIDs(t *testing.T) {
	s := start(t)
	create := func(s *server, id string) answer {
		return s.post("/subscriptions", `{"subscription_id":"`+id+`","url":"https://example.com/hooks","event_types":["a"]}`)
	}
	acme, rival := s.of("acme"), s.of("acme.eu")
	create(s, "sub_crm").want(t, 201)
	create(acme, "sub_acme.crm").want(t, 201).has(t, "tenant", "acme")
	create(rival, "sub_acme.eu.crm").want(t, 201).has(t, "tenant", "acme.eu")
	for _, id := range []string{"sub_%s", "sub_acme.%s", "sub_acme.eu.%s"} {
		for name, other := range map[string]*server{"acme": acme, "acme.eu": rival} {
			if id == "sub_"+name+".%s" {
				continue
			}
			taken, free := create(other, fmt.Sprintf(id, "crm")).refused(t, 422, "invalid_field"), create(other, fmt.Sprintf(id, "no1")).refused(t, 422, "invalid_field")
			if fmt.Sprint(taken) != fmt.Sprint(free) {
				t.Errorf("%s of %s: got %v if it exists, %v if not", id, name, taken, free)
			}
		}
	}
}

// A tenant can't set a longer timeout than the server's, since attempts that hang keep
// others waiting.
func TestTenantsTimeoutsAreBounded(t *testing.T) {
	s := start(t)
	own, body := s.of("acme"), `{"url":"https://example.com/hooks","event_types":["a"],"timeout":"%s"}`
	own.post("/subscriptions", fmt.Sprintf(body, "16s")).refused(t, 422, "invalid_field")
	path := "/subscriptions/" + own.post("/subscriptions", fmt.Sprintf(body, "15s")).want(t, 201).text("subscription_id")
	patch := func(s *server, timeout string) answer {
		return s.do(call{method: "PATCH", path: path, body: fmt.Sprintf(`{"description":"x","timeout":"%s"}`, timeout)})
	}
	patch(own, "16s").refused(t, 422, "invalid_field")
	patch(s, "60s").want(t, 200) // by the operator
	own.do(call{method: "PATCH", path: path, body: `{"description":"y"}`}).want(t, 200)
	patch(own, "50s").want(t, 200)
	patch(own, "51s").refused(t, 422, "invalid_field")
}
