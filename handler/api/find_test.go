package api_test

import (
	"net/url"
	"strings"
	"testing"
)

// Events are found by a filter on their contents, in pages, and only those that the caller
// may see.
func TestFindEvents(t *testing.T) {
	s := start(t)
	for _, e := range []string{
		`"event_id":"one","event_type":"order.created","payload":{"customer":"cus_7","total":5}`,
		`"event_id":"two","event_type":"order.created","payload":{"customer":"cus_8"}`,
		`"event_id":"three","event_type":"order.paid","payload":{"customer":"cus_7","total":"much"}`,
		`"event_id":"four","event_type":"note","payload":"cus_7"`,
		`"event_id":"five","event_type":"order.created","tenant":"acme","payload":{"customer":"cus_7"}`,
	} {
		s.post("/events", "{"+e+"}").want(t, 202)
	}
	const customer = `payload.customer == "cus_7"`
	for _, c := range []struct {
		s            *server
		query, found string
	}{
		{s, "filter=" + url.QueryEscape(customer), "five three one"},
		{s, "event_type=order.created&filter=" + url.QueryEscape(customer), "five one"},
		{s, "tenant=acme&filter=" + url.QueryEscape(customer), "five"},
		{s, "filter=" + url.QueryEscape("payload.total > 1"), "one"},
		{s, "filter=" + url.QueryEscape(`payload == "cus_7" || event_id == "two"`), "four two"},
		{s, "until=2020-01-01T00:00:00Z&filter=true", ""},
		{s.of("acme"), "filter=true", "five"},
		{s.of("rival"), "filter=true", ""},
	} {
		for _, limit := range []string{"", "&limit=1", "&limit=2"} {
			var found []string
			for _, e := range c.s.pages("/events?" + c.query + limit) {
				found = append(found, e.text("event_id"))
			}
			if got := strings.Join(found, " "); got != c.found {
				t.Errorf("%s%s: found %q, want %q", c.query, limit, got, c.found)
			}
		}
	}
}
