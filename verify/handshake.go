package verify

import (
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// handshake is how a provider finds out that an endpoint wants its webhooks.
type handshake struct {
	// head answers a request by its head alone. Nothing at all: it is no
	// handshake.
	head func(c *check) (*Reply, Reason)

	// unsigned answers a small POST by its body, which nothing needs to sign.
	// Nothing: it is no handshake, and whatever else is wrong with it counts.
	unsigned func(c *check) *Reply

	// signed answers a message that has been verified.
	signed func(c *check, m *Message) (*Reply, Reason)

	// token says that it takes a verify token, and needed that it can't be
	// answered without one.
	token, needed bool

	// oracle says which strings the handshake signs for anyone who asks, with
	// the key of the events. Content that is such a string is never accepted as
	// signed.
	oracle func(content string) bool
}

const (
	maxChallenge     = 256
	maxHandshakeBody = 8 << 10
)

// handshakes are the functions that rows name.
var handshakes = map[string]*handshake{
	"slack":              {signed: slackVerification},
	"twitch":             {signed: twitchVerification},
	"zoom":               {signed: zoomValidation, oracle: isChallenge},
	"xero":               {signed: emptyEvents},
	"line":               {signed: emptyEvents},
	"front":              {signed: frontChallenge},
	"discord":            {signed: discordPing},
	"dropbox-sign":       {signed: dropboxSignTest},
	"meta":               {head: metaSubscription, token: true, needed: true},
	"x":                  {head: xCRC, oracle: isChallenge},
	"linkedin":           {head: linkedinChallenge, oracle: isPlainChallenge},
	"braintree":          {head: braintreeChallenge, oracle: isBraintreeChallenge, token: true, needed: true},
	"ebay":               {head: ebayChallenge, token: true},
	"dropbox":            {head: echoQuery(http.MethodGet, "challenge")},
	"adobe-io":           {head: echoQuery(http.MethodGet, "challenge")},
	"nylas":              {head: echoQuery(http.MethodGet, "challenge")},
	"onfleet":            {head: echoQuery(http.MethodGet, "check")},
	"microsoft-graph":    {head: echoQuery(http.MethodPost, "validationToken")},
	"asana":              {head: echoHeader("X-Hook-Secret", "X-Hook-Secret", "X-Hook-Signature")},
	"smartsheet":         {head: echoHeader("Smartsheet-Hook-Challenge", "Smartsheet-Hook-Response", "")},
	"okta":               {head: oktaVerification},
	"adobe-acrobat-sign": {head: acrobatSignClient, token: true},
	"woocommerce":        {unsigned: wooCommercePing},
	"notion":             {unsigned: notionToken},
	"head":               {head: answerHead},
	"monday":             {unsigned: mondayChallenge},
	"azure-event-grid":   {head: eventGridOrigin, unsigned: eventGridValidation},
	"lark":               {unsigned: larkChallenge},
	"statsig":            {unsigned: statsigVerification},
}

// NeedsVerifyToken says whether the scheme's handshake is refused for as long as
// there is no Options.VerifyToken.
func (s Scheme) NeedsVerifyToken() bool {
	h := handshakes[s.Handshake]
	return h != nil && h.needed
}

// TakesVerifyToken says whether the scheme's handshake has a use for
// Options.VerifyToken.
func (s Scheme) TakesVerifyToken() bool {
	h := handshakes[s.Handshake]
	return h != nil && h.token
}

// isChallenge says whether a string is of the kind that providers send to be
// signed. Without a colon, a brace or a quote it can't pass for a signed event.
func isChallenge(s string) bool { return len(s) <= maxChallenge && isMadeOf(s, "._~+/=-") }

// isPlainChallenge is stricter: LinkedIn's signed events start with a word and
// an equals sign, which no challenge may hold.
func isPlainChallenge(s string) bool { return len(s) <= maxChallenge && isMadeOf(s, "-") }

// isEcho says whether a string is harmless to send back as text.
func isEcho(s string) bool { return s != "" && len(s) <= 4*maxChallenge && isPrintable(s) }

// textReply is a plain text that no browser takes for anything else.
func textReply(text string) *Reply {
	return reply("text/plain; charset=utf-8", []byte(text))
}

func jsonReply(v any) *Reply {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return reply("application/json", body)
}

func reply(contentType string, body []byte) *Reply {
	return &Reply{
		Status: http.StatusOK,
		Header: http.Header{"Content-Type": {contentType}, "X-Content-Type-Options": {"nosniff"}},
		Body:   body,
	}
}

func emptyReply() *Reply { return &Reply{Status: http.StatusOK, Header: http.Header{}} }

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
	if c.v.token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(c.v.token)) != 1 {
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
	if c.v.token == "" {
		return nil, ReasonBadVerifyToken
	}
	return textReply(c.v.token + "|" + hex.EncodeToString(c.v.keys[0].mac(value))), ""
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
	token := cmp.Or(c.v.token, string(c.v.keys[0].secret))
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
	if c.v.token != "" {
		known = subtle.ConstantTimeCompare([]byte(value), []byte(c.v.token))
	}
	sum := sha256.Sum256([]byte(value))
	if known|c.v.isSecret(sum[:]) != 1 {
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
	if !c.showsToken() {
		return nil, ReasonBadSignature
	}
	value, _, reason := c.in.headerOnce(header)
	if reason != "" || !isEcho(value) {
		return nil, ReasonBadChallenge
	}
	return jsonReply(map[string]string{"verification": value}), ""
}

// isSecret is 1 if the SHA-256 is that of one of the secrets, else 0.
func (v *Verifier) isSecret(sum []byte) int {
	known := 0
	for _, k := range v.keys {
		secret := sha256.Sum256(k.secret)
		known |= subtle.ConstantTimeCompare(sum, secret[:])
	}
	return known
}

// showsToken says whether what was read as the signature is one of the secrets.
func (c *check) showsToken() bool {
	known := 0
	for i := range c.lanes {
		for j := range c.lanes[i].macs {
			known |= c.v.isSecret(c.lanes[i].macs[j].bytes()) // as decodeMAC takes a token
		}
	}
	return known == 1
}

// wooCommercePing answers the form webhook_id=… that WooCommerce posts unsigned
// when a webhook is saved. It goes no further.
func wooCommercePing(c *check) *Reply {
	if c.in.contentType() != typeForm || c.in.size > maxChallenge {
		return nil
	}
	for _, name := range [...]string{"X-Wc-Webhook-Signature", "X-Wc-Webhook-Topic", "X-Wc-Webhook-Delivery-Id"} {
		if len(c.in.header[name]) > 0 {
			return nil
		}
	}
	raw, reason := c.in.bytes()
	id, found := bytes.CutPrefix(raw, []byte("webhook_id="))
	if reason != "" || !found || len(id) == 0 || len(bytes.Trim(id, "0123456789")) > 0 {
		return nil
	}
	return emptyReply()
}

// notionToken takes the token that Notion posts, unsigned, when a subscription
// is made, and that its webhooks are signed with from then on. It goes no
// further, and does not become the key: whoever calls first could choose it.
func notionToken(c *check) *Reply {
	if len(c.in.header["X-Notion-Signature"]) > 0 {
		return nil
	}
	fields := c.smallObject("verification_token")
	if value, ok := fields["verification_token"].(string); !ok || len(fields) != 1 || !isChallenge(value) {
		return nil
	}
	return emptyReply()
}

// smallJSON is a small JSON body as a document, if the word occurs in it: most
// bodies are events, and need no parsing.
func (c *check) smallJSON(word string) (jsonDocument, bool) {
	if c.in.size == 0 || c.in.size > maxHandshakeBody {
		return nil, false
	}
	raw, reason := c.in.bytes()
	if reason != "" || !bytes.Contains(raw, []byte(word)) {
		return nil, false
	}
	document, reason := c.in.json()
	return document, reason == ""
}

// smallObject is a small JSON body as an object, if the word occurs in it.
func (c *check) smallObject(word string) (fields map[string]any) {
	document, ok := c.smallJSON(word)
	if !ok || json.Unmarshal(document, &fields) != nil {
		return nil
	}
	return fields
}

// mayBeChallenge says whether a request that is refused by its head could be a
// handshake by its body.
func (c *check) mayBeChallenge() bool {
	h := c.v.handshake
	return h != nil && h.unsigned != nil && c.in.method == http.MethodPost && c.in.size > 0 && c.in.size <= maxHandshakeBody
}

// mondayChallenge sends back a body that is a challenge and nothing else.
func mondayChallenge(c *check) *Reply {
	fields := c.smallObject("challenge")
	value, ok := fields["challenge"].(string)
	if !ok || len(fields) != 1 || !isEcho(value) {
		return nil
	}
	return jsonReply(map[string]string{"challenge": value})
}

// statsigVerification sends the code back with which Statsig tests a URL.
func statsigVerification(c *check) *Reply {
	document, ok := c.smallJSON("url_verification")
	if !ok {
		return nil
	}
	if kind, _, _ := document.text(jsonPath{"data", "event"}); kind != "url_verification" {
		return nil
	}
	value, found, reason := document.text(jsonPath{"data", "verification_code"})
	if reason != "" || !found || !isEcho(value) {
		return nil
	}
	return jsonReply(map[string]string{"verification_code": value})
}

// larkChallenge answers the challenge with which Lark tests a URL. Nothing signs
// it, but it is encrypted with the secret, like events, which are signed too.
func larkChallenge(c *check) *Reply {
	if len(c.in.header["X-Lark-Signature"]) > 0 {
		return nil
	}
	text, _ := c.smallObject("encrypt")["encrypt"].(string)
	for _, k := range c.v.keys {
		var challenge struct{ Type, Challenge string }
		if json.Unmarshal(larkDecrypt(k.secret, text), &challenge) == nil && challenge.Type == "url_verification" && isEcho(challenge.Challenge) {
			return jsonReply(map[string]string{"challenge": challenge.Challenge})
		}
	}
	return nil
}

// larkDecrypt is the JSON object in AES-256-CBC, behind its IV, without what pads
// it: EventDecrypt in larksuite/oapi-sdk-go.
func larkDecrypt(secret []byte, text string) []byte {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) < aes.BlockSize || len(raw)%aes.BlockSize != 0 {
		return nil
	}
	key := sha256.Sum256(secret)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 32 bytes always are a key
	}
	iv, object := raw[:aes.BlockSize], raw[aes.BlockSize:]
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(object, object)
	return object[:bytes.LastIndexByte(object, '}')+1]
}

// eventGridValidation answers the one event that Event Grid sends in its own
// schema when a subscription is made.
func eventGridValidation(c *check) *Reply {
	if kind, _, reason := c.in.headerOnce("Aeg-Event-Type"); reason != "" || kind != "SubscriptionValidation" {
		return nil
	}
	document, ok := c.smallJSON("validationCode")
	if !ok {
		return nil
	}
	if events, reason := document.elements(jsonPath{}); reason != "" || len(events) != 1 {
		return nil
	}
	value, found, reason := document.text(jsonPath{"0", "data", "validationCode"})
	if reason != "" || !found || !isEcho(value) {
		return nil
	}
	return jsonReply(map[string]string{"validationResponse": value})
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

// dropboxSignReceived is what Dropbox Sign wants to hear.
const dropboxSignReceived = "Hello API Event Received"

// dropboxSignTest answers the test of a callback's URL, which is signed like an
// event.
func dropboxSignTest(c *check, m *Message) (*Reply, Reason) {
	if m.EventType != "callback_test" {
		return nil, ""
	}
	return textReply(dropboxSignReceived), ""
}

// slackVerification answers url_verification, which Slack signs like an event.
func slackVerification(c *check, m *Message) (*Reply, Reason) {
	document, ok := c.smallJSON("url_verification")
	if !ok {
		return nil, ""
	}
	if kind, _, _ := document.text(jsonPath{"type"}); kind != "url_verification" {
		return nil, ""
	}
	value, found, reason := document.text(jsonPath{"challenge"})
	if reason != "" || !found || !isEcho(value) {
		return nil, ReasonBadChallenge
	}
	return textReply(value), ""
}

// twitchVerification answers a challenge. Twitch names it in a header that is
// not signed, so header and body must agree: else a challenge could be passed
// off as an event, and an event swallowed as a challenge.
func twitchVerification(c *check, m *Message) (*Reply, Reason) {
	kind, _, reason := c.in.headerOnce("Twitch-Eventsub-Message-Type")
	if reason != "" {
		return nil, reason
	}
	named := kind == "webhook_callback_verification"
	var value string
	var found bool
	if document, ok := c.smallJSON("challenge"); ok {
		value, found, _ = document.text(jsonPath{"challenge"})
	}
	switch {
	case !named && !found:
		return nil, ""
	case named && found && isEcho(value):
		return textReply(value), ""
	}
	return nil, ReasonBadChallenge
}

// zoomValidation signs a token with the key that signed the request itself.
func zoomValidation(c *check, m *Message) (*Reply, Reason) {
	document, ok := c.smallJSON("url_validation")
	if !ok {
		return nil, ""
	}
	if kind, _, _ := document.text(jsonPath{"event"}); kind != "endpoint.url_validation" {
		return nil, ""
	}
	value, found, reason := document.text(jsonPath{"payload", "plainToken"})
	if reason != "" || !found || !isChallenge(value) {
		return nil, ReasonBadChallenge
	}
	return jsonReply(struct {
		PlainToken     string `json:"plainToken"`
		EncryptedToken string `json:"encryptedToken"`
	}{value, hex.EncodeToString(c.v.keys[m.SecretIndex].mac(value))}), ""
}

// emptyEvents answers the probes that are a signed list of no events: Xero's
// intent to receive, LINE's verify button.
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

// discordPing answers PING: an interaction of type 1, or a webhook event of
// type 0. An event is of type 1 too, but holds an event.
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
