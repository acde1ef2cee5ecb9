package verify_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// standardHeaders returns the headers of Standard Webhooks with a prefix, signed with
// the key "secret".
func standardHeaders(prefix string) []string {
	return []string{
		prefix + "id", "msg_1", prefix + "timestamp", unixNow,
		prefix + "signature", "v1," + sha256b64("secret", "msg_1."+unixNow+"."+testBody),
	}
}

// Svix's row accepts both prefixes, as its libraries do.
func TestHeaderPrefixes(t *testing.T) {
	svix := provider(t, "svix", "whsec_c2VjcmV0")
	request := func(lists ...[]string) *http.Request {
		var all []string
		for _, list := range lists {
			all = append(all, list...)
		}
		return post(in, all...)
	}
	for _, prefix := range []string{"svix-", "webhook-"} {
		if m := accept(t, svix, request(standardHeaders(prefix)), testBody); m.Provider != "svix" || m.ID != "msg_1" || !m.Signed.Timestamp {
			t.Errorf("prefix %s: message %+v", prefix, m)
		}
	}
	forged := standardHeaders("svix-")
	forged[5] = "v1," + sha256b64("other", "")
	refuse(t, svix, request(forged, standardHeaders("webhook-")), testBody, verify.ReasonBadSignature)
	refuse(t, svix, request(standardHeaders("svix-")[:4], standardHeaders("webhook-")[4:]), testBody, verify.ReasonMissingTimestamp)
	refuse(t, svix, request(standardHeaders("other-")), testBody, verify.ReasonMissingSignature)
	refuse(t, svix, request(), testBody, verify.ReasonMissingSignature)
	refuse(t, provider(t, "standard", "whsec_c2VjcmV0"), request(standardHeaders("svix-")), testBody, verify.ReasonMissingSignature)

	row, _ := verify.Lookup("svix")
	named := row.Merge(verify.Scheme{Signature: verify.Signature{Name: "X-Own-Signature"}})
	refuse(t, verifierOf(t, named, "whsec_c2VjcmV0"), request(standardHeaders("webhook-")), testBody, verify.ReasonMissingSignature)
}

// Shopify's Events have the headers of its webhooks without X-.
func TestShopifyEvents(t *testing.T) {
	signature := sha256b64("secret", testBody)
	m := accept(t, provider(t, "shopify", "secret"), post(in, "Shopify-Hmac-Sha256", signature, "Shopify-Webhook-Id", "w1", "Shopify-Topic", "Product"), testBody)
	if m.ID != "w1" || m.EventType != "Product" {
		t.Errorf("message %+v", m)
	}
	refuse(t, provider(t, "shopify", "other"), post(in, "Shopify-Hmac-Sha256", signature), testBody, verify.ReasonBadSignature)
}

func TestHeaderPrefixesAreChecked(t *testing.T) {
	for _, tt := range []struct {
		prefixes []string
		words    string
	}{
		{[]string{"X-"}, "at least one other"},
		{[]string{"Y-", "X-"}, "with which the signature's header starts"},
		{[]string{"X-", "a b"}, `"a b"`},
	} {
		_, err := verify.New(base(func(s *verify.Scheme) { s.HeaderPrefixes = tt.prefixes }), verify.Options{Secrets: []string{"secret"}})
		if err == nil || !strings.Contains(err.Error(), "header_prefixes: ") || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("prefixes %q: error %v", tt.prefixes, err)
		}
	}
}
