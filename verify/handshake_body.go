package verify

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// wooCommercePing answers the unsigned form webhook_id=… that WooCommerce posts when a
// webhook is saved. The app doesn't see it.
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

// notionToken answers the unsigned message with which Notion, when a subscription is
// created, sends the token that signs its webhooks from then on. The app doesn't see it,
// and it does not become the key, or anyone who calls first could choose the key.
func notionToken(c *check) *Reply {
	if len(c.in.header["X-Notion-Signature"]) > 0 {
		return nil
	}
	if token, ok := c.onlyField("verification_token"); !ok || !isChallenge(token) {
		return nil
	}
	return emptyReply()
}

// smallObject returns a small JSON body as an object, if the word occurs in it.
func (c *check) smallObject(word string) (fields map[string]any) {
	document, ok := c.smallJSON(word)
	if !ok || json.Unmarshal(document.bytes, &fields) != nil {
		return nil
	}
	return fields
}

// onlyField returns the text of a field of a small JSON object that has no other field.
func (c *check) onlyField(name string) (text string, ok bool) {
	fields := c.smallObject(name)
	text, ok = fields[name].(string)
	return text, ok && len(fields) == 1
}

// mondayChallenge sends back a body that only has a challenge.
func mondayChallenge(c *check) *Reply {
	challenge, ok := c.onlyField("challenge")
	if !ok || !isEcho(challenge) {
		return nil
	}
	return jsonReply(map[string]string{"challenge": challenge})
}

// statsigVerification sends back the code with which Statsig tests a URL.
func statsigVerification(c *check) *Reply {
	code, found, _ := c.jsonChallenge("data.event", "url_verification", "data.verification_code", isEcho)
	if !found {
		return nil
	}
	return jsonReply(map[string]string{"verification_code": code})
}

// larkChallenge answers the challenge with which Lark tests a URL. It isn't signed, but
// it is encrypted with the secret, like events, which are signed as well.
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

// larkDecrypt decrypts a JSON object in AES-256-CBC, which follows its IV, and removes
// the padding, as EventDecrypt in larksuite/oapi-sdk-go does.
func larkDecrypt(secret []byte, text string) []byte {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) < aes.BlockSize || len(raw)%aes.BlockSize != 0 {
		return nil
	}
	key := sha256.Sum256(secret)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 32 bytes are always a key
	}
	iv, object := raw[:aes.BlockSize], raw[aes.BlockSize:]
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(object, object)
	return object[:bytes.LastIndexByte(object, '}')+1]
}

// eventGridValidation answers the validation event that Event Grid sends in its own
// schema when a subscription is created.
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
