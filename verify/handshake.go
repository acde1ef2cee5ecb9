package verify

import (
	"bytes"
	"encoding/json"
	"net/http"
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
	takesToken, needsToken bool

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
	"meta":               {head: metaSubscription, takesToken: true, needsToken: true},
	"x":                  {head: xCRC, oracle: isChallenge},
	"linkedin":           {head: linkedinChallenge, oracle: isPlainChallenge},
	"braintree":          {head: braintreeChallenge, oracle: isBraintreeChallenge, takesToken: true, needsToken: true},
	"ebay":               {head: ebayChallenge, takesToken: true},
	"dropbox":            {head: echoQuery(http.MethodGet, "challenge")},
	"adobe-io":           {head: echoQuery(http.MethodGet, "challenge")},
	"nylas":              {head: echoQuery(http.MethodGet, "challenge")},
	"onfleet":            {head: echoQuery(http.MethodGet, "check")},
	"microsoft-graph":    {head: echoQuery(http.MethodPost, "validationToken")},
	"asana":              {head: echoHeader("X-Hook-Secret", "X-Hook-Secret", "X-Hook-Signature")},
	"smartsheet":         {head: echoHeader("Smartsheet-Hook-Challenge", "Smartsheet-Hook-Response", "")},
	"okta":               {head: oktaVerification},
	"adobe-acrobat-sign": {head: acrobatSignClient, takesToken: true},
	"head":               {head: answerHead},

	"woocommerce":      {unsigned: wooCommercePing},
	"notion":           {unsigned: notionToken},
	"monday":           {unsigned: mondayChallenge},
	"azure-event-grid": {head: eventGridOrigin, unsigned: eventGridValidation},
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

// NeedsVerifyToken says whether the scheme's handshake is refused for as long as
// there is no Options.VerifyToken.
func (s Scheme) NeedsVerifyToken() bool {
	h := handshakes[s.Handshake]
	return h != nil && h.needsToken
}

// TakesVerifyToken says whether the scheme's handshake has a use for
// Options.VerifyToken.
func (s Scheme) TakesVerifyToken() bool {
	h := handshakes[s.Handshake]
	return h != nil && h.takesToken
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

// smallJSON is a small JSON body as a document, if the word occurs in it: most
// bodies are events, and need no parsing.
func (c *check) smallJSON(word string) (jsonDocument, bool) {
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

// mayBeChallenge says whether a POST that is refused by its head could be a
// handshake by its body.
func (c *check) mayBeChallenge() bool {
	h := c.v.handshake
	return h != nil && h.unsigned != nil && c.in.size > 0 && c.in.size <= maxHandshakeBody
}
