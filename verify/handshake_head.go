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

// onHeader returns a handshake that answers the challenge in a header. With another method,
// or without the header, the request is not a handshake.
func onHeader(method, name string, valid func(string) bool, answer func(c *check, challenge string) (*Reply, Reason)) func(*check) (*Reply, Reason) {
	return func(c *check) (*Reply, Reason) {
		if c.in.method != method || len(c.in.header[name]) == 0 {
			return nil, ""
		}
		value, _, reason := c.in.headerOnce(name)
		if reason != "" || !valid(value) {
			return nil, ReasonBadChallenge
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

// acrobatClient is the header with the client id, which Acrobat Sign wants back.
const acrobatClient = "X-Adobesign-Clientid"

// acrobatSignClient sends the client id back if it is one of the secrets or the verify
// token.
func acrobatSignClient(c *check, id string) (*Reply, Reason) {
	known := 0
	if c.v.verifyToken != "" {
		known = subtle.ConstantTimeCompare([]byte(id), []byte(c.v.verifyToken))
	}
	sum := sha256.Sum256([]byte(id))
	if known|c.v.matchesSecret(sum[:]) != 1 {
		return nil, ReasonBadVerifyToken
	}
	return headerReply(acrobatClient, id), ""
}

// asanaSecret sends the secret of a new webhook back. With a signature, the request is an
// event. The secret does not become the key, or anyone who calls first could choose the key.
func asanaSecret(c *check, secret string) (*Reply, Reason) {
	if len(c.in.header["X-Hook-Signature"]) > 0 {
		return nil, ""
	}
	if !isChallenge(secret) {
		return nil, ReasonBadChallenge
	}
	return headerReply("X-Hook-Secret", secret), ""
}

// smartsheetChallenge sends the challenge back.
func smartsheetChallenge(_ *check, challenge string) (*Reply, Reason) {
	return headerReply("Smartsheet-Hook-Response", challenge), ""
}

// oktaVerification sends the challenge back to a caller that sends the token, as Okta
// does with every request.
func oktaVerification(c *check, challenge string) (*Reply, Reason) {
	if reason := c.readSignature(); reason != "" {
		return nil, reason
	}
	if !c.hasValidToken() {
		return nil, ReasonBadSignature
	}
	if !isEcho(challenge) {
		return nil, ReasonBadChallenge
	}
	return jsonReply(map[string]string{"verification": challenge}), ""
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
func eventGridOrigin(_ *check, origin string) (*Reply, Reason) {
	r := headerReply("WebHook-Allowed-Origin", origin)
	// Both are required: https://learn.microsoft.com/azure/event-grid/end-point-validation-cloud-events-schema
	r.Header.Set("WebHook-Allowed-Rate", "*")
	r.Header.Set("Allow", http.MethodPost)
	return r, ""
}
