package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// Each mistake is refused with a status, a code, the field at fault, and a detail that says
// what to do.
func TestRefusals(t *testing.T) {
	s := start(t)
	text := http.Header{"Content-Type": {"text/plain"}}
	for _, c := range []struct {
		name         string
		call         call
		status       int
		code, field  string
		detail       string // a part of it
		header, want string // of the response
	}{
		{"no token", call{method: "GET", path: "/events", token: "-"}, 401, "missing_token", "", "Authorization: Bearer <token>", "WWW-Authenticate", `Bearer realm="webhooks"`},
		{"no token, no such path", call{method: "GET", path: "/nothing", token: "-"}, 401, "missing_token", "", "", "", ""},
		{"wrong token", call{method: "GET", path: "/events", token: "wrong"}, 401, "invalid_token", "", "in its configuration", "WWW-Authenticate", `Bearer realm="webhooks", error="invalid_token"`},
		{"narrow token", call{method: "GET", path: "/events", token: publishToken}, 403, "insufficient_scope", "", "GET /events needs read or manage", "WWW-Authenticate", `Bearer realm="webhooks", error="insufficient_scope", scope="read"`},
		{"no such path", call{method: "GET", path: "/event"}, 404, "no_such_route", "", "GET /openapi.json", "", ""},
		{"posting to the dashboard", call{method: "POST", path: "/", token: "-"}, 401, "missing_token", "", "", "", ""},
		{"wrong method", call{method: "PUT", path: "/events"}, 405, "method_not_allowed", "", "only DELETE, GET, POST", "Allow", "DELETE, GET, POST"},

		{"plain text", call{method: "POST", path: "/events", body: "{}", header: text}, 415, "unsupported_media_type", "", "send it with Content-Type: application/json or application/x-ndjson", "", ""},
		{"multipart", call{method: "POST", path: "/events", body: "{}", header: http.Header{"Content-Type": {"multipart/form-data"}}}, 415, "unsupported_media_type", "", "send it with Content-Type: application/json", "", ""},
		{"charset", call{method: "POST", path: "/events", body: "{}", header: http.Header{"Content-Type": {"application/json; charset=latin1"}}}, 415, "unsupported_media_type", "", "JSON is UTF-8", "", ""},
		{"compressed", call{method: "POST", path: "/events", body: "{}", header: http.Header{"Content-Encoding": {"gzip"}}}, 415, "unsupported_media_type", "", "send it without one", "", ""},
		{"text subscription", call{method: "POST", path: "/subscriptions", body: "{}", header: text}, 415, "unsupported_media_type", "", "application/json", "", ""},
		{"text filter", call{method: "POST", path: "/dead-letters/redeliver", body: "{}", header: text}, 415, "unsupported_media_type", "", "application/json", "", ""},

		{"empty event", call{method: "POST", path: "/events", header: http.Header{"Content-Type": {"application/json"}}}, 400, "invalid_json", "", "the body is empty", "", ""},
		{"broken event", call{method: "POST", path: "/events", body: `{"event_type":"a",}`}, 400, "invalid_json", "", "line 1, column 19 (byte 18)", "", ""},
		{"list of events", call{method: "POST", path: "/events", body: ` [{"event_type":"a","payload":1}]`}, 400, "invalid_json", "", "or several with Content-Type: application/x-ndjson, each an object on a line of its own", "", ""},
		{"two events", call{method: "POST", path: "/events", body: "{\"event_type\":\"a\",\"payload\":1}\n{}"}, 400, "invalid_json", "", "line 2, column 1 (byte 31): expected the end", "", ""},
		{"not UTF-8", call{method: "POST", path: "/events", body: "{\"event_type\":\"a\",\"payload\":\"\xff\"}"}, 400, "invalid_json", "", "not UTF-8", "", ""},
		{"tenant in the query", call{method: "POST", path: "/events?tenant=acme", body: `{"event_type":"a","payload":1}`}, 400, "invalid_parameter", "tenant", "remove it", "", ""},
		{"no event_type", call{method: "POST", path: "/events", body: `{"payload":1}`}, 422, "missing_field", "event_type", `is missing: name what happened, as in "order.created"`, "", ""},
		{"bad event_type", call{method: "POST", path: "/events", body: `{"event_type":"order created","payload":1}`}, 422, "invalid_field", "event_type", "joined by dots", "", ""},
		{"header in event_type", call{method: "POST", path: "/events", body: `{"event_type":"a\r\nX: y","payload":1}`}, 422, "invalid_field", "event_type", "joined by dots", "", ""},
		{"bad event_id", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"event_id":"a.b"}`}, 422, "invalid_field", "event_id", "leave it out to have one generated", "", ""},
		{"header in event_id", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"event_id":"a\r\nb"}`}, 422, "invalid_field", "event_id", "", "", ""},
		{"bad tenant", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"tenant":"a b"}`}, 422, "invalid_field", "tenant", "may only have", "", ""},
		{"event's headers a list", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"headers":["X-A: 1"]}`}, 422, "invalid_field", "headers", "must be an object", "", ""},
		{"event's header a number", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"headers":{"X-A":1}}`}, 422, "invalid_field", "headers", "put it in double quotes", "", ""},
		{"event's header twice", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"headers":{"X-A":"a","x-a":"b"}}`}, 422, "repeated_field", "headers", `"x-a" twice`, "", ""},
		{"event's header's value", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"headers":{"X-A":"a\r\nX-B: b"}}`}, 422, "invalid_field", "headers", "line break", "", ""},
		{"event's reserved header", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"headers":{"Webhook_ID":"a"}}`}, 422, "invalid_field", "headers", "it belongs to the signature", "", ""},
		{"event's trace", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"headers":{"TraceParent":"a"}}`}, 422, "invalid_field", "headers", "the delivery's own trace", "", ""},
		{"event's content type", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"headers":{"content-type":"text/plain"}}`}, 422, "invalid_field", "headers", "it comes with the event", "", ""},
		{"event's many headers", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"headers":{` + manyHeaders(33) + `}}`}, 422, "invalid_field", "headers", "at most 32", "", ""},
		{"event's endless headers", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"headers":{` + manyHeaders(10_000) + `}}`}, 422, "invalid_field", "headers", "too many entries", "", ""},
		{"no payload", call{method: "POST", path: "/events", body: `{"event_type":"a"}`}, 422, "missing_field", "payload", "any JSON value", "", ""},
		{"unknown field", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"idempotency_key":"x"}`}, 422, "unknown_field", "idempotency_key", "use event_type, payload, event_id, tenant, headers", "", ""},
		{"field twice", call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1,"event_type":"b"}`}, 422, "repeated_field", "event_type", "keep one", "", ""},

		{"no url", call{method: "POST", path: "/subscriptions", body: `{"event_types":["*"]}`}, 422, "missing_field", "url", "https://example.com/hooks", "", ""},
		{"url null", call{method: "POST", path: "/subscriptions", body: `{"url":null,"event_types":["*"]}`}, 422, "missing_field", "url", "", "", ""},
		{"bad url", call{method: "POST", path: "/subscriptions", body: `{"url":"ftp://example.com","event_types":["*"]}`}, 422, "invalid_field", "url", "must begin with https://", "", ""},
		{"header in url", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com/\r\nX: y","event_types":["*"]}`}, 422, "invalid_field", "url", "", "", ""},
		{"private address", call{method: "POST", path: "/subscriptions", body: `{"url":"http://10.0.0.1/","event_types":["*"]}`}, 422, "invalid_field", "url", "egress { allow", "", ""},
		{"metadata address", call{method: "POST", path: "/subscriptions", body: `{"url":"http://[::ffff:169.254.169.254]/","event_types":["*"]}`}, 422, "invalid_field", "url", "not allowed", "", ""},
		{"empty tenant", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"tenant":""}`}, 422, "invalid_field", "tenant", "leave it out", "", ""},
		{"no event_types", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com"}`}, 422, "missing_field", "event_types", "or * for all", "", ""},
		{"bad pattern", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["order*"]}`}, 422, "invalid_field", "event_types", `"order*"`, "", ""},
		{"many event_types", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["a"` + strings.Repeat(`,"a"`, 1000) + `]}`}, 422, "invalid_field", "event_types", "more than 1000", "", ""},
		{"event_types a text", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":"*"}`}, 422, "invalid_field", "event_types", "must be a list of strings", "", ""},
		{"event_types with null", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["a",null]}`}, 422, "invalid_field", "event_types", "has a null in it", "", ""},
		{"header's value", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"headers":{"X-A":"a\r\nX-B: b"}}`}, 422, "invalid_field", "headers", "line break", "", ""},
		{"header's name", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"headers":{"X A":"a"}}`}, 422, "invalid_field", "headers", "its name may have", "", ""},
		{"reserved header", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"headers":{"Webhook-Id":"a"}}`}, 422, "invalid_field", "headers", "it belongs to the signature", "", ""},
		{"header of the scheme", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"scheme":"github","headers":{"x-hub-signature-256":"a"}}`}, 422, "invalid_field", "headers", `"x-hub-signature-256" cannot be set, because it belongs to the signature of github`, "", ""},
		{"event type's header", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"scheme":"github","headers":{"X-GitHub-Event":"a"}}`}, 422, "invalid_field", "headers", "X-GitHub-Event", "", ""},
		{"header of the second scheme", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"scheme":"standard-webhooks github","headers":{"X-GitHub-Event":"a"}}`}, 422, "invalid_field", "headers", `"X-GitHub-Event" cannot be set, because it belongs to the signature of github`, "", ""},
		{"schemes with one header", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"scheme":"standard-webhooks gitlab"}`}, 422, "invalid_field", "scheme", "both set the header Webhook-Signature; leave one out", "", ""},
		{"a key for one scheme", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"scheme":"standard-webhooks github","secret":"hunter2!"}`}, 422, "invalid_field", "secret", "signing as standard-webhooks: secret 1 of 1: it is not whsec_ and base64", "", ""},
		{"schemes as a list", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"scheme":["standard-webhooks","github"]}`}, 422, "invalid_field", "scheme", "must be a string", "", ""},
		{"Stripe's header", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"scheme":"stripe","headers":{"Stripe-Signature":"a"}}`}, 422, "invalid_field", "headers", "Stripe-Signature", "", ""},
		{"header twice", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"headers":{"X-A":"a","x-a":"b"}}`}, 422, "repeated_field", "headers", `"x-a" twice`, "", ""},
		{"header a number", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"headers":{"X-A":1}}`}, 422, "invalid_field", "headers", "put it in double quotes", "", ""},
		{"headers a list", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"headers":["X-A: 1"]}`}, 422, "invalid_field", "headers", "must be an object", "", ""},
		{"no filter", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"filter":"paylod.total > 1"}`}, 422, "invalid_field", "filter", "undeclared reference to 'paylod'", "", ""},
		{"a filter that is no text", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"filter":1}`}, 422, "invalid_field", "filter", "must be a string", "", ""},
		{"no transform", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"transform":"{\"text\": }"}`}, 422, "invalid_field", "transform", "1:10: Syntax error", "", ""},
		{"rate's form", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"rate_limit":"50"}`}, 422, "invalid_field", "rate_limit", `write one as in "50/s"`, "", ""},
		{"negative rate", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"rate_limit":-1}`}, 422, "invalid_field", "rate_limit", "0 for no limit", "", ""},
		{"rate out of range", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"rate_limit":1e999}`}, 422, "invalid_field", "rate_limit", "", "", ""},
		{"low rate", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"rate_limit":1e-9}`}, 422, "invalid_field", "rate_limit", "at least one a day", "", ""},
		{"high rate", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"rate_limit":100001}`}, 422, "invalid_field", "rate_limit", "at most 100000 a second", "", ""},
		{"rate a list", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"rate_limit":[]}`}, 422, "invalid_field", "rate_limit", `as in "50/s"`, "", ""},
		{"timeout's form", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"timeout":"30"}`}, 422, "invalid_field", "timeout", `"30", which is not a positive duration: write one as in "30s"`, "", ""},
		{"timeout a number", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"timeout":30}`}, 422, "invalid_field", "timeout", "must be a string", "", ""},
		{"negative timeout", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"timeout":"-30s"}`}, 422, "invalid_field", "timeout", "is not a positive duration", "", ""},
		{"long timeout", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"timeout":"11m"}`}, 422, "invalid_field", "timeout", "at most 10m", "", ""},
		{"retry a text", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"retry":"5s"}`}, 422, "invalid_field", "retry", `as in ["5s", "5m", "2h"]`, "", ""},
		{"retry with null", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"retry":[null]}`}, 422, "invalid_field", "retry", "a delay must be over 0", "", ""},
		{"a long delay", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"retry":["8d"]}`}, 422, "invalid_field", "retry", "at most 168h, not 192h", "", ""},
		{"metadata a list", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"metadata":["a"]}`}, 422, "invalid_field", "metadata", `{"customer": "42"}`, "", ""},
		{"metadata twice", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"metadata":{"a":"1","\u0061":"2"}}`}, 422, "repeated_field", "metadata", `"a" twice`, "", ""},
		{"metadata without a name", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"metadata":{"":"a"}}`}, 422, "invalid_field", "metadata", "without a name", "", ""},
		{"much metadata", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"metadata":{"a":"` + strings.Repeat("x", 4096) + `"}}`}, 422, "invalid_field", "metadata", "4 KiB", "", ""},
		{"many entries of metadata", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"metadata":{` + manyHeaders(51) + `}}`}, 422, "invalid_field", "metadata", "50 entries at most", "", ""},
		{"ordered a text", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"ordered":"yes"}`}, 422, "invalid_field", "ordered", "true or false", "", ""},
		{"scheme", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"scheme":"rot13"}`}, 422, "invalid_field", "scheme", "caddy webhooks providers", "", ""},
		{"empty secret", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"secret":""}`}, 422, "invalid_field", "secret", "leave it out to have one generated", "", ""},
		{"bad secret", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"secret":"whsec_!hunter2"}`}, 422, "invalid_field", "", "", "", ""},
		{"disable_after", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"disable_after":5}`}, 422, "unknown_field", "disable_after", "", "", ""},
		{"broken subscription", call{method: "POST", path: "/subscriptions", body: `{"url":`}, 400, "invalid_json", "", "byte 7", "", ""},
		{"large subscription", call{method: "POST", path: "/subscriptions", body: `{"url":"` + strings.Repeat("x", 300_000) + `"}`}, 413, "too_large", "", "256 KiB", "", ""},

		{"no such event", call{method: "GET", path: "/events/evt_1"}, 404, "not_found", "", `no event "evt_1"`, "", ""},
		{"no such subscription", call{method: "GET", path: "/subscriptions/sub_1"}, 404, "not_found", "", `no subscription "sub_1": see GET /subscriptions`, "", ""},
		{"no such subscription's secret", call{method: "GET", path: "/subscriptions/sub_1/secret"}, 404, "not_found", "", "", "", ""},
		{"changing a secret", call{method: "PATCH", path: "/subscriptions/sub_1", body: `{"secret":"x"}`}, 422, "unknown_field", "secret", "POST /subscriptions/{id}/rotate-secret", "", ""},
		{"changing none", call{method: "PATCH", path: "/subscriptions/sub_1", body: "{}"}, 404, "not_found", "", "", "", ""},
		{"deleting none", call{method: "DELETE", path: "/subscriptions/sub_1"}, 404, "not_found", "", "", "", ""},
		{"rotating none", call{method: "POST", path: "/subscriptions/sub_1/rotate-secret"}, 404, "not_found", "", "", "", ""},
		{"deactivating none", call{method: "POST", path: "/subscriptions/sub_1/deactivate"}, 404, "not_found", "", "", "", ""},
		{"long reason", call{method: "POST", path: "/subscriptions/sub_1/deactivate", body: `{"reason":"` + strings.Repeat("é", 501) + `"}`}, 422, "invalid_field", "reason", "500 characters", "", ""},
		{"activating none", call{method: "POST", path: "/subscriptions/sub_1/activate"}, 404, "not_found", "", "", "", ""},
		{"testing none", call{method: "POST", path: "/subscriptions/sub_1/test"}, 404, "not_found", "", "", "", ""},
		{"no such delivery", call{method: "GET", path: "/deliveries/dlv_0000000000000001"}, 404, "not_found", "", `no delivery "dlv_0000000000000001": see GET /deliveries`, "", ""},
		{"id of another kind", call{method: "GET", path: "/deliveries/evt_0000000000000001"}, 404, "not_found", "", "", "", ""},
		{"no such delivery's attempts", call{method: "GET", path: "/deliveries/dlv_0000000000000001/attempts"}, 404, "not_found", "", "", "", ""},
		{"redelivering none", call{method: "POST", path: "/deliveries/dlv_0000000000000001/redeliver"}, 404, "not_found", "", "no delivery", "", ""},
		{"redelivering no attempt", call{method: "POST", path: "/attempts/att_0000000000000001/redeliver"}, 404, "not_found", "", "no attempt", "", ""},
		{"no such dead letter", call{method: "GET", path: "/dead-letters/dlv_0000000000000001"}, 404, "not_found", "", "no dead letter", "", ""},
		{"redelivering no dead letter", call{method: "POST", path: "/dead-letters/dlv_0000000000000001/redeliver"}, 404, "not_found", "", "", "", ""},
		{"no such event type", call{method: "GET", path: "/event-types/a"}, 404, "not_found", "", `no event type "a"`, "", ""},
		{"deleting no event type", call{method: "DELETE", path: "/event-types/a"}, 404, "not_found", "", "", "", ""},
		{"event type's name", call{method: "PUT", path: "/event-types/a%20b", body: "{}"}, 422, "invalid_field", "event_type", "joined by dots", "", ""},
		{"event type's schema", call{method: "PUT", path: "/event-types/a", body: `{"schema":{"type":"objekt"}}`}, 422, "invalid_field", "schema", "is not a JSON Schema: /type must be one of", "", ""},
		{"schema that is none", call{method: "PUT", path: "/event-types/a", body: `{"schema":[]}`}, 422, "invalid_field", "schema", "is not a JSON Schema", "", ""},
		{"schema that loads another", call{method: "PUT", path: "/event-types/a", body: `{"schema":{"$ref":"file:///etc/passwd"}}`}, 422, "invalid_field", "schema", "put what it needs under its own $defs", "", ""},
		{"schema of a draft of its own", call{method: "PUT", path: "/event-types/a", body: `{"schema":{"$schema":"https://example.com/draft"}}`}, 422, "invalid_field", "schema", "another document", "", ""},
		{"event type's unknown field", call{method: "PUT", path: "/event-types/a", body: `{"sceema":{}}`}, 422, "unknown_field", "sceema", "use description", "", ""},

		{"limit 0", call{method: "GET", path: "/events?limit=0"}, 400, "invalid_parameter", "limit", "from 1 to 200", "", ""},
		{"limit 201", call{method: "GET", path: "/subscriptions?limit=201"}, 400, "invalid_parameter", "limit", "from 1 to 200", "", ""},
		{"limit with a sign", call{method: "GET", path: "/events?limit=%2B5"}, 400, "invalid_parameter", "limit", "from 1 to 200", "", ""},
		{"long description", call{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"],"description":"` + strings.Repeat("é", 1025) + `"}`}, 422, "invalid_field", "description", "1024 characters", "", ""},
		{"limit a word", call{method: "GET", path: "/event-types?limit=all"}, 400, "invalid_parameter", "limit", "from 1 to 200", "", ""},
		{"cursor of another list", call{method: "GET", path: "/events?cursor=dlv_0000000000000001"}, 400, "invalid_parameter", "cursor", "use the next_cursor", "", ""},
		{"cursor made up", call{method: "GET", path: "/subscriptions?cursor=1"}, 400, "invalid_parameter", "cursor", "use the next_cursor", "", ""},
		{"cursor of event types", call{method: "GET", path: "/event-types?cursor=a*"}, 400, "invalid_parameter", "cursor", "use the next_cursor", "", ""},
		{"unknown parameter", call{method: "GET", path: "/deliveries?sort=asc"}, 400, "invalid_parameter", "sort", "use limit, cursor, state, event_id", "", ""},
		{"parameter where there is none", call{method: "GET", path: "/status?x=1"}, 400, "invalid_parameter", "x", "remove it", "", ""},
		{"parameter twice", call{method: "GET", path: "/deliveries?state=dead&state=pending"}, 400, "invalid_parameter", "state", "keep one", "", ""},
		{"unreadable query", call{method: "GET", path: "/deliveries?tenant=100%"}, 400, "invalid_parameter", "", "%25", "", ""},
		{"empty filter", call{method: "GET", path: "/deliveries?tenant="}, 400, "invalid_parameter", "tenant", "leave it out", "", ""},
		{"state", call{method: "GET", path: "/deliveries?state=failed"}, 400, "invalid_parameter", "state", "pending, delivered, dead or discarded", "", ""},
		{"since", call{method: "GET", path: "/deliveries?since=yesterday"}, 400, "invalid_parameter", "since", "2026-01-31T15:04:05Z", "", ""},
		{"until with a plus", call{method: "GET", path: "/deliveries?until=2026-01-31T15:04:05+02:00"}, 400, "invalid_parameter", "until", "%2B", "", ""},
		{"subscription filter", call{method: "GET", path: "/deliveries?subscription_id=crm"}, 400, "invalid_parameter", "subscription_id", "begins with sub_", "", ""},
		{"event_type filter", call{method: "GET", path: "/deliveries?event_type=order*"}, 400, "invalid_parameter", "event_type", "order.*", "", ""},
		{"payload", call{method: "GET", path: "/dead-letters?payload=yes"}, 400, "invalid_parameter", "payload", "true or false", "", ""},
		{"limit of a stream", call{method: "GET", path: "/dead-letters?limit=5", header: accept}, 400, "invalid_parameter", "limit", "remove it", "", ""},

		{"redelivering whatever", call{method: "POST", path: "/dead-letters/redeliver"}, 422, "invalid_field", "all", `{"all": true}`, "", ""},
		{"redelivering whatever, said so", call{method: "POST", path: "/dead-letters/redeliver", body: `{"all":false}`}, 422, "invalid_field", "all", `{"all": true}`, "", ""},
		{"all and some", call{method: "POST", path: "/dead-letters/redeliver", body: `{"all":true,"tenant":"a"}`}, 422, "invalid_field", "all", "nothing else", "", ""},
		{"all and some in the query", call{method: "POST", path: "/dead-letters/redeliver?all=true&tenant=a"}, 400, "invalid_parameter", "all", "nothing else", "", ""},
		{"filters in both places", call{method: "POST", path: "/dead-letters/redeliver?tenant=a", body: `{"tenant":"a"}`}, 400, "invalid_parameter", "", "in one of them", "", ""},
		{"bulk state", call{method: "POST", path: "/dead-letters/redeliver", body: `{"state":"dead"}`}, 422, "unknown_field", "state", "use event_id", "", ""},
		{"replaying whatever", call{method: "POST", path: "/subscriptions/sub_x/replay", body: `{"event_type":"a"}`}, 422, "missing_field", "since", "by event_id", "", ""},
		{"replaying since", call{method: "POST", path: "/subscriptions/sub_x/replay", body: `{"since":"1h"}`}, 422, "invalid_field", "since", "2026-01-31T15:04:05Z", "", ""},
		{"replaying a tenant's", call{method: "POST", path: "/subscriptions/sub_x/replay", body: `{"tenant":"a"}`}, 422, "unknown_field", "tenant", "use event_id", "", ""},
		{"a filter that is none", call{method: "GET", path: "/events?filter=payload.customer+%3D"}, 400, "invalid_parameter", "filter", "CEL expression", "", ""},
		{"an empty filter", call{method: "GET", path: "/events?filter="}, 400, "invalid_parameter", "filter", "leave it out", "", ""},
		{"a filter of deliveries", call{method: "GET", path: "/deliveries?filter=true"}, 400, "invalid_parameter", "filter", "use limit", "", ""},
		{"redelivering all that was delivered", call{method: "POST", path: "/deliveries/redeliver", body: `{"subscription_id":"sub_x"}`}, 422, "missing_field", "since", "redeliver events", "", ""},
		{"redelivering by a parameter", call{method: "POST", path: "/deliveries/redeliver?since=2026-01-31T15:04:05Z"}, 400, "invalid_parameter", "since", "remove it", "", ""},
		{"redelivering what is in a state", call{method: "POST", path: "/deliveries/redeliver", body: `{"state":"dead"}`}, 422, "unknown_field", "state", "use event_id", "", ""},
		{"class", call{method: "GET", path: "/dead-letters?class=dnss"}, 400, "invalid_parameter", "class", "one of dns, connect", "", ""},
		{"class of deliveries", call{method: "GET", path: "/deliveries?class=dns"}, 400, "invalid_parameter", "class", "ask /dead-letters", "", ""},
		{"status", call{method: "GET", path: "/dead-letters?status=5xx"}, 400, "invalid_parameter", "status", "from 100 to 599", "", ""},
		{"status with a leading zero", call{method: "GET", path: "/dead-letters?status=0404"}, 400, "invalid_parameter", "status", "from 100 to 599", "", ""},
		{"status as text", call{method: "POST", path: "/dead-letters/redeliver", body: `{"status":"503"}`}, 422, "invalid_field", "status", "from 100 to 599", "", ""},
		{"failed_since", call{method: "GET", path: "/dead-letters?failed_since=1h"}, 400, "invalid_parameter", "failed_since", "2026-01-31T15:04:05Z", "", ""},
		{"empty failed_until", call{method: "GET", path: "/dead-letters?failed_until="}, 400, "invalid_parameter", "failed_until", "leave it out", "", ""},
		{"bulk failed_until", call{method: "POST", path: "/dead-letters/redeliver", body: `{"failed_until":"1h"}`}, 422, "invalid_field", "failed_until", "2026-01-31T15:04:05Z", "", ""},
		{"failed_since after failed_until", call{method: "GET", path: "/dead-letters?failed_since=2026-01-31T15:04:05Z&failed_until=2026-01-31T14:04:05Z"}, 400, "invalid_parameter", "failed_since", "failed_since must be before failed_until", "", ""},
		{"failed_since of deliveries", call{method: "GET", path: "/deliveries?failed_since=2026-01-31T15:04:05Z"}, 400, "invalid_parameter", "failed_since", "ask /dead-letters", "", ""},
		{"failed_until of events", call{method: "GET", path: "/events?failed_until=2026-01-31T15:04:05Z"}, 400, "invalid_parameter", "failed_until", "ask /dead-letters", "", ""},
		{"failed_since where there are no parameters", call{method: "GET", path: "/status?failed_since=2026-01-31T15:04:05Z"}, 400, "invalid_parameter", "failed_since", "ask /dead-letters", "", ""},
		{"since after until", call{method: "GET", path: "/deliveries?since=2026-01-31T15:04:05Z&until=2026-01-31T14:04:05Z"}, 400, "invalid_parameter", "since", "since must be before until", "", ""},
		{"bulk since after until", call{method: "POST", path: "/dead-letters/redeliver", body: `{"since":"2026-01-31T15:04:05Z","until":"2026-01-31T15:04:05Z"}`}, 422, "invalid_field", "since", "since must be before until", "", ""},
		{"bulk since", call{method: "POST", path: "/dead-letters/redeliver", body: `{"since":"yesterday"}`}, 422, "invalid_field", "since", "2026-01-31", "", ""},
		{"bulk number", call{method: "POST", path: "/dead-letters/redeliver", body: `{"since":1}`}, 422, "invalid_field", "since", "double quotes", "", ""},
		{"a body where none is needed", call{method: "POST", path: "/subscriptions/sub_1/activate", body: `{"force":true}`}, 422, "unknown_field", "force", "remove it", "", ""},
		{"a body of what is to be deleted", call{method: "DELETE", path: "/subscriptions/sub_1", body: `{"all":true}`}, 422, "unknown_field", "all", "remove it", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do(c.call)
			p := a.refused(t, c.status, c.code)
			if a.Header.Get("Content-Type") != "application/problem+json" || p["type"] != "urn:caddy-webhooks:problem:"+c.code || fmt.Sprint(p["status"]) != fmt.Sprint(c.status) {
				t.Errorf("%s: %s", a.Header, a.body)
			}
			if c.field != "" && p["field"] != c.field {
				t.Errorf("got field %v, want %s", p["field"], c.field)
			}
			if !strings.Contains(p.text("detail"), c.detail) || strings.Contains(p.text("detail"), "hunter2") {
				t.Errorf("got detail %s", p["detail"])
			}
			if c.header != "" && a.Header.Get(c.header) != c.want {
				t.Errorf("%s: %q, want %q", c.header, a.Header.Get(c.header), c.want)
			}
		})
	}
	for _, list := range []string{"/events", "/subscriptions", "/deliveries", "/event-types"} {
		if rows := s.get(list).want(t, 200).rows(); len(rows) != 0 {
			t.Errorf("%s was changed: %v", list, rows)
		}
	}
	if strings.Contains(s.log.String(), "level=ERROR") {
		t.Errorf("mistakes of callers were logged as errors:\n%s", s.log)
	}
}

func manyHeaders(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"X-%d":""`, i)
	}
	return strings.Join(members, ",")
}

// Each route is allowed with tokens of its scope only.
func TestEveryRouteAsksForItsScope(t *testing.T) {
	s := start(t)
	s.follow()() // so that tails end at once
	for path, operations := range s.contract.paths {
		for method, op := range operations {
			scope := op.(map[string]any)["x-scope"]
			for token, allowed := range map[string]bool{
				"-": false, "wrong": false, manageToken: true,
				publishToken: scope == "publish" || scope == "any",
				readToken:    scope == "read" || scope == "any",
			} {
				a := s.do(call{method: strings.ToUpper(method), path: parameter.ReplaceAllString(path, "x"), token: token})
				want := "403"
				if token == "-" || token == "wrong" {
					want = "401"
				}
				if got := a.StatusCode == 401 || a.StatusCode == 403; got == allowed || got && fmt.Sprint(a.StatusCode) != want {
					t.Errorf("%s %s with %s: %d", method, path, token, a.StatusCode)
				}
			}
		}
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	s := start(t)
	a := s.do(call{method: "HEAD", path: "/status"})
	if a.StatusCode != 200 || len(a.body) > 0 || a.ContentLength <= 0 {
		t.Errorf("%d, %d bytes of %d", a.StatusCode, len(a.body), a.ContentLength)
	}
	if a := s.do(call{method: "HEAD", path: "/status", token: publishToken}); a.StatusCode != 403 {
		t.Errorf("%d", a.StatusCode)
	}
}

func TestWithoutAnEngine(t *testing.T) {
	h := open(t, func() *outbound.Engine { return nil })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/status", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") != "2" || !strings.Contains(w.Body.String(), "not running") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// A tenant that publishes too fast is refused, with the time to wait.
func TestTenantRate(t *testing.T) {
	s := start(t, func(s *outbound.Settings) { s.TenantRate = 1. / 3600 })
	const event = `{"event_type":"a","tenant":"acme","payload":1}`
	began := time.Now()
	s.post("/events", event).want(t, 202)
	a := s.post("/events", event)
	least := 3600 - int(time.Since(began)/time.Second) - 1
	a.refused(t, 429, "rate_limited")
	if wait, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || wait < least || wait > 3600 || !strings.Contains(string(a.body), "1/h") {
		t.Errorf("%v %s", a.Header, a.body)
	}
	s.post("/events", `{"event_type":"a","tenant":"other","payload":1}`).want(t, 202)
	answers := s.publishLines(event + "\n" + `{"event_type":"a","payload":1}` + "\n")
	if len(answers) != 2 || answers[0].text("code") != "rate_limited" || answers[1].text("event_id") == "" {
		t.Errorf("%v", answers)
	}
}

// A body is accepted if its content type is JSON in UTF-8, or if there is none.
func TestContentTypesOfBodies(t *testing.T) {
	s := start(t)
	for _, header := range []http.Header{
		{"Content-Type": {"application/json; charset=utf-8"}},
		{"Content-Type": {"Application/JSON;charset=UTF-8"}},
		{"Content-Type": {"application/x-www-form-urlencoded"}}, // the default of curl -d
		{"Content-Type": nil},
		{"Content-Encoding": {"Identity"}},
	} {
		a := s.do(call{method: "POST", path: "/events", body: `{"event_type":"a","payload":1}`, header: header})
		if a.StatusCode != 202 {
			t.Errorf("%v: %d %s", header, a.StatusCode, a.body)
		}
	}
}

// A body that stalls for too long is refused, and the rest of it isn't taken for the next
// request.
func TestABodyThatStalls(t *testing.T) {
	s := start(t)
	impatient := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now())
		s.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(impatient.Close)
	conn := must.Get(net.Dial("tcp", impatient.Listener.Addr().String()))(t)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(must.Patience))
	fmt.Fprintf(conn, "POST %s/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", prefix, publishToken)
	resp := must.Get(http.ReadResponse(bufio.NewReader(conn), nil))(t)
	defer resp.Body.Close()
	body := must.Get(io.ReadAll(resp.Body))(t)
	if p := parse(t, body); resp.StatusCode != 408 || p.text("code") != "body_too_slow" || !resp.Close {
		t.Errorf("got %s, closed %v: %s", resp.Status, resp.Close, body)
	}
}

// With a closed store, requests get 503. The error itself is only in the log.
func TestWithoutAStore(t *testing.T) {
	s := start(t)
	s.closeStore()
	for _, c := range []call{
		{method: "POST", path: "/events", body: `{"event_type":"a","payload":1}`},
		{method: "GET", path: "/events"},
		{method: "GET", path: "/status"},
		{method: "GET", path: "/dead-letters", header: accept},
		{method: "POST", path: "/subscriptions", body: `{"url":"https://example.com","event_types":["*"]}`},
		{method: "PUT", path: "/event-types/a", body: `{}`},
		{method: "POST", path: "/dead-letters/redeliver", body: `{"all":true}`},
	} {
		a := s.do(c)
		a.refused(t, 503, "unavailable")
		if a.Header.Get("Retry-After") != "1" || strings.Contains(string(a.body), "closed") {
			t.Errorf("%s %s: %v %s", c.method, c.path, a.Header, a.body)
		}
	}
	if !strings.Contains(s.log.String(), "it is closed") {
		t.Errorf("the error isn't in the log:\n%s", s.log)
	}
	answers := s.publishLines("{\"event_type\":\"a\",\"payload\":1}\n{\"event_type\":\"a\",\"payload\":2}\n")
	if len(answers) != 2 || answers[1].text("code") != "unavailable" {
		t.Errorf("%v", answers)
	}
}

func TestWithoutAnEngineToAskFor(t *testing.T) {
	if _, err := api.New(api.Config{NoAuth: true}); err == nil || !strings.Contains(err.Error(), "no engine") {
		t.Errorf("%v", err)
	}
}
