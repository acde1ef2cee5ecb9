package verify

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

// onQuery returns a handshake that answers the challenge in a query parameter. With another
// method, or without the parameter, the request is not a handshake.
func onQuery(method, name string, valid func(string) bool, answer func(c *check, challenge string) (*Reply, Reason)) func(*check) (*Reply, Reason) {
	return func(c *check) (*Reply, Reason) {
		if c.in.method != method || !strings.Contains(c.in.url.RawQuery, name+"=") {
			return nil, ""
		}
		value, found, reason := c.in.queryOnce(name)
		switch {
		case reason != "" || found && !valid(value):
			return nil, ReasonBadChallenge
		case !found:
			return nil, ""
		}
		return answer(c, value)
	}
}

// echo sends the challenge back.
func echo(_ *check, challenge string) (*Reply, Reason) { return textReply(challenge), "" }

// answerHead answers every HEAD request, such as Trello's.
func answerHead(c *check) (*Reply, Reason) {
	if c.in.method != http.MethodHead {
		return nil, ""
	}
	return emptyReply(), ""
}

// metaSubscription sends the challenge back to a caller that knows the verify token.
func metaSubscription(c *check, challenge string) (*Reply, Reason) {
	mode, _, _ := c.in.queryOnce("hub.mode")
	token, _, reason := c.in.queryOnce("hub.verify_token")
	if reason != "" || mode != "subscribe" {
		return nil, ReasonBadChallenge
	}
	if c.v.verifyToken == "" || subtle.ConstantTimeCompare([]byte(token), []byte(c.v.verifyToken)) != 1 {
		return nil, ReasonBadVerifyToken
	}
	return textReply(challenge), ""
}

// xCRC signs the challenge with the key of the events.
func xCRC(c *check, challenge string) (*Reply, Reason) {
	return jsonReply(map[string]string{
		"response_token": "sha256=" + base64.StdEncoding.EncodeToString(c.v.keys[0].mac(challenge)),
	}), ""
}

// linkedinChallenge signs the challenge with the key of the events.
func linkedinChallenge(c *check, challenge string) (*Reply, Reason) {
	return jsonReply(map[string]string{
		"challengeCode":     challenge,
		"challengeResponse": hex.EncodeToString(c.v.keys[0].mac(challenge)),
	}), ""
}

// braintreeChallenge signs the challenge with the key of the events, and names the public
// key, which is the verify token.
func braintreeChallenge(c *check, challenge string) (*Reply, Reason) {
	if c.v.verifyToken == "" {
		return nil, ReasonBadVerifyToken
	}
	return textReply(c.v.verifyToken + "|" + hex.EncodeToString(c.v.keys[0].mac(challenge))), ""
}

func isBraintreeChallenge(s string) bool {
	return len(s) >= 20 && len(s) <= 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// ebayChallenge proves to eBay that the endpoint knows its verification token. That is
// the verify token or, if there is none, the first secret.
func ebayChallenge(c *check, challenge string) (*Reply, Reason) {
	token := cmp.Or(c.v.verifyToken, string(c.v.keys[0].secret))
	query := slices.DeleteFunc(strings.Split(c.in.url.RawQuery, "&"), func(part string) bool {
		return part == "" || strings.HasPrefix(part, "challenge_code=")
	})
	endpoint := c.in.origin() + c.in.path
	if len(query) > 0 {
		endpoint += "?" + strings.Join(query, "&")
	}
	sum := sha256.Sum256([]byte(challenge + token + endpoint))
	return jsonReply(map[string]string{"challengeResponse": hex.EncodeToString(sum[:])}), ""
}

// acrobatSignClient sends the client id back if it is one of the secrets or the verify
// token.
func acrobatSignClient(c *check) (*Reply, Reason) {
	const header = "X-Adobesign-Clientid"
	if c.in.method != http.MethodGet || len(c.in.header[header]) == 0 {
		return nil, ""
	}
	value, _, reason := c.in.headerOnce(header)
	if reason != "" {
		return nil, ReasonBadChallenge
	}
	known := 0
	if c.v.verifyToken != "" {
		known = subtle.ConstantTimeCompare([]byte(value), []byte(c.v.verifyToken))
	}
	sum := sha256.Sum256([]byte(value))
	if known|c.v.matchesSecret(sum[:]) != 1 {
		return nil, ReasonBadVerifyToken
	}
	r := emptyReply()
	r.Header.Set(header, value)
	return r, ""
}

// echoHeader sends the value of a header back. With a signature's header in the request
// it is an event. Asana's value is the secret of a new webhook. It does not become the
// key, or anyone who calls first could choose the key.
func echoHeader(from, to, signature string) func(*check) (*Reply, Reason) {
	return func(c *check) (*Reply, Reason) {
		if c.in.method != http.MethodPost || len(c.in.header[from]) == 0 || len(c.in.header[signature]) > 0 {
			return nil, ""
		}
		value, _, reason := c.in.headerOnce(from)
		if reason != "" || !isChallenge(value) {
			return nil, ReasonBadChallenge
		}
		r := emptyReply()
		r.Header.Set(to, value)
		return r, ""
	}
}

// oktaVerification sends the challenge back to a caller that sends the token, as Okta
// does with every request.
func oktaVerification(c *check) (*Reply, Reason) {
	const header = "X-Okta-Verification-Challenge"
	if c.in.method != http.MethodGet || len(c.in.header[header]) == 0 {
		return nil, ""
	}
	if reason := c.readSignature(); reason != "" {
		return nil, reason
	}
	if !c.hasValidToken() {
		return nil, ReasonBadSignature
	}
	value, _, reason := c.in.headerOnce(header)
	if reason != "" || !isEcho(value) {
		return nil, ReasonBadChallenge
	}
	return jsonReply(map[string]string{"verification": value}), ""
}

// matchesSecret returns 1 if the SHA-256 is that of one of the secrets, and 0 otherwise.
func (v *Verifier) matchesSecret(sum []byte) int {
	known := 0
	for _, k := range v.keys {
		secret := sha256.Sum256(k.secret)
		known |= subtle.ConstantTimeCompare(sum, secret[:])
	}
	return known
}

// hasValidToken reports whether what was read as the signature is one of the secrets.
func (c *check) hasValidToken() bool {
	known := 0
	for i := range c.candidates {
		for j := range c.candidates[i].macs {
			known |= c.v.matchesSecret(c.candidates[i].macs[j].bytes()) // decodeMAC takes a token's SHA-256
		}
	}
	return known == 1
}

// eventGridOrigin allows the sender of events in the CloudEvents schema, by answering its
// OPTIONS request.
func eventGridOrigin(c *check) (*Reply, Reason) {
	const header = "Webhook-Request-Origin"
	if c.in.method != http.MethodOptions || len(c.in.header[header]) == 0 {
		return nil, ""
	}
	value, _, reason := c.in.headerOnce(header)
	if reason != "" || !isChallenge(value) {
		return nil, ReasonBadChallenge
	}
	r := emptyReply()
	r.Header.Set("WebHook-Allowed-Origin", value)
	// Both are required: https://learn.microsoft.com/azure/event-grid/end-point-validation-cloud-events-schema
	r.Header.Set("WebHook-Allowed-Rate", "*")
	r.Header.Set("Allow", http.MethodPost)
	return r, ""
}
