package verify_test

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// handshakeTrial is a request to an endpoint, and the expected result.
type handshakeTrial struct {
	name   string
	scheme string
	method string // POST when empty
	target string // after https://hooks.example.com/in
	header []string
	body   string
	sign   func(body string) []string
	token  string // the verify token

	reply  string // the reply's body
	set    [2]string
	status int           // 200 when 0
	event  bool          // it is accepted as an event
	reason verify.Reason // or it is refused
}

func slackHeaders(body string) []string {
	return header("X-Slack-Signature", "v0="+sha256hex("secret", "v0:"+unixNow+":"+body), "X-Slack-Request-Timestamp", unixNow)
}

func zoomHeaders(body string) []string {
	return header("x-zm-signature", "v0="+sha256hex("secret", "v0:"+unixNow+":"+body), "x-zm-request-timestamp", unixNow)
}

func handshakeTrials() []handshakeTrial {
	forged := url.QueryEscape(`{"forged":true}`)
	const typeForm = "application/x-www-form-urlencoded"
	form := header("Content-Type", typeForm)
	return []handshakeTrial{
		{name: "slack", scheme: "slack", body: `{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV","type":"url_verification"}`, sign: slackHeaders, reply: "3eZbrw1aBm2rZgRNFdxV"},
		{name: "slack, unsigned", scheme: "slack", body: `{"challenge":"x","type":"url_verification"}`, reason: verify.ReasonMissingSignature},
		{name: "slack, without a challenge", scheme: "slack", body: `{"type":"url_verification"}`, sign: slackHeaders, reason: verify.ReasonBadChallenge},
		{name: "slack, a challenge of two lines", scheme: "slack", body: `{"challenge":"a\nb","type":"url_verification"}`, sign: slackHeaders, reason: verify.ReasonBadChallenge},
		{name: "slack, an event", scheme: "slack", body: `{"type":"event_callback","challenge":"x"}`, sign: slackHeaders, event: true},
		{name: "slack, a slash command", scheme: "slack", body: `command=%2Fx&type=url_verification&challenge=x`, sign: slackHeaders, event: true},
		{name: "slack, a type deep inside", scheme: "slack", body: `{"event":{"type":"url_verification"},"challenge":"x"}`, sign: slackHeaders, event: true},
		{name: "slack, what is too large for a handshake", scheme: "slack", body: `{"challenge":"x","type":"url_verification"` + strings.Repeat(" ", 8<<10) + "}", sign: slackHeaders, event: true},

		{name: "zoom", scheme: "zoom", body: `{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}`, sign: zoomHeaders,
			reply: `{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"` + sha256hex("secret", "qgg8vlvZRS6UYooatFL8Aw") + `"}`},
		{name: "zoom, unsigned", scheme: "zoom", body: `{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8"}}`, reason: verify.ReasonMissingSignature},
		{name: "zoom, a token that is a signed event", scheme: "zoom", body: `{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1700000000:{}"}}`, sign: zoomHeaders, reason: verify.ReasonBadChallenge},
		{name: "zoom, a token with a colon", scheme: "zoom", body: `{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1"}}`, sign: zoomHeaders, reason: verify.ReasonBadChallenge},
		{name: "zoom, no token", scheme: "zoom", body: `{"event":"endpoint.url_validation","payload":{}}`, sign: zoomHeaders, reason: verify.ReasonBadChallenge},
		{name: "zoom, an event", scheme: "zoom", body: `{"event":"meeting.started","payload":{"plainToken":"x","topic":"url_validation"}}`, sign: zoomHeaders, event: true},

		{name: "x", scheme: "x", method: http.MethodGet, target: "?crc_token=MGM1Nzdi-ab_c", reply: `{"response_token":"sha256=` + sha256b64("secret", "MGM1Nzdi-ab_c") + `"}`},
		{name: "x, a token that is an event", scheme: "x", method: http.MethodGet, target: "?crc_token=" + forged, reason: verify.ReasonBadChallenge},
		{name: "x, an empty token", scheme: "x", method: http.MethodGet, target: "?crc_token=", reason: verify.ReasonBadChallenge},
		{name: "x, two tokens", scheme: "x", method: http.MethodGet, target: "?crc_token=a&crc_token=b", reason: verify.ReasonBadChallenge},
		{name: "x, a long token", scheme: "x", method: http.MethodGet, target: "?crc_token=" + strings.Repeat("a", 300), reason: verify.ReasonBadChallenge},
		{name: "x, no token", scheme: "x", method: http.MethodGet, reason: verify.ReasonMethodNotAllowed},
		{name: "x, an event", scheme: "x", body: testBody, sign: func(body string) []string {
			return header("x-twitter-webhooks-signature", "sha256="+sha256b64("secret", body))
		}, event: true},
		{name: "x, a challenge's answer as an event", scheme: "x", body: "MGM1Nzdi", sign: func(body string) []string {
			return header("x-twitter-webhooks-signature", "sha256="+sha256b64("secret", body))
		}, reason: verify.ReasonBadSignature},

		{name: "linkedin", scheme: "linkedin", method: http.MethodGet, target: "?challengeCode=890e4665-4dfe-4ab1-b689-ed553bceeed0",
			reply: `{"challengeCode":"890e4665-4dfe-4ab1-b689-ed553bceeed0","challengeResponse":"` + sha256hex("secret", "890e4665-4dfe-4ab1-b689-ed553bceeed0") + `"}`},
		{name: "linkedin, a code that is an event", scheme: "linkedin", method: http.MethodGet, target: "?challengeCode=" + url.QueryEscape("hmacsha256={}"), reason: verify.ReasonBadChallenge},
		{name: "linkedin, a code that starts like one", scheme: "linkedin", method: http.MethodGet, target: "?challengeCode=" + url.QueryEscape("hmacsha256=1"), reason: verify.ReasonBadChallenge},

		{name: "braintree", scheme: "braintree", method: http.MethodGet, target: "?bt_challenge=20f9f8ed05f77439fe955c977e4c8a53", token: "public", reply: func() string {
			key := sha1.Sum([]byte("secret"))
			return "public|" + hex.EncodeToString(mac(sha1.New, string(key[:]), "20f9f8ed05f77439fe955c977e4c8a53"))
		}()},
		{name: "braintree, without a public key", scheme: "braintree", method: http.MethodGet, target: "?bt_challenge=20f9f8ed05f77439fe955c977e4c8a53", reason: verify.ReasonBadVerifyToken},
		{name: "braintree, a challenge that is a payload", scheme: "braintree", method: http.MethodGet, target: "?bt_challenge=PG5vdGlmaWNhdGlvbj4", token: "public", reason: verify.ReasonBadChallenge},
		{name: "braintree, a short challenge", scheme: "braintree", method: http.MethodGet, target: "?bt_challenge=" + strings.Repeat("a", 19), token: "public", reason: verify.ReasonBadChallenge},
		{name: "braintree, a long challenge", scheme: "braintree", method: http.MethodGet, target: "?bt_challenge=" + strings.Repeat("a", 33), token: "public", reason: verify.ReasonBadChallenge},
		{name: "braintree, a challenge's answer as an event", scheme: "braintree", header: header("Content-Type", "application/x-www-form-urlencoded"), body: func() string {
			key := sha1.Sum([]byte("secret"))
			return "bt_payload=20f9f8ed05f77439fe955c977e4c8a53&bt_signature=p%7C" + hex.EncodeToString(mac(sha1.New, string(key[:]), "20f9f8ed05f77439fe955c977e4c8a53"))
		}(), reason: verify.ReasonBadSignature},

		{name: "meta", scheme: "meta", method: http.MethodGet, target: "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock", token: "meatyhamhock", reply: "1158201444"},
		{name: "meta, another token", scheme: "meta", method: http.MethodGet, target: "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=x", token: "meatyhamhock", reason: verify.ReasonBadVerifyToken},
		{name: "meta, no token", scheme: "meta", method: http.MethodGet, target: "?hub.mode=subscribe&hub.challenge=1", token: "meatyhamhock", reason: verify.ReasonBadVerifyToken},
		{name: "meta, no token configured", scheme: "meta", method: http.MethodGet, target: "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=", reason: verify.ReasonBadVerifyToken},
		{name: "meta, two tokens", scheme: "meta", method: http.MethodGet, target: "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=x&hub.verify_token=meatyhamhock", token: "meatyhamhock", reason: verify.ReasonBadChallenge},
		{name: "meta, another mode", scheme: "meta", method: http.MethodGet, target: "?hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=meatyhamhock", token: "meatyhamhock", reason: verify.ReasonBadChallenge},
		{name: "meta, no handshake", scheme: "meta", method: http.MethodGet, token: "meatyhamhock", reason: verify.ReasonMethodNotAllowed},

		{name: "twitch", scheme: "twitch", body: `{"challenge":"pogchamp-kappa-360noscope-vohiyo","subscription":{}}`, sign: twitchHeaders("webhook_callback_verification"), reply: "pogchamp-kappa-360noscope-vohiyo"},
		{name: "twitch, a notification", scheme: "twitch", body: `{"subscription":{},"event":{}}`, sign: twitchHeaders("notification"), event: true},
		{name: "twitch, an event passed off as a challenge", scheme: "twitch", body: `{"subscription":{},"event":{}}`, sign: twitchHeaders("webhook_callback_verification"), reason: verify.ReasonBadChallenge},
		{name: "twitch, a challenge passed off as an event", scheme: "twitch", body: `{"challenge":"x","subscription":{}}`, sign: twitchHeaders("notification"), reason: verify.ReasonBadChallenge},
		{name: "twitch, a challenge of two lines", scheme: "twitch", body: `{"challenge":"a\nb","subscription":{}}`, sign: twitchHeaders("webhook_callback_verification"), reason: verify.ReasonBadChallenge},

		{name: "dropbox", scheme: "dropbox", method: http.MethodGet, target: "?challenge=abc123", reply: "abc123"},
		{name: "dropbox, a challenge with a line break", scheme: "dropbox", method: http.MethodGet, target: "?challenge=a%0d%0ab", reason: verify.ReasonBadChallenge},
		{name: "onfleet", scheme: "onfleet", method: http.MethodGet, target: "?check=abc", reply: "abc"},
		{name: "microsoft-graph", scheme: "microsoft-graph", target: "?validationToken=" + url.QueryEscape("Validation: Testing <client> reachability + 1"), reply: "Validation: Testing <client> reachability + 1"},
		{name: "asana", scheme: "asana", header: header("X-Hook-Secret", "b537207f20cbfa02357cf448134da559"), body: "{}", set: [2]string{"X-Hook-Secret", "b537207f20cbfa02357cf448134da559"}},
		{name: "asana, with a signature it is an event", scheme: "asana", header: header("X-Hook-Secret", "abc", "X-Hook-Signature", sha256hex("abc", "{}")), body: "{}", reason: verify.ReasonBadSignature},
		{name: "asana, with a signature whatever the secret is", scheme: "asana", header: header("X-Hook-Secret", "<script>", "X-Hook-Signature", sha256hex("abc", "{}")), body: "{}", reason: verify.ReasonBadSignature},
		{name: "asana, a secret that is none", scheme: "asana", header: header("X-Hook-Secret", "<script>"), reason: verify.ReasonBadChallenge},
		{name: "asana, two secrets", scheme: "asana", header: header("X-Hook-Secret", "a", "X-Hook-Secret", "b"), reason: verify.ReasonBadChallenge},
		{name: "smartsheet", scheme: "smartsheet", header: header("Smartsheet-Hook-Challenge", "d78dd1d4-01ce-4481-81de-92b4f3aa5ab1"), body: `{"challenge":"d78dd1d4-01ce-4481-81de-92b4f3aa5ab1","webhookId":4509506114742148}`, set: [2]string{"Smartsheet-Hook-Response", "d78dd1d4-01ce-4481-81de-92b4f3aa5ab1"}},
		{name: "smartsheet, a challenge that is none", scheme: "smartsheet", header: header("Smartsheet-Hook-Challenge", "<script>"), reason: verify.ReasonBadChallenge},
		{name: "smartsheet, without its header", scheme: "smartsheet", body: `{"challenge":"d78dd1d4","webhookId":4509506114742148}`, reason: verify.ReasonMissingSignature},
		{name: "statsig", scheme: "statsig", body: `{"data":{"event":"url_verification","verification_code":"abc123"}}`, reply: `{"verification_code":"abc123"}`},
		{name: "statsig, without a code", scheme: "statsig", body: `{"data":{"event":"url_verification"}}`, reason: verify.ReasonMissingSignature},
		{name: "statsig, a list of events", scheme: "statsig", body: `{"data":[{"event":"url_verification","verification_code":"abc123"}]}`, reason: verify.ReasonMissingSignature},
		{name: "asana, got", scheme: "asana", method: http.MethodGet, header: header("X-Hook-Secret", "abc"), reason: verify.ReasonMethodNotAllowed},
		{name: "asana, neither secret nor signature", scheme: "asana", body: "{}", reason: verify.ReasonMissingSignature},
		{name: "okta", scheme: "okta", method: http.MethodGet, header: header("Authorization", "secret", "X-Okta-Verification-Challenge", "my verification challenge"), reply: `{"verification":"my verification challenge"}`},
		{name: "okta, without the token", scheme: "okta", method: http.MethodGet, header: header("X-Okta-Verification-Challenge", "x"), reason: verify.ReasonMissingSignature},
		{name: "okta, another token", scheme: "okta", method: http.MethodGet, header: header("Authorization", "secrets", "X-Okta-Verification-Challenge", "x"), reason: verify.ReasonBadSignature},
		{name: "okta, two tokens", scheme: "okta", method: http.MethodGet, header: header("Authorization", "other", "Authorization", "secret", "X-Okta-Verification-Challenge", "x"), reason: verify.ReasonRepeatedHeader},
		{name: "okta, an odd challenge", scheme: "okta", method: http.MethodGet, header: header("Authorization", "secret", "X-Okta-Verification-Challenge", "\xff"), reason: verify.ReasonBadChallenge},
		{name: "okta, another token and an odd challenge", scheme: "okta", method: http.MethodGet, header: header("Authorization", "secrets", "X-Okta-Verification-Challenge", "\xff"), reason: verify.ReasonBadSignature},
		{name: "okta, any other GET", scheme: "okta", method: http.MethodGet, header: header("Authorization", "secret"), reason: verify.ReasonMethodNotAllowed},
		{name: "okta, an event with a challenge", scheme: "okta", header: header("Authorization", "secret", "X-Okta-Verification-Challenge", "x"), body: "{}", event: true},
		{name: "trello", scheme: "trello", method: http.MethodHead},
		{name: "trello, a GET", scheme: "trello", method: http.MethodGet, reason: verify.ReasonMethodNotAllowed},
		{name: "xero, intent to receive", scheme: "xero", body: `{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"S0m3"}`, sign: xeroHeaders},
		{name: "xero, intent to receive with a wrong signature", scheme: "xero", body: `{"events":[]}`, header: header("x-xero-signature", sha256b64("wrong", `{"events":[]}`)), reason: verify.ReasonBadSignature},
		{name: "xero, an event", scheme: "xero", body: `{"events":[{"eventType":"UPDATE"}]}`, sign: xeroHeaders, event: true},
		{name: "xero, no list", scheme: "xero", body: `{"events":null}`, sign: xeroHeaders, event: true},
		{name: "xero, a list deep inside", scheme: "xero", body: `{"data":{"events":[]}}`, sign: xeroHeaders, event: true},
		{name: "line, verify button", scheme: "line", body: `{"destination":"x","events":[]}`, sign: func(body string) []string {
			return header("x-line-signature", sha256b64("secret", body))
		}},
		{name: "front", scheme: "front", body: `{"type":"sync"}`, sign: func(body string) []string {
			return header("X-Front-Signature", sha256b64("secret", milliNow+":"+body), "X-Front-Request-Timestamp", milliNow, "X-Front-Challenge", "abc")
		}, reply: "abc"},
		{name: "front, unsigned", scheme: "front", header: header("X-Front-Challenge", "abc"), reason: verify.ReasonMissingSignature},
		{name: "front, an odd challenge", scheme: "front", body: "{}", sign: func(body string) []string {
			return header("X-Front-Signature", sha256b64("secret", milliNow+":"+body), "X-Front-Request-Timestamp", milliNow, "X-Front-Challenge", "\xff")
		}, reason: verify.ReasonBadChallenge},
		{name: "discord, ping", scheme: "discord", body: `{"type":1}`, sign: discordHeaders, reply: `{"type":1}`},
		{name: "discord, ping of webhook events", scheme: "discord", body: `{"type":0}`, sign: discordHeaders, status: http.StatusNoContent},
		{name: "discord, an event", scheme: "discord", body: `{"type":1,"event":{"type":"X"}}`, sign: discordHeaders, event: true},
		{name: "discord, an interaction", scheme: "discord", body: `{"type":2}`, sign: discordHeaders, event: true},
		{name: "discord, unsigned", scheme: "discord", body: `{"type":1}`, header: header("X-Signature-Ed25519", strings.Repeat("0", 128), "X-Signature-Timestamp", unixNow), reason: verify.ReasonBadSignature},
		{name: "ebay", scheme: "ebay", method: http.MethodGet, target: "?challenge_code=a8628072-3d33", token: "verification-token", reply: `{"challengeResponse":"` + sha256sum("a8628072-3d33"+"verification-token"+in) + `"}`},
		{name: "ebay, with a token in the URL", scheme: "ebay", method: http.MethodGet, target: "?token=secret&challenge_code=a8", reply: `{"challengeResponse":"` + sha256sum("a8"+"secret"+in+"?token=secret") + `"}`},
		{name: "ebay, a notification", scheme: "ebay", target: "?token=secret", body: "{}", event: true},
		{name: "ebay, a notification without a token", scheme: "ebay", body: "{}", reason: verify.ReasonMissingSignature},
		{name: "adobe-io", scheme: "adobe-io", method: http.MethodGet, target: "?challenge=8ec8d794", reply: "8ec8d794"},
		{name: "acrobat sign", scheme: "adobe-acrobat-sign", method: http.MethodGet, header: header("X-Adobesign-Clientid", "secret"), set: [2]string{"X-Adobesign-Clientid", "secret"}},
		{name: "acrobat sign, another client", scheme: "adobe-acrobat-sign", method: http.MethodGet, header: header("X-Adobesign-Clientid", "other"), reason: verify.ReasonBadVerifyToken},
		{name: "acrobat sign, the verify token", scheme: "adobe-acrobat-sign", method: http.MethodGet, header: header("X-Adobesign-Clientid", "id"), token: "id", set: [2]string{"X-Adobesign-Clientid", "id"}},
		{name: "acrobat sign, no client", scheme: "adobe-acrobat-sign", method: http.MethodGet, reason: verify.ReasonMethodNotAllowed},
		{name: "acrobat sign, an empty client", scheme: "adobe-acrobat-sign", method: http.MethodGet, header: header("X-Adobesign-Clientid", ""), reason: verify.ReasonBadVerifyToken},
		{name: "monday", scheme: "monday", body: `{"challenge": "3eZbrw1a-x"}`, reply: `{"challenge":"3eZbrw1a-x"}`},
		{name: "monday, with the token", scheme: "monday", target: "?token=secret", body: `{"challenge": "x"}`, reply: `{"challenge":"x"}`},
		{name: "monday, a challenge in an event", scheme: "monday", body: `{"challenge":"x","event":{}}`, reason: verify.ReasonMissingSignature},
		{name: "monday, a challenge of two lines", scheme: "monday", body: `{"challenge":"a\nb"}`, reason: verify.ReasonMissingSignature},
		{name: "monday, an event with a wrong token", scheme: "monday", target: "?token=other", body: `{"event":{}}`, reason: verify.ReasonBadSignature},
		{name: "monday, an event", scheme: "monday", target: "?token=secret", body: `{"event":{"challenge":"x"}}`, event: true},
		{name: "monday, an empty body", scheme: "monday", reason: verify.ReasonMissingSignature},
		{name: "event grid", scheme: "azure-event-grid", header: header("Aeg-Event-Type", "SubscriptionValidation"), body: `[{"id":"1","data":{"validationCode":"512d38b6","validationUrl":"https://x"}}]`, reply: `{"validationResponse":"512d38b6"}`},
		{name: "event grid, not named so", scheme: "azure-event-grid", body: `[{"data":{"validationCode":"512d38b6"}}]`, reason: verify.ReasonMissingSignature},
		{name: "event grid, no code", scheme: "azure-event-grid", header: header("Aeg-Event-Type", "SubscriptionValidation"), body: `[{"data":{}}]`, reason: verify.ReasonMissingSignature},
		{name: "event grid, a code of two lines", scheme: "azure-event-grid", header: header("Aeg-Event-Type", "SubscriptionValidation"), body: `[{"data":{"validationCode":"a\nb"}}]`, reason: verify.ReasonMissingSignature},
		{name: "event grid, an event behind it", scheme: "azure-event-grid", header: header("Aeg-Event-Type", "SubscriptionValidation"), body: `[{"data":{"validationCode":"512d38b6"}},{}]`, reason: verify.ReasonMissingSignature},
		{name: "event grid, an event", scheme: "azure-event-grid", target: "?token=secret", header: header("Aeg-Event-Type", "Notification"), body: `[{"data":{"validationCode":"1"}}]`, event: true},
		{name: "event grid, cloud events", scheme: "azure-event-grid", method: http.MethodOptions, header: header("Webhook-Request-Origin", "eventgrid.azure.net"), set: [2]string{"Webhook-Allowed-Origin", "eventgrid.azure.net"}},
		{name: "event grid, cloud events at any rate", scheme: "azure-event-grid", method: http.MethodOptions, header: header("Webhook-Request-Origin", "eventgrid.azure.net", "Webhook-Request-Rate", "120"), set: [2]string{"Webhook-Allowed-Rate", "*"}},
		{name: "event grid, cloud events are posted", scheme: "azure-event-grid", method: http.MethodOptions, header: header("Webhook-Request-Origin", "eventgrid.azure.net"), set: [2]string{"Allow", http.MethodPost}},
		{name: "event grid, an odd origin", scheme: "azure-event-grid", method: http.MethodOptions, header: header("Webhook-Request-Origin", "<script>"), reason: verify.ReasonBadChallenge},
		{name: "event grid, a cloud event with its origin", scheme: "azure-event-grid", target: "?token=secret", header: header("Webhook-Request-Origin", "eventgrid.azure.net"), body: "{}", event: true},
		{name: "event grid, any other OPTIONS", scheme: "azure-event-grid", method: http.MethodOptions, reason: verify.ReasonMethodNotAllowed},
		{name: "dropbox-sign, a test", scheme: "dropbox-sign", body: dropboxSign("callback_test", "callback_test"), reply: "Hello API Event Received"},
		{name: "dropbox-sign, an event", scheme: "dropbox-sign", body: dropboxSign("signature_request_sent", "signature_request_sent"), event: true},
		{name: "dropbox-sign, an event passed off as a test", scheme: "dropbox-sign", body: dropboxSign("callback_test", "signature_request_sent"), reason: verify.ReasonBadSignature},
		{name: "nylas", scheme: "nylas", method: http.MethodGet, target: "?challenge=abc-1", reply: "abc-1"},
		{name: "nylas, no challenge", scheme: "nylas", method: http.MethodGet, reason: verify.ReasonMethodNotAllowed},
		{name: "nylas, a line break", scheme: "nylas", method: http.MethodGet, target: "?challenge=a%0d%0ab", reason: verify.ReasonBadChallenge},
		{name: "nylas, a long challenge", scheme: "nylas", method: http.MethodGet, target: "?challenge=" + strings.Repeat("a", 1024), reply: strings.Repeat("a", 1024)},
		{name: "nylas, a longer one", scheme: "nylas", method: http.MethodGet, target: "?challenge=" + strings.Repeat("a", 1025), reason: verify.ReasonBadChallenge},
		{name: "nylas, nothing to send back", scheme: "nylas", method: http.MethodGet, target: "?challenge=", reason: verify.ReasonBadChallenge},
		{name: "nylas, a name that ends alike", scheme: "nylas", method: http.MethodGet, target: "?a-challenge=x", reason: verify.ReasonMethodNotAllowed},
		{name: "nylas, posted", scheme: "nylas", target: "?challenge=abc", reason: verify.ReasonMissingSignature},
		{name: "intercom", scheme: "intercom", method: http.MethodHead},
		{name: "intercom, got", scheme: "intercom", method: http.MethodGet, reason: verify.ReasonMethodNotAllowed},
		{name: "woocommerce", scheme: "woocommerce", header: form, body: "webhook_id=12"},
		{name: "woocommerce, another field", scheme: "woocommerce", header: form, body: "webhook_id=12&a=1", reason: verify.ReasonMissingSignature},
		{name: "woocommerce, no number", scheme: "woocommerce", header: form, body: "webhook_id=", reason: verify.ReasonMissingSignature},
		{name: "woocommerce, JSON", scheme: "woocommerce", body: `{"webhook_id":1}`, reason: verify.ReasonMissingSignature},
		{name: "woocommerce, no form", scheme: "woocommerce", header: header("Content-Type", "text/plain"), body: "webhook_id=12", reason: verify.ReasonMissingSignature},
		{name: "woocommerce, a number without its name", scheme: "woocommerce", header: form, body: "12", reason: verify.ReasonMissingSignature},
		{name: "woocommerce, an endless number", scheme: "woocommerce", header: form, body: "webhook_id=" + strings.Repeat("1", 256), reason: verify.ReasonMissingSignature},
		{name: "woocommerce, a longer form", scheme: "woocommerce", header: form, body: "webhook_id=12&order=1&status=completed", reason: verify.ReasonMissingSignature},
		{name: "woocommerce, no body", scheme: "woocommerce", header: form, reason: verify.ReasonMissingSignature},
		{name: "woocommerce, got", scheme: "woocommerce", method: http.MethodGet, header: form, reason: verify.ReasonMethodNotAllowed},
		{name: "woocommerce, with a topic", scheme: "woocommerce", header: header("Content-Type", typeForm, "X-WC-Webhook-Topic", "order.created"), body: "webhook_id=12", reason: verify.ReasonMissingSignature},
		{name: "woocommerce, with a wrong signature", scheme: "woocommerce", header: header("Content-Type", typeForm, "X-WC-Webhook-Signature", sha256b64("other", "webhook_id=12")), body: "webhook_id=12", reason: verify.ReasonBadSignature},
		{name: "woocommerce, with an empty signature", scheme: "woocommerce", header: header("Content-Type", typeForm, "X-WC-Webhook-Signature", ""), body: "webhook_id=12", reason: verify.ReasonMissingSignature},
		{name: "notion", scheme: "notion", body: `{"verification_token":"secret_tMrlL1qK5vuQAh1b"}`},
		{name: "notion, another field", scheme: "notion", body: `{"verification_token":"secret_tMrl","type":"page.created"}`, reason: verify.ReasonMissingSignature},
		{name: "notion, no token", scheme: "notion", body: `{"verification_token":{"a":"b"}}`, reason: verify.ReasonMissingSignature},
		{name: "notion, a token that is an event", scheme: "notion", body: `{"verification_token":"{\"type\":1}"}`, reason: verify.ReasonMissingSignature},
		{name: "notion, with a wrong signature", scheme: "notion", header: header("X-Notion-Signature", "sha256="+sha256hex("other", `{"verification_token":"secret_tMrl"}`)), body: `{"verification_token":"secret_tMrl"}`, reason: verify.ReasonBadSignature},
		{name: "notion, signed", scheme: "notion", body: `{"verification_token":"secret_tMrl"}`, sign: func(body string) []string {
			return header("X-Notion-Signature", "sha256="+sha256hex("secret", body))
		}, event: true},
		{name: "notion, got", scheme: "notion", method: http.MethodGet, reason: verify.ReasonMethodNotAllowed},
		// Encrypted with openssl enc -aes-256-cbc.
		{name: "lark", scheme: "lark", body: `{"encrypt":"AAECAwQFBgcICQoLDA0ODwlxWHtZCa//shuABx5330gVqW5DGDCrrmZeKzyXwbAWDnKjg8jS3ChOCmsOkVKq1cot/NyQ+L/5Wto6AdIZwHWt5N4tw6Vb+YmbZny8oWaL"}`, reply: `{"challenge":"ajls384kdjx98XX"}`},
		{name: "lark, with the old key", scheme: "lark", body: `{"encrypt":"AAECAwQFBgcICQoLDA0OD3aBifnpMg/PDrAbchgaU/5h+ugq+8/yemQmYDgadDd/xFM04fgB+St7uoNmtxYZbQ=="}`, reply: `{"challenge":"x"}`},
		{name: "lark, with another key", scheme: "lark", body: `{"encrypt":"AAECAwQFBgcICQoLDA0OD0PWomFQ2dc3tVn8aLxevgLHlExoVYBq0UEcFptKVJQcWrWUwcbELcAFIoCeFgYC+w=="}`, reason: verify.ReasonMissingSignature},
		{name: "lark, an event", scheme: "lark", body: `{"encrypt":"AAECAwQFBgcICQoLDA0OD8wIXmLhtYTDa6iIqLBi7lcnYNEq6lmK/zcNghpzV5Z8YuygODOsVahhaFNsSR31Ig=="}`, reason: verify.ReasonMissingSignature},
		{name: "lark, with a wrong signature", scheme: "lark", header: header("X-Lark-Signature", sha256hex("other", ""), "X-Lark-Request-Timestamp", unixNow, "X-Lark-Request-Nonce", "n"), body: `{"encrypt":"AAECAwQFBgcICQoLDA0ODwlxWHtZCa//shuABx5330gVqW5DGDCrrmZeKzyXwbAWDnKjg8jS3ChOCmsOkVKq1cot/NyQ+L/5Wto6AdIZwHWt5N4tw6Vb+YmbZny8oWaL"}`, reason: verify.ReasonBadSignature},
		{name: "lark, signed", scheme: "lark", body: `{"encrypt":"AAECAwQFBgcICQoLDA0OD8wIXmLhtYTDa6iIqLBi7lfB6IZDmYD2OiZ/nZKPP0KDzvW4Xe2ktmn/rvsufszm+g=="}`, sign: func(body string) []string {
			return header("X-Lark-Signature", sha256sum(unixNow+"n"+"secret"+body), "X-Lark-Request-Timestamp", unixNow, "X-Lark-Request-Nonce", "n")
		}, event: true},
		{name: "lark, a challenge of two lines", scheme: "lark", body: `{"encrypt":"AAECAwQFBgcICQoLDA0OD/oHjrnVUHAugg7RC8tFk6rXzvrrTJzRvHDeKt6akg4/DW8qYJX56RbkVEUei7SF8A=="}`, reason: verify.ReasonMissingSignature},
		{name: "lark, not encrypted", scheme: "lark", body: `{"challenge":"x","type":"url_verification"}`, reason: verify.ReasonMissingSignature},
		{name: "lark, nothing encrypted", scheme: "lark", body: `{"encrypt":""}`, reason: verify.ReasonMissingSignature},
		{name: "lark, an IV alone", scheme: "lark", body: `{"encrypt":"AAECAwQFBgcICQoLDA0ODw=="}`, reason: verify.ReasonMissingSignature},
		{name: "lark, half a block", scheme: "lark", body: `{"encrypt":"AAECAwQFBgcICQoLDA0OD8wIXmI="}`, reason: verify.ReasonMissingSignature},

		{name: "github has none", scheme: "github", method: http.MethodGet, target: "?challenge=x&hub.challenge=x&crc_token=x", reason: verify.ReasonMethodNotAllowed},
	}
}

// A body without a signature is only read if it is small enough for a handshake.
func TestLargeHandshake(t *testing.T) {
	v := provider(t, "monday")
	for size, want := range map[int64]verify.Reason{-1: verify.ReasonMissingSignature, 0: verify.ReasonMissingSignature, 1: "", 8 << 10: "", 8<<10 + 1: verify.ReasonMissingSignature} {
		_, err := v.Begin(&verify.Request{Method: http.MethodPost, URL: new(url.URL), Header: http.Header{}, ContentLength: size})
		if reason(err) != want {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// What a handshake signs is never accepted as an event, whatever else the scheme signs.
func TestSignedChallenge(t *testing.T) {
	for name, longest := range map[string]int{"x": 256, "zoom": 256, "linkedin": 256, "braintree": 32} {
		t.Run(name, func(t *testing.T) {
			v := verifierOf(t, base(func(s *verify.Scheme) { s.Handshake = name }))
			challenge := strings.Repeat("a", longest)
			refuse(t, v, post(in, "X-Sig", sha256hex("secret", challenge)), challenge, verify.ReasonBadSignature)
			for _, event := range []string{challenge + "a", testBody} {
				accept(t, v, post(in, "X-Sig", sha256hex("secret", event)), event)
			}
		})
	}
}

// dropboxSign returns an event of one type with the signature of another.
func dropboxSign(kind, signed string) string {
	return `{"event":{"event_type":"` + kind + `","event_time":"` + unixNow + `","event_hash":"` + sha256hex("secret", unixNow+signed) + `"}}`
}

func twitchHeaders(kind string) func(string) []string {
	return func(body string) []string {
		const id, stamp = "e76c6bd4-55c9-4987-8304-da1588d8988b", "2023-11-14T22:13:20.123456789Z"
		return header("Twitch-Eventsub-Message-Signature", "sha256="+sha256hex("secret", id+stamp+body), "Twitch-Eventsub-Message-Id", id,
			"Twitch-Eventsub-Message-Timestamp", stamp, "Twitch-Eventsub-Message-Type", kind)
	}
}

func xeroHeaders(body string) []string {
	return header("x-xero-signature", sha256b64("secret", body))
}

const discordSeed = "0123456789abcdef0123456789abcdef"

func discordHeaders(body string) []string {
	signature := ed25519.Sign(ed25519.NewKeyFromSeed([]byte(discordSeed)), []byte(unixNow+body))
	return header("X-Signature-Ed25519", hex.EncodeToString(signature), "X-Signature-Timestamp", unixNow)
}

func (h handshakeTrial) request() *http.Request {
	kv := h.header
	if h.sign != nil {
		kv = h.sign(h.body)
	}
	r := post(in+h.target, kv...)
	r.Method = cmp.Or(h.method, http.MethodPost)
	return r
}

// Handshakes are answered as the provider expects. They are no way around the signature,
// their replies are not run by browsers, and they are not passed on as events.
func TestHandshakes(t *testing.T) {
	for _, h := range handshakeTrials() {
		t.Run(h.name, func(t *testing.T) {
			row := rowOf(t, h.scheme)
			if h.token != "" && !row.TakesVerifyToken() {
				t.Error("TakesVerifyToken is false, but the trial has a verify token")
			}
			v := must.Get(verify.New(row, verify.Options{Secrets: secretsOf(row), VerifyToken: h.token, Now: func() time.Time { return testNow }}))(t)
			m, err := v.Verify(h.request(), []byte(h.body))
			switch {
			case h.reason != "":
				if reason(err) != h.reason {
					t.Fatalf("message %+v, error %v, want refused as %s", m, err, h.reason)
				}
			case err != nil:
				t.Fatalf("refused as %v, want accepted", err)
			case h.event:
				if m.Reply != nil {
					t.Fatalf("reply %+v, want an event", m.Reply)
				}
			default:
				if m.Reply == nil || m.Reply.Status != cmp.Or(h.status, http.StatusOK) || string(m.Reply.Body) != h.reply {
					t.Fatalf("reply %+v, want %q", m.Reply, h.reply)
				}
				if len(m.Reply.Body) > 0 && (m.Reply.Header.Get("X-Content-Type-Options") != "nosniff" || strings.Contains(m.Reply.Header.Get("Content-Type"), "html")) {
					t.Errorf("headers %v, want nosniff and text or JSON", m.Reply.Header)
				}
				if h.method != "" && m.SecretIndex != -1 {
					t.Errorf("secret index %d, want -1 without a signature", m.SecretIndex)
				}
				if h.set[0] != "" && m.Reply.Header.Get(h.set[0]) != h.set[1] {
					t.Errorf("headers %v, want only those of the handshake", m.Reply.Header)
				}
			}

			off := must.Get(verify.New(row, verify.Options{Secrets: secretsOf(row), VerifyToken: h.token, NoHandshake: true, Now: func() time.Time { return testNow }}))(t)
			m, err = off.Verify(h.request(), []byte(h.body))
			if err == nil && m.Reply != nil {
				t.Errorf("with NoHandshake: reply %+v, want none", m.Reply)
			}
			var e *verify.Error
			if err != nil && !errors.As(err, &e) {
				t.Errorf("with NoHandshake: error %v, want a refusal", err)
			}
		})
	}
}

// secretsOf returns a new and an old secret in the form of the scheme's keys.
func secretsOf(row verify.Scheme) []string {
	if row.Construction == "ed25519" {
		pair := ed25519.NewKeyFromSeed([]byte(discordSeed))
		return []string{hex.EncodeToString(pair), hex.EncodeToString(pair[32:])}
	}
	switch row.Key {
	case "hex":
		return []string{"00ff", "aabb"}
	case "pem":
		return []string{ecdsaPublicBase64()}
	}
	return []string{"secret", "old"}
}

// Zoom's handshake is answered with the secret that signed the request.
func TestZoomAnswersWithTheMatchingSecret(t *testing.T) {
	body := `{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}`
	m := accept(t, provider(t, "zoom", "new", "secret"), post(in, zoomHeaders(body)...), body)
	if !strings.Contains(string(m.Reply.Body), sha256hex("secret", "abc")) {
		t.Errorf("reply %s, want one signed with the matching secret", m.Reply.Body)
	}
	if m.SecretIndex != 1 {
		t.Errorf("secret index %d, want that of the matching secret", m.SecretIndex)
	}
}
