package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestBadRequests checks that each gets a problem document that says what is wrong, and
// that nothing is stored or changed.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"order.*"}, "headers": object{"X-Env": "production"}})
	event1 := s.publish(event{Type: "order.created", ID: "order-1"})
	before := s.everything(event1, sub)

	publish := func(body string) answer { return s.publisher().do("POST", "/events", body) }
	create := func(field string, value any) answer {
		o := object{"url": "https://example.com/hooks", "event_types": []string{"order.*"}}
		if o[field] = value; value == nil {
			delete(o, field)
		}
		return s.manager().do("POST", "/subscriptions", o)
	}
	change := func(field string, value any) answer {
		return s.manager().do("PATCH", "/subscriptions/"+sub, object{field: value})
	}
	const missing = "dlv_0199d3c2a4e00001"
	large := strings.Repeat("x", 256<<10)
	for _, c := range []struct {
		name   string
		got    answer
		status int
		words  []string
	}{
		{"no JSON", publish(`{"event_type":`), 400, []string{"invalid_json", "byte"}},
		{"an empty body", publish(``), 400, []string{"invalid_json", "empty"}},
		{"no object", publish(`[]`), 400, []string{"invalid_json", "object"}},
		{"two values", publish(`{"event_type":"a","payload":1}{}`), 400, []string{"invalid_json"}},
		{"not UTF-8", publish("{\"event_type\":\"a\",\"payload\":\"\xff\"}"), 400, []string{"UTF-8"}},
		{"a payload that is no JSON", publish(`{"event_type":"a","payload":{x}}`), 400, []string{"invalid_json"}},
		{"deep nesting", publish(`{"event_type":"a","payload":` + strings.Repeat("[", 100_000) + `}`), 400, []string{"nested"}},
		{"no event_type", publish(`{"payload":{}}`), 422, []string{"event_type", "order.created"}},
		{"an empty event_type", publish(`{"event_type":"","payload":{}}`), 422, []string{"event_type"}},
		{"a malformed event_type", publish(`{"event_type":"order created","payload":{}}`), 422, []string{"event_type", "order.created"}},
		{"an event_type that ends with a dot", publish(`{"event_type":"order.","payload":{}}`), 422, []string{"event_type"}},
		{"a pattern for an event_type", publish(`{"event_type":"order.*","payload":{}}`), 422, []string{"event_type"}},
		{"an event_type that is a number", publish(`{"event_type":1,"payload":{}}`), 422, []string{"event_type"}},
		{"a header in the event_type", publish(`{"event_type":"a\r\nX-Evil: 1","payload":{}}`), 422, []string{"event_type"}},
		{"a long event_type", publish(`{"event_type":"` + strings.Repeat("x", 129) + `","payload":{}}`), 422, []string{"event_type", "128"}},
		{"an event_id with a dot", publish(`{"event_type":"a","event_id":"a.b","payload":{}}`), 422, []string{"event_id"}},
		{"a header in the event_id", publish(`{"event_type":"a","event_id":"a\r\nX-Evil: 1","payload":{}}`), 422, []string{"event_id"}},
		{"a long event_id", publish(`{"event_type":"a","event_id":"` + strings.Repeat("x", 129) + `","payload":{}}`), 422, []string{"event_id", "128"}},
		{"a malformed tenant", publish(`{"event_type":"a","tenant":"a b","payload":{}}`), 422, []string{"tenant"}},
		{"no payload", publish(`{"event_type":"a"}`), 422, []string{"payload"}},
		{"an unknown field of an event", publish(`{"event_type":"a","payload":{},"evnt_id":"x"}`), 422, []string{"evnt_id", "event_id"}},
		{"a field that is given twice", publish(`{"event_type":"a","event_type":"b","payload":{}}`), 422, []string{"event_type", "twice"}},
		{"an event_id that is taken", publish(`{"event_type":"order.created","event_id":"order-1","payload":{"other":1}}`), 409, []string{"event_id_reused", "order-1"}},
		{"an oversize payload", publish(`{"event_type":"a","payload":"` + large + `"}`), 413, []string{"too_large", "max_payload"}},
		{"a huge body", publish(`{"event_type":"a","payload":"` + strings.Repeat(large, 5) + `"}`), 413, []string{"too_large", "max_payload"}},

		{"no url", create("url", nil), 422, []string{"url"}},
		{"a url without a scheme", create("url", "example.com/hooks"), 422, []string{"url", "https://"}},
		{"a url of another scheme", create("url", "ftp://example.com/"), 422, []string{"url", "https://"}},
		{"a url without a host", create("url", "https:///hooks"), 422, []string{"url", "host"}},
		{"a url with a password", create("url", "https://user:password@example.com/"), 422, []string{"url", "Authorization"}},
		{"a url with a fragment", create("url", "https://example.com/#a"), 422, []string{"url", "#"}},
		{"a url with a line break", create("url", "https://example.com/\r\nX-Evil: 1"), 422, []string{"url"}},
		{"a url with a space", create("url", "https://exam ple.com/"), 422, []string{"url"}},
		{"a url with a wrong port", create("url", "https://example.com:99999/"), 422, []string{"url", "port"}},
		{"a long url", create("url", "https://example.com/"+strings.Repeat("x", 4096)), 422, []string{"url"}},
		{"a denied address", create("url", "http://169.254.169.254/latest"), 422, []string{"url", "egress"}},
		{"no event_types", create("event_types", nil), 422, []string{"event_types"}},
		{"empty event_types", create("event_types", []string{}), 422, []string{"event_types"}},
		{"a malformed pattern", create("event_types", []string{"*.created"}), 422, []string{"event_types", "*.created"}},
		{"event_types that are no list", create("event_types", "order.*"), 422, []string{"event_types"}},
		{"an unknown field of a subscription", create("even_types", []string{"a"}), 422, []string{"even_types", "event_types"}},
		{"a line break in a header's value", create("headers", object{"X-A": "1\r\nX-Evil: 1"}), 422, []string{"headers", "X-A"}},
		{"a line break in a header's name", create("headers", object{"X-A: 1\r\nX-Evil": "1"}), 422, []string{"headers"}},
		{"a NUL in a header", create("headers", object{"X-A": "\x00"}), 422, []string{"headers"}},
		{"the header Host", create("headers", object{"host": "evil"}), 422, []string{"headers", "host"}},
		{"the header Content-Length", create("headers", object{"Content-Length": "1"}), 422, []string{"headers", "Content-Length"}},
		{"the header Transfer-Encoding", create("headers", object{"transfer-encoding": "chunked"}), 422, []string{"headers"}},
		{"the header Connection", create("headers", object{"Connection": "close"}), 422, []string{"headers"}},
		{"the header webhook-id", create("headers", object{"Webhook-Id": "1"}), 422, []string{"headers", "signature"}},
		{"a header that is a number", create("headers", object{"X-A": 1}), 422, []string{"headers"}},
		{"an unknown scheme", create("scheme", "nobody"), 422, []string{"scheme", "caddy webhooks providers"}},
		{"a malformed secret", create("secret", "whsec_!"), 422, []string{"secret"}},
		{"a malformed rate_limit", create("rate_limit", "fast"), 422, []string{"rate_limit", "50/s"}},
		{"a negative rate_limit", create("rate_limit", -1), 422, []string{"rate_limit"}},
		{"ordered that is a text", create("ordered", "yes"), 422, []string{"ordered"}},
		{"a malformed tenant of a subscription", create("tenant", "a\nb"), 422, []string{"tenant"}},

		{"a change to a denied address", change("url", "http://10.0.0.1/"), 422, []string{"url"}},
		{"a change to an injected header", change("headers", object{"X-Env": "a\r\nb"}), 422, []string{"headers"}},
		{"a change to no event type", change("event_types", []string{}), 422, []string{"event_types"}},
		{"a change of the tenant", change("tenant", "other"), 422, []string{"tenant"}},
		{"a change of an unknown field", change("active", false), 422, []string{"active"}},

		{"no token", client{s, ""}.do("GET", "/events", nil), 401, []string{"Authorization"}},
		{"a wrong token", client{s, "wrong"}.do("GET", "/events", nil), 401, []string{"invalid_token"}},
		{"a token's beginning", client{s, manageToken[:len(manageToken)-1]}.do("GET", "/events", nil), 401, []string{"invalid_token"}},
		{"publish with the scope read", s.reader().do("POST", "/events", `{"event_type":"a","payload":{}}`), 403, []string{"publish"}},
		{"read with the scope publish", s.publisher().do("GET", "/events", nil), 403, []string{"read"}},
		{"a secret with the scope read", s.reader().do("GET", "/subscriptions/"+sub+"/secret", nil), 403, []string{"manage"}},
		{"create with the scope publish", s.publisher().do("POST", "/subscriptions", object{}), 403, []string{"manage"}},
		{"deactivate with the scope read", s.reader().do("POST", "/subscriptions/"+sub+"/deactivate", nil), 403, []string{"manage"}},
		{"redeliver with the scope read", s.reader().do("POST", "/deliveries/"+missing+"/redeliver", nil), 403, []string{"manage"}},

		{"an unknown path", s.reader().do("GET", "/nothing", nil), 404, []string{"openapi.json"}},
		{"an unknown event", s.reader().do("GET", "/events/nothing", nil), 404, []string{"nothing", "/events"}},
		{"an unknown subscription", s.reader().do("GET", "/subscriptions/sub_nothing", nil), 404, []string{"sub_nothing", "/subscriptions"}},
		{"an unknown subscription to delete", s.manager().do("DELETE", "/subscriptions/sub_nothing", nil), 404, []string{"sub_nothing"}},
		{"an unknown subscription to activate", s.manager().do("POST", "/subscriptions/sub_nothing/activate", nil), 404, []string{"sub_nothing"}},
		{"an unknown delivery", s.reader().do("GET", "/deliveries/"+missing, nil), 404, []string{missing, "/deliveries"}},
		{"an unknown delivery's attempts", s.reader().do("GET", "/deliveries/"+missing+"/attempts", nil), 404, []string{missing}},
		{"an unknown delivery to redeliver", s.manager().do("POST", "/deliveries/"+missing+"/redeliver", nil), 404, []string{missing}},
		{"an unknown attempt to redeliver", s.manager().do("POST", "/attempts/att_nothing/redeliver", nil), 404, []string{"att_nothing"}},
		{"an unknown dead letter", s.reader().do("GET", "/dead-letters/"+missing, nil), 404, []string{missing}},
		{"a method that isn't taken", s.manager().do("PUT", "/events", `{}`), 405, []string{"GET, POST"}},

		{"an unknown parameter", s.reader().do("GET", "/deliveries?stat=dead", nil), 400, []string{"stat", "state"}},
		{"an unknown state", s.reader().do("GET", "/deliveries?state=lost", nil), 400, []string{"state", "pending, delivered, dead or discarded"}},
		{"a limit that is none", s.reader().do("GET", "/deliveries?limit=0", nil), 400, []string{"limit"}},
		{"a foreign cursor", s.reader().do("GET", "/deliveries?cursor=evt_1", nil), 400, []string{"cursor"}},
		{"a time that is none", s.reader().do("GET", "/deliveries?since=yesterday", nil), 400, []string{"since"}},
		{"bulk redelivery of nothing in particular", s.manager().do("POST", "/dead-letters/redeliver", nil), 422, []string{"all"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.got.t = t
			c.got.problem(c.status, c.words...)
		})
	}
	for _, r := range []string{"X-Evil", large} {
		if strings.Contains(s.log(), r) {
			t.Error("what was refused is in the log")
		}
	}
	if after := s.everything(event1, sub); after != before {
		t.Errorf("what is stored was changed:\nbefore: %s\nafter:  %s", before, after)
	}
	r.forget()
	r.waitID(s.publish(event{Type: "order.created"}))
}

// everything returns what the API shows of the store, as soon as nothing changes it any
// more.
func (s *server) everything(event1, sub string) string {
	s.t.Helper()
	s.settled(event1, sub, "delivered")
	var b strings.Builder
	for _, path := range []string{"/events", "/events/" + event1, "/subscriptions", "/deliveries", "/dead-letters", "/event-types"} {
		b.Write(s.manager().do("GET", path, nil).want(http.StatusOK).body)
	}
	return b.String()
}

// TestBadConfig checks that each config is refused with an error that names the place and
// says what to do, and that the running config stays active.
func TestBadConfig(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local+"\t\tsubscription kept {\n\t\t\turl http://{$RECEIVER}/\n\t\t\tevent_types *\n\t\t}"),
		"RECEIVER=127.0.0.1:9", "TOKEN=t0ken", "EMPTY=", "SECRET=a-secret", "SPACES=a b")
	before := s.adminGet("/config/")

	verify := func(directive string) string {
		return "{" + head + "}\nhttp://:{$PORT} {\n\t" + directive + "\n\trespond ok\n}\n"
	}
	hmac := func(lines ...string) string {
		return verify("webhook_verify hmac {\n\t\t" + strings.Join(append([]string{"secret {env.SECRET}"}, lines...), "\n\t\t") + "\n\t}")
	}
	stripe := func(lines ...string) string {
		return verify("webhook_verify stripe {\n\t\t" + strings.Join(append([]string{"secret {env.SECRET}"}, lines...), "\n\t\t") + "\n\t}")
	}
	api := func(lines ...string) string {
		return "{" + head + "\twebhooks {\n\t\tstore sqlite {$DB}\n\t}\n}\nhttp://:{$PORT} {\n\twebhook_api {\n\t\t" + strings.Join(lines, "\n\t\t") + "\n\t}\n}\n"
	}
	sub := func(lines ...string) string {
		return withOptions(local + "\t\tsubscription crm {\n\t\t\t" + strings.Join(lines, "\n\t\t\t") + "\n\t\t}")
	}
	const url, types = "url https://example.com/", "event_types *"

	for _, c := range []struct {
		name, caddyfile string
		words           []string
	}{
		{"no provider", verify("webhook_verify"), []string{"webhook_verify", "provider", "github"}},
		{"an unknown provider", verify("webhook_verify githup {env.SECRET}"), []string{"webhook_verify githup", "caddy webhooks providers"}},
		{"no secret", verify("webhook_verify github"), []string{"webhook_verify github", "secret"}},
		{"an empty secret", verify(`webhook_verify github ""`), []string{"webhook_verify github", "secret", "empty"}},
		{"a secret from an unset variable", verify("webhook_verify github {env.UNSET}"), []string{"webhook_verify github", "UNSET", "set it"}},
		{"a secret from an empty variable", verify("webhook_verify github {env.EMPTY}"), []string{"webhook_verify github", "EMPTY"}},
		{"a secret from a missing file", verify("webhook_verify github {file./nowhere/secret}"), []string{"webhook_verify github", "/nowhere/secret"}},
		{"a secret from an unknown placeholder", verify("webhook_verify github {nothing.known}"), []string{"webhook_verify github", "placeholder"}},
		{"the second secret is empty", verify("webhook_verify github {env.SECRET} {env.UNSET}"), []string{"webhook_verify github", "secret 2", "UNSET"}},
		{"a secret that can't be decoded", verify("webhook_verify standard-webhooks whsec_!!!"), []string{"webhook_verify standard-webhooks", "secret"}},
		{"a public_url from an unset variable", stripe("public_url https://{env.UNSET}"), []string{"public_url", "UNSET", "set it"}},
		{"an unknown option", stripe("max_bodies 5m"), []string{"max_bodies"}},
		{"an option that is given twice", stripe("tolerance 5m", "tolerance 6m"), []string{"tolerance", "twice"}},
		{"a tolerance that is none", stripe("tolerance soon"), []string{"tolerance", "5m"}},
		{"a max_body that is none", stripe("max_body huge"), []string{"max_body", "1MiB"}},
		{"an unknown replay mode", stripe("replay drop"), []string{"replay", "off, reject or ack"}},
		{"replay without a bound", verify("webhook_verify github {\n\t\tsecret {env.SECRET}\n\t\treplay reject\n\t}"), []string{"webhook_verify github", "replay", "24h"}},
		{"enforce on", stripe("enforce on"), []string{"enforce", "off"}},
		{"a public_url with a path", stripe("public_url https://example.com/hooks"), []string{"webhook_verify stripe", "public_url https", "path"}},
		{"no signature", hmac(), []string{"webhook_verify hmac", "signature"}},
		{"an unknown algorithm", hmac("signature header X-S", "algorithm md5"), []string{"webhook_verify hmac", "algorithm", "sha256"}},
		{"an unknown encoding", hmac("signature header X-S {\n\t\t\tencoding rot13\n\t\t}"), []string{"webhook_verify hmac", "encoding", "hex"}},
		{"content without the body", hmac("signature header X-S", `content "{timestamp}"`, "timestamp header X-T unix"), []string{"webhook_verify hmac", "{body}", "unbound_body"}},
		{"content with an unknown name", hmac("signature header X-S", `content "{nothing}.{body}"`), []string{"webhook_verify hmac", "content", "nothing"}},
		{"content with a time that is nowhere", hmac("signature header X-S", `content "{timestamp}.{body}"`), []string{"webhook_verify hmac", "timestamp"}},

		{"no token", api(), []string{"webhook_api", "token", "auth none"}},
		{"a token from an unset variable", api("token {env.UNSET} manage"), []string{"webhook_api", "token", "UNSET"}},
		{"a token without a scope", api("token {env.TOKEN}"), []string{"token", "scope"}},
		{"an unknown scope", api("token {env.TOKEN} write"), []string{"webhook_api", "unknown scope", "publish, read or manage"}},
		{"a token that can't be sent", api("token {env.SPACES} manage"), []string{"webhook_api", "token", "space"}},
		{"auth none and a token", api("auth none", "token {env.TOKEN} manage"), []string{"webhook_api", "auth none"}},
		{"another auth", api("auth basic"), []string{"webhook_api", "auth none"}},
		{"no event type", "{" + head + "}\nhttp://:{$PORT} {\n\twebhook_publish\n}\n", []string{"webhook_publish", "event type"}},
		{"an unknown option of webhook_publish", "{" + head + "}\nhttp://:{$PORT} {\n\twebhook_publish a {\n\t\ttenent a\n\t}\n}\n", []string{"tenent", "webhook_publish"}},

		{"a second webhooks block", "{" + head + "\twebhooks {\n\t}\n\twebhooks {\n\t}\n}\n", []string{"webhooks", "already"}},
		{"an unknown global option", withOptions("\t\tretries 5"), []string{"retries"}},
		{"a scalar that is given twice", withOptions("\t\ttimeout 5s\n\t\ttimeout 6s"), []string{"timeout", "twice"}},
		{"an unknown store", strings.Replace(withOptions(""), "store sqlite", "store mysql", 1), []string{"store", "sqlite"}},
		{"a store without its type", strings.Replace(withOptions(""), "store sqlite", "store", 1), []string{"store", "sqlite"}},
		{"a store from an unset variable", strings.Replace(withOptions(""), "{$DB}", "{env.UNSET}", 1), []string{"store", "UNSET"}},
		{"an unknown scheme", withOptions("\t\tsign nobody"), []string{"sign", "nobody", "caddy webhooks providers"}},
		{"a token behind its scope", api("token publish t0ken"), []string{"webhook_api", "unknown scope"}},
		{"a token for auth", api("auth t0ken"), []string{"webhook_api", "auth none"}},
		{"a secret for a provider", verify("webhook_verify a-secret"), []string{"webhook_verify", "unknown provider"}},
		{"a delay that is none", withOptions("\t\tretry 5s soon"), []string{"retry", "soon", "5s 5m"}},
		{"no delay", withOptions("\t\tretry"), []string{"retry", "delays"}},
		{"exponential without growth", withOptions("\t\tretry exponential {\n\t\t\tfactor 0.5\n\t\t}"), []string{"factor 0.5", "1 or more"}},
		{"a timeout that is none", withOptions("\t\ttimeout never"), []string{"timeout", "15s"}},
		{"a timeout over the limit", withOptions("\t\ttimeout 30d"), []string{"timeout", "10m"}},
		{"no concurrency", withOptions("\t\tconcurrency 0"), []string{"concurrency"}},
		{"a size that is none", withOptions("\t\tmax_payload big"), []string{"max_payload", "1MiB"}},
		{"an allowed address that is none", withOptions("\t\tegress {\n\t\t\tallow 10.0.0.0/99\n\t\t}"), []string{"egress", "10.0.0.0/99"}},
		{"a proxy that is none", withOptions("\t\tegress {\n\t\t\tproxy ::\n\t\t}"), []string{"proxy"}},
		{"an event type that is none", withOptions("\t\tevent_type \"a b\""), []string{"event_type", "order.created"}},
		{"a subscription without a name", withOptions("\t\tsubscription {\n\t\t\t" + url + "\n\t\t}"), []string{"subscription"}},
		{"a subscription with a wrong name", withOptions("\t\tsubscription a/b {\n\t\t\t" + url + "\n\t\t\t" + types + "\n\t\t}"), []string{"subscription a/b", "name"}},
		{"a subscription without a url", sub(types), []string{"subscription crm", "url"}},
		{"a subscription without event_types", sub(url), []string{"subscription crm", "event_types"}},
		{"a subscription to a denied address", sub("url http://10.0.0.1/", types), []string{"subscription crm", "url", "egress"}},
		{"a subscription with an unset secret", sub(url, types, "secret {env.UNSET}"), []string{"subscription crm", "UNSET"}},
		{"a subscription with a malformed secret", sub(url, types, "secret a-secret"), []string{"subscription crm", "secret", "whsec_ and the base64 of 24 to 64", "openssl"}},
		{"a subscription with a reserved header", sub(url, types, "header Host evil"), []string{"subscription crm", "Host"}},
		{"a subscription with a line break in a header", sub(url, types, "header X-A \"a\nb\""), []string{"subscription crm", "X-A", "line break"}},
		{"a subscription with a wrong rate", sub(url, types, "rate_limit fast"), []string{"rate_limit", "50/s"}},
		{"a subscription with an unknown option", sub(url, types, "retires 5"), []string{"retires"}},
		{"two subscriptions with a name", sub(url, types, "}", "subscription crm {", url, types), []string{"subscription crm", "twice"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.on(t)
			refusal := s.load(c.caddyfile)
			if refusal == "" {
				t.Fatalf("it was loaded:\n%s", c.caddyfile)
			}
			for _, w := range c.words {
				if !strings.Contains(refusal, w) {
					t.Errorf("%q is not in: %s", w, refusal)
				}
			}
			if strings.Contains(refusal, "a-secret") || strings.Contains(refusal, "t0ken") {
				t.Errorf("a secret is in: %s", refusal)
			}
		})
	}
	if after := s.adminGet("/config/"); after != before {
		t.Error("the config that runs was changed")
	}
	s.publish(event{Type: "a"})
	if o := s.reader().get("/subscriptions/sub_kept"); o["active"] != true {
		t.Errorf("the subscription of the config that runs is %v", o)
	}
}
