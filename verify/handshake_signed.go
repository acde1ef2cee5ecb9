package verify

import (
	"encoding/hex"
	"net/http"
)

// dropboxSignReceived is the response body that Dropbox Sign treats as success.
const dropboxSignReceived = "Hello API Event Received"

// dropboxSignTest answers the test of a callback URL, which is signed like an event.
func dropboxSignTest(c *check, m *Message) (*Reply, Reason) {
	if m.EventType != "callback_test" {
		return nil, ""
	}
	return textReply(dropboxSignReceived), ""
}

// slackVerification answers url_verification, which Slack signs like an event.
func slackVerification(c *check, m *Message) (*Reply, Reason) {
	challenge, found, reason := c.jsonChallenge("type", "url_verification", "challenge", isEcho)
	if !found {
		return nil, reason
	}
	return textReply(challenge), ""
}

// twitchVerification answers a challenge. Twitch announces it in a header that is not
// signed, so header and body must agree. Otherwise a challenge could pass for an event,
// or an event be swallowed as a challenge.
func twitchVerification(c *check, m *Message) (*Reply, Reason) {
	kind, _, reason := c.in.headerOnce("Twitch-Eventsub-Message-Type")
	if reason != "" {
		return nil, reason
	}
	announced := kind == "webhook_callback_verification"
	var value string
	var found bool
	if document, ok := c.smallJSON("challenge"); ok {
		value, found, _ = document.text(jsonPath{"challenge"})
	}
	switch {
	case !announced && !found:
		return nil, ""
	case announced && found && isEcho(value):
		return textReply(value), ""
	}
	return nil, ReasonBadChallenge
}

// zoomValidation signs a token with the key that signed the request itself.
func zoomValidation(c *check, m *Message) (*Reply, Reason) {
	token, found, reason := c.jsonChallenge("event", "endpoint.url_validation", "payload.plainToken", isChallenge)
	if !found {
		return nil, reason
	}
	return jsonReply(struct {
		PlainToken     string `json:"plainToken"`
		EncryptedToken string `json:"encryptedToken"`
	}{token, hex.EncodeToString(c.v.keys[m.SecretIndex].mac(token))}), ""
}

// emptyEvents answers tests that are a signed but empty list of events: Xero's intent to
// receive, LINE's verify button.
func emptyEvents(c *check, m *Message) (*Reply, Reason) {
	document, ok := c.smallJSON("events")
	if !ok {
		return nil, ""
	}
	if raw, found, _ := document.raw(jsonPath{"events"}); !found || raw[0] != '[' {
		return nil, ""
	}
	if events, reason := document.elements(jsonPath{"events"}); reason != "" || len(events) > 0 {
		return nil, ""
	}
	return emptyReply(), ""
}

// discordPing answers PING: an interaction of type 1, or a webhook event of type 0. Other
// webhook events also have type 1, but they have an "event".
func discordPing(c *check, m *Message) (*Reply, Reason) {
	document, ok := c.smallJSON("type")
	if !ok {
		return nil, ""
	}
	kind, _, _ := document.text(jsonPath{"type"})
	_, event, _ := document.raw(jsonPath{"event"})
	switch {
	case kind == "1" && !event:
		return jsonReply(map[string]int{"type": 1}), ""
	case kind == "0":
		return &Reply{Status: http.StatusNoContent, Header: http.Header{}}, ""
	}
	return nil, ""
}

// frontChallenge sends the header's challenge back, after the request was verified.
func frontChallenge(c *check, m *Message) (*Reply, Reason) {
	value, found, reason := c.in.headerOnce("X-Front-Challenge")
	switch {
	case reason != "":
		return nil, reason
	case !found:
		return nil, ""
	case !isEcho(value):
		return nil, ReasonBadChallenge
	}
	return textReply(value), ""
}
