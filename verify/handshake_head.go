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

// challenge is a query parameter of a request with this method; not found: the
// request is no handshake.
func (c *check) challenge(method, name string, valid func(string) bool) (value string, found bool, reason Reason) {
	if c.in.method != method || !strings.Contains(c.in.url.RawQuery, name+"=") {
		return "", false, ""
	}
	value, found, reason = c.in.queryOnce(name)
	if reason != "" || found && !valid(value) {
		return "", false, ReasonBadChallenge
	}
	return value, found, ""
}

func echoQuery(method, name string) func(*check) (*Reply, Reason) {
	return func(c *check) (*Reply, Reason) {
		value, found, reason := c.challenge(method, name, isEcho)
		if !found {
			return nil, reason
		}
		return textReply(value), ""
	}
}

func answerHead(c *check) (*Reply, Reason) {
	if c.in.method != http.MethodHead {
		return nil, ""
	}
	return emptyReply(), ""
}

// metaSubscription answers hub.challenge to whoever knows the verify token.
func metaSubscription(c *check) (*Reply, Reason) {
	value, found, reason := c.challenge(http.MethodGet, "hub.challenge", isEcho)
	if !found {
		return nil, reason
	}
	mode, _, _ := c.in.queryOnce("hub.mode")
	token, _, reason := c.in.queryOnce("hub.verify_token")
	if reason != "" || mode != "subscribe" {
		return nil, ReasonBadChallenge
	}
	if c.v.verifyToken == "" || subtle.ConstantTimeCompare([]byte(token), []byte(c.v.verifyToken)) != 1 {
		return nil, ReasonBadVerifyToken
	}
	return textReply(value), ""
}

// xCRC signs a challenge with the events' key: of the kind that no event is.
func xCRC(c *check) (*Reply, Reason) {
	value, found, reason := c.challenge(http.MethodGet, "crc_token", isChallenge)
	if !found {
		return nil, reason
	}
	return jsonReply(map[string]string{
		"response_token": "sha256=" + base64.StdEncoding.EncodeToString(c.v.keys[0].mac(value)),
	}), ""
}

func linkedinChallenge(c *check) (*Reply, Reason) {
	value, found, reason := c.challenge(http.MethodGet, "challengeCode", isPlainChallenge)
	if !found {
		return nil, reason
	}
	return jsonReply(map[string]string{
		"challengeCode":     value,
		"challengeResponse": hex.EncodeToString(c.v.keys[0].mac(value)),
	}), ""
}

// braintreeChallenge needs the public key, which is the verify token.
func braintreeChallenge(c *check) (*Reply, Reason) {
	value, found, reason := c.challenge(http.MethodGet, "bt_challenge", isBraintreeChallenge)
	if !found {
		return nil, reason
	}
	if c.v.verifyToken == "" {
		return nil, ReasonBadVerifyToken
	}
	return textReply(c.v.verifyToken + "|" + hex.EncodeToString(c.v.keys[0].mac(value))), ""
}

func isBraintreeChallenge(s string) bool {
	return len(s) >= 20 && len(s) <= 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// ebayChallenge proves to eBay that its verification token is known here. The
// token is the verify token, or the secret where there is none.
func ebayChallenge(c *check) (*Reply, Reason) {
	value, found, reason := c.challenge(http.MethodGet, "challenge_code", isChallenge)
	if !found {
		return nil, reason
	}
	token := cmp.Or(c.v.verifyToken, string(c.v.keys[0].secret))
	query := slices.DeleteFunc(strings.Split(c.in.url.RawQuery, "&"), func(part string) bool {
		return part == "" || strings.HasPrefix(part, "challenge_code=")
	})
	endpoint := c.in.origin() + c.in.path
	if len(query) > 0 {
		endpoint += "?" + strings.Join(query, "&")
	}
	sum := sha256.Sum256([]byte(value + token + endpoint))
	return jsonReply(map[string]string{"challengeResponse": hex.EncodeToString(sum[:])}), ""
}

// acrobatSignClient sends the client id back, if it is one that is known here:
// a secret or the verify token.
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

// echoHeader sends a header's value back, unless there is a signature's header beside
// it: then it is an event. Asana's value is a new webhook's secret, which does not
// become the key: whoever calls first could choose it.
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

// oktaVerification answers whoever shows the token, as Okta does in every request.
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

// isSecret is 1 if the SHA-256 is that of one of the secrets, else 0.
func (v *Verifier) matchesSecret(sum []byte) int {
	known := 0
	for _, k := range v.keys {
		secret := sha256.Sum256(k.secret)
		known |= subtle.ConstantTimeCompare(sum, secret[:])
	}
	return known
}

// showsToken says whether what was read as the signature is one of the secrets.
func (c *check) hasValidToken() bool {
	known := 0
	for i := range c.candidates {
		for j := range c.candidates[i].macs {
			known |= c.v.matchesSecret(c.candidates[i].macs[j].bytes()) // as decodeMAC takes a token
		}
	}
	return known == 1
}

// eventGridOrigin allows the sender of events in the CloudEvents schema.
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
	// Both are demanded: https://learn.microsoft.com/azure/event-grid/end-point-validation-cloud-events-schema
	r.Header.Set("WebHook-Allowed-Rate", "*")
	r.Header.Set("Allow", http.MethodPost)
	return r, ""
}
