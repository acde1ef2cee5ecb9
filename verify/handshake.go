package verify

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// handshake answers the requests with which a provider checks that an endpoint wants its
// webhooks. The zero value answers none.
type handshake struct {
	// head answers a request by its method, URL and headers. If it returns neither a
	// reply nor a reason, the request is not a handshake.
	head func(c *check) (*Reply, Reason)

	// unsigned answers a small POST by its body, which need not be signed. If it returns
	// nil, the request is not a handshake, and is refused if anything is wrong with it.
	unsigned func(c *check) *Reply

	// signed answers a verified message. If it returns neither a reply nor a reason, the
	// message is an event.
	signed func(c *check, m *Message) (*Reply, Reason)

	// takesToken: the handshake uses Options.VerifyToken. needsToken: it is refused
	// without one.
	takesToken, needsToken bool

	// oracle reports whether the handshake signs a string for anyone who asks, with the
	// key that also signs events. Such a string is never accepted as signed content, so
	// it must have a form that no event has.
	oracle func(content string) bool
}

const (
	maxChallenge     = 256     // the length of a challenge
	maxHandshakeBody = 8 << 10 // the size of a body that can be a handshake
)

// handshakes are the values of Scheme.Handshake.
var handshakes = map[string]handshake{
	"meta":               {head: onQuery(http.MethodGet, "hub.challenge", isEcho, metaSubscription), takesToken: true, needsToken: true},
	"x":                  {head: onQuery(http.MethodGet, "crc_token", isChallenge, xCRC), oracle: isChallenge},
	"linkedin":           {head: onQuery(http.MethodGet, "challengeCode", isPlainChallenge, linkedinChallenge), oracle: isPlainChallenge},
	"braintree":          {head: onQuery(http.MethodGet, "bt_challenge", isBraintreeChallenge, braintreeChallenge), oracle: isBraintreeChallenge, takesToken: true, needsToken: true},
	"ebay":               {head: onQuery(http.MethodGet, "challenge_code", isChallenge, ebayChallenge), takesToken: true},
	"dropbox":            {head: onQuery(http.MethodGet, "challenge", isEcho, echo)},
	"adobe-io":           {head: onQuery(http.MethodGet, "challenge", isEcho, echo)},
	"nylas":              {head: onQuery(http.MethodGet, "challenge", isEcho, echo)},
	"onfleet":            {head: onQuery(http.MethodGet, "check", isEcho, echo)},
	"microsoft-graph":    {head: onQuery(http.MethodPost, "validationToken", isEcho, echo)},
	"asana":              {head: onHeader(http.MethodPost, "X-Hook-Secret", isAny, asanaSecret)},
	"smartsheet":         {head: onHeader(http.MethodPost, "Smartsheet-Hook-Challenge", isChallenge, smartsheetChallenge)},
	"okta":               {head: onHeader(http.MethodGet, "X-Okta-Verification-Challenge", isAny, oktaVerification)},
	"adobe-acrobat-sign": {head: onHeader(http.MethodGet, acrobatClient, isAny, acrobatSignClient), takesToken: true},
	"head":               {head: answerHead},

	"woocommerce":      {unsigned: wooCommercePing},
	"notion":           {unsigned: notionToken},
	"monday":           {unsigned: mondayChallenge},
	"azure-event-grid": {head: onHeader(http.MethodOptions, "Webhook-Request-Origin", isChallenge, eventGridOrigin), unsigned: eventGridValidation},
	"lark":             {unsigned: larkChallenge},
	"statsig":          {unsigned: statsigVerification},

	"slack":        {signed: slackVerification},
	"twitch":       {signed: twitchVerification},
	"zoom":         {signed: zoomValidation, oracle: isChallenge},
	"xero":         {signed: emptyEvents},
	"line":         {signed: emptyEvents},
	"front":        {signed: frontChallenge},
	"discord":      {signed: discordPing},
	"dropbox-sign": {signed: dropboxSignTest},
}

func (p *plan) compileHandshake() error {
	name := p.scheme.Handshake
	p.handshake = handshakes[name]
	if p.handshake.oracle != nil && cmp.Or(p.scheme.Construction, "hmac") != "hmac" {
		return fmt.Errorf("%q answers with an HMAC, and construction %s has none; start from a provider without this handshake", name, p.scheme.Construction)
	}
	return checkOptional(name, sortedKeys(handshakes))
}

// NeedsVerifyToken reports whether the scheme's handshake is refused without an
// Options.VerifyToken.
func (s Scheme) NeedsVerifyToken() bool { return handshakes[s.Handshake].needsToken }

// TakesVerifyToken reports whether the scheme's handshake uses Options.VerifyToken.
func (s Scheme) TakesVerifyToken() bool { return handshakes[s.Handshake].takesToken }

// isChallenge reports whether a string has the form of the challenges that providers send
// to be signed. Without a colon, a brace or a quote it can't pass for a signed event.
func isChallenge(s string) bool { return len(s) <= maxChallenge && isMadeOf(s, "._~+/=-") }

// isPlainChallenge is stricter: LinkedIn's signed events start with a word and an equals
// sign, which no challenge may contain.
func isPlainChallenge(s string) bool { return len(s) <= maxChallenge && isMadeOf(s, "-") }

// isEcho reports whether a string is harmless to send back as text.
func isEcho(s string) bool { return s != "" && len(s) <= 4*maxChallenge && isPrintable(s) }

// isAny leaves the check to what answers, which looks at something else first.
func isAny(string) bool { return true }

// textReply returns a plain text that browsers don't interpret as anything else.
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

func headerReply(name, value string) *Reply {
	r := emptyReply()
	r.Header.Set(name, value)
	return r
}

func emptyReply() *Reply { return &Reply{Status: http.StatusOK, Header: http.Header{}} }

// smallJSON returns a small JSON body as a document, if the word occurs in it. Most
// bodies are events, and need not be parsed.
func (c *check) smallJSON(word string) (*jsonDocument, bool) {
	if c.in.size > maxHandshakeBody {
		return nil, false
	}
	raw, reason := c.in.bytes()
	if reason != "" || !bytes.Contains(raw, []byte(word)) {
		return nil, false
	}
	document, reason := c.in.json()
	return document, reason == ""
}

// jsonChallenge returns the challenge in a small JSON body that says of itself that it is
// one: there is this kind at the first path, and the challenge at the second. Otherwise it
// is not found.
func (c *check) jsonChallenge(kindAt, kind, at string, valid func(string) bool) (challenge string, found bool, reason Reason) {
	document, ok := c.smallJSON(kind)
	if !ok {
		return "", false, ""
	}
	if text, _, _ := document.text(strings.Split(kindAt, ".")); text != kind {
		return "", false, ""
	}
	challenge, found, reason = document.text(strings.Split(at, "."))
	if reason != "" || !found || !valid(challenge) {
		return "", false, ReasonBadChallenge
	}
	return challenge, true, ""
}

// mayBeChallenge reports whether the body of a POST, whose head would be refused, could
// still make it a handshake.
func (c *check) mayBeChallenge() bool {
	return c.v.handshake.unsigned != nil && c.in.size > 0 && c.in.size <= maxHandshakeBody
}
