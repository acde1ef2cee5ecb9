package verify_test

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
)

// computed returns the vectors of all examples. Unless they set another time, they are
// verified at testNow.
func computed() []vector {
	var list []vector
	for _, v := range slices.Concat(examples(), bodyExamples(), timeExamples(), familyExamples()) {
		list = append(list, v.compute())
	}
	return list
}

// compute fills in the signature.
func (v vector) compute() vector {
	v.source = "computed"
	v.at = cmp.Or(v.at, testNow)
	if v.hash == nil {
		v.hash = sha256.New
	}
	signed := strings.ReplaceAll(cmp.Or(v.signed, "{body}"), "{body}", v.body)
	sum := mac(v.hash, cmp.Or(v.key, v.secret), signed)
	if v.plain {
		h := v.hash()
		h.Write([]byte(signed))
		sum = h.Sum(nil)
	}
	if v.sign != nil {
		sum = v.sign(signed)
	}
	fill := strings.NewReplacer(
		"{hex}", hex.EncodeToString(sum),
		"{HEX}", strings.ToUpper(hex.EncodeToString(sum)),
		"{base64}", base64.StdEncoding.EncodeToString(sum),
		"{base64url}", base64.URLEncoding.EncodeToString(sum),
		"{base64url_raw}", base64.RawURLEncoding.EncodeToString(sum),
	)
	v.url = fill.Replace(v.url)
	v.body = fill.Replace(v.body)
	filled := make(map[string]string)
	for name, value := range v.header {
		filled[name] = fill.Replace(value)
	}
	v.header = filled
	return v
}

func examples() []vector {
	digest := func(text string) string {
		sum := sha1.Sum([]byte(text))
		return string(sum[:])
	}
	private := ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	public := private.Public().(ed25519.PublicKey)
	signEd25519 := func(content string) []byte { return ed25519.Sign(private, []byte(content)) }
	return []vector{
		{
			scheme: "gitlab", secret: "whsec_" + key32,
			header: map[string]string{"webhook-id": "f5e5f430-f57b-4e6e-9fac-d9128cd7232f", "webhook-timestamp": unixNow, "webhook-signature": "v1,{base64}", "X-Gitlab-Event": "Push Hook"},
			body:   `{"object_kind":"push"}`,
			id:     "f5e5f430-f57b-4e6e-9fac-d9128cd7232f", event: "Push Hook",
			key:    decode(key32),
			signed: "f5e5f430-f57b-4e6e-9fac-d9128cd7232f." + unixNow + ".{body}",
		},
		{
			scheme: "svix", secret: "whsec_" + key32,
			header: map[string]string{"svix-id": "msg_1", "svix-timestamp": unixNow, "svix-signature": "v1,AAAA v1a,xyz v1,{base64}"},
			body:   `{"type":"user.created"}`,
			id:     "msg_1", event: "user.created",
			key:    decode(key32),
			signed: "msg_1." + unixNow + ".{body}",
		},
		{
			scheme: "stripe", secret: "whsec_test_secret",
			header: map[string]string{"Stripe-Signature": "t=" + unixNow + ",v1={hex},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"},
			body:   `{"id":"evt_1","object":"event","data":{"object":{"id":"pi_1","type":"card"}},"type":"payment_intent.succeeded"}`,
			id:     "evt_1", event: "payment_intent.succeeded",
			signed: unixNow + ".{body}",
		},
		{
			scheme: "shopify", secret: "hush",
			header: map[string]string{"X-Shopify-Hmac-SHA256": "{base64}", "X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"},
			body:   `{"id":820982911946154508}`,
			id:     "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", event: "orders/create",
		},
		{
			scheme: "linear", secret: "lin_wh_secret",
			header: map[string]string{"Linear-Signature": "{hex}", "Linear-Delivery": "234d1a4e-b617-4388-90fe-adc3633d6b72", "Linear-Event": "Comment", "Linear-Timestamp": "1"},
			body:   `{"action":"create","type":"Issue","webhookTimestamp":` + milliNow + `}`,
			id:     "234d1a4e-b617-4388-90fe-adc3633d6b72", event: "Issue",
		},
		{
			scheme: "meta", secret: "app-secret",
			header: map[string]string{"X-Hub-Signature-256": "sha256={hex}", "X-Hub-Signature": "sha1=00"},
			body:   `{"object":"page","entry":[]}`,
			event:  "page",
		},
		{
			scheme: "x", secret: "consumer-secret",
			header: map[string]string{"x-twitter-webhooks-signature": "sha256={base64}"},
			body:   `{"for_user_id":"1"}`,
		},
		{
			scheme: "linkedin", secret: "client-secret",
			header: map[string]string{"X-LI-Signature": "{hex}"},
			body:   `{"type":"x"}`,
			signed: "hmacsha256={body}",
		},
		{
			scheme: "dropbox", secret: "app-secret",
			header: map[string]string{"X-Dropbox-Signature": "{hex}"},
			body:   `{"list_folder":{"accounts":["dbid:x"]}}`,
		},
		{
			scheme: "asana", secret: "b537207f20cbfa02357cf448134da559",
			header: map[string]string{"X-Hook-Signature": "{hex}"},
			body:   `{"events":[{"action":"changed"}]}`,
			event:  "changed",
		},
		{
			scheme: "xero", secret: "c2VjcmV0",
			header: map[string]string{"x-xero-signature": "{base64}"},
			body:   `{"events":[{"eventType":"UPDATE"}]}`,
			event:  "UPDATE",
		},
		{
			scheme: "line", secret: "channel-secret",
			header: map[string]string{"x-line-signature": "{base64}"},
			body:   `{"destination":"x","events":[{"type":"message","webhookEventId":"01H"}]}`,
			event:  "message",
		},
		{
			scheme: "onfleet", secret: "00ffaa",
			header: map[string]string{"X-Onfleet-Signature": "{hex}"},
			body:   `{"taskId":"x"}`,
			hash:   sha512.New,
			key:    "\x00\xff\xaa",
		},
		{
			scheme: "twitch", secret: "s3cre77890ab",
			header: map[string]string{
				"Twitch-Eventsub-Message-Signature": "sha256={hex}", "Twitch-Eventsub-Message-Id": "e76c6bd4-55c9-4987-8304-da1588d8988b",
				"Twitch-Eventsub-Message-Timestamp": "2023-11-14T22:13:20.634234626Z", "Twitch-Eventsub-Message-Type": "notification",
				"Twitch-Eventsub-Subscription-Type": "channel.ban",
			},
			body: `{"subscription":{"type":"channel.follow"},"event":{}}`,
			id:   "e76c6bd4-55c9-4987-8304-da1588d8988b", event: "channel.follow",
			signed: "e76c6bd4-55c9-4987-8304-da1588d8988b2023-11-14T22:13:20.634234626Z{body}",
		},
		{
			scheme: "front", secret: "app-secret",
			header: map[string]string{"X-Front-Signature": "{base64}", "X-Front-Request-Timestamp": milliNow},
			body:   `{"type":"inbound"}`,
			event:  "inbound",
			signed: milliNow + ":{body}",
		},
		{
			scheme: "paddle", secret: "pdl_ntfset_secret",
			header: map[string]string{"Paddle-Signature": "ts=" + unixNow + ";h1={hex}"},
			body:   `{"event_id":"evt_01","event_type":"transaction.paid"}`,
			id:     "evt_01", event: "transaction.paid",
			signed: unixNow + ":{body}",
		},
		{
			scheme: "zoom", secret: "zoom-secret",
			header: map[string]string{"x-zm-signature": "v0={hex}", "x-zm-request-timestamp": unixNow},
			body:   `{"event":"meeting.started","payload":{}}`,
			event:  "meeting.started",
			signed: "v0:" + unixNow + ":{body}",
		},
		{
			scheme: "trello", secret: "trello-secret",
			header: map[string]string{"X-Trello-Webhook": "{base64}"},
			body:   `{"action":{"id":"51f9424bcd6e040f3c002412","type":"updateCard"}}`,
			id:     "51f9424bcd6e040f3c002412", event: "updateCard",
			hash:   sha1.New,
			signed: "{body}https://hooks.example.com/in",
		},
		{
			scheme: "appwrite", secret: "appwrite-key",
			header: map[string]string{"X-Appwrite-Webhook-Signature": "{base64}", "X-Appwrite-Webhook-Id": "w1", "X-Appwrite-Webhook-Delivery-Id": "d1", "X-Appwrite-Webhook-Events": "users.u1.create,users.*.create"},
			body:   `{"$id":"u1"}`,
			id:     "d1",
			hash:   sha1.New,
			signed: "https://hooks.example.com/in{body}",
		},
		{
			scheme: "mandrill", secret: "mandrill-key",
			header: map[string]string{"X-Mandrill-Signature": "{base64}", "Content-Type": "application/x-www-form-urlencoded"},
			body:   "mandrill_events=%5B%7B%22event%22%3A%22send%22%7D%5D",
			hash:   sha1.New,
			signed: `https://hooks.example.com/inmandrill_events[{"event":"send"}]`,
		},
		{
			scheme: "hubspot", secret: "hubspot-secret",
			url:    "https://hooks.example.com/in?a=x%2Fy%20z",
			header: map[string]string{"X-HubSpot-Signature-v3": "{base64}", "X-HubSpot-Request-Timestamp": milliNow},
			body:   `[{"eventId":1,"subscriptionType":"contact.creation"}]`,
			event:  "contact.creation",
			signed: "POSThttps://hooks.example.com/in?a=x/y%20z{body}" + milliNow,
		},
		{
			scheme: "hubspot", secret: "hubspot-secret",
			url:    "https://hooks.example.com/in?a=x%2Fy%20z",
			header: map[string]string{"X-HubSpot-Signature-v3": "{base64}", "X-HubSpot-Request-Timestamp": milliNow},
			body:   `[{"eventId":1,"subscriptionType":"contact.creation"}]`,
			event:  "contact.creation",
			signed: "POSThttps://hooks.example.com/in?a=x%2Fy%20z{body}" + milliNow,
		},
		{
			scheme: "hubspot-v2", secret: "hubspot-secret",
			header: map[string]string{"X-HubSpot-Signature": "{hex}", "X-HubSpot-Signature-Version": "v2"},
			body:   `[{"eventId":1,"subscriptionType":"contact.creation"}]`,
			event:  "contact.creation",
			plain:  true,
			signed: "hubspot-secretPOSThttps://hooks.example.com/in{body}",
		},
		{
			scheme: "sinch-voice", secret: key32,
			header: map[string]string{"Authorization": "Application key:{base64}", "X-Timestamp": "2023-11-14T22:13:20Z", "Content-Type": "application/json"},
			key:    decode(key32),
			signed: "POST\n\napplication/json\nx-timestamp:2023-11-14T22:13:20Z\n/in",
		},
		{
			scheme: "hubspot-v1", secret: "hubspot-secret",
			header: map[string]string{"X-HubSpot-Signature": "{hex}", "X-HubSpot-Signature-Version": "v1"},
			body:   `[{"eventId":1,"subscriptionType":"contact.creation"}]`,
			event:  "contact.creation",
			plain:  true,
			signed: "hubspot-secret{body}",
		},
		{
			scheme: "plivo-v2", secret: "plivo-token",
			url:    "https://hooks.example.com/in?x=1",
			header: map[string]string{"X-Plivo-Signature-V2": "{base64}", "X-Plivo-Signature-V2-Nonce": "12345"},
			body:   "From=1",
			id:     "12345",
			signed: "https://hooks.example.com/in12345",
		},
		{
			scheme: "pandadoc", secret: "pandadoc-key",
			url:    "https://hooks.example.com/in?signature={hex}",
			header: map[string]string{"X-PandaDoc-Webhook-Event-Id": "e-1"},
			body:   `[{"event":"document_state_changed"}]`,
			id:     "e-1", event: "document_state_changed",
		},
		{
			scheme: "contentful", secret: strings.Repeat("a", 64),
			url: "https://hooks.example.com/api/v1?a=1&b=x%20y",
			header: map[string]string{
				"X-Contentful-Signature":      "{hex}",
				"X-Contentful-Signed-Headers": "content-type,x-contentful-signed-headers,x-contentful-timestamp",
				"X-Contentful-Timestamp":      milliNow,
				"Content-Type":                "application/json; charset=utf-8",
				"X-Contentful-Topic":          "ContentManagement.Entry.publish",
			},
			body:  `{"sys":{}}`,
			event: "ContentManagement.Entry.publish",
			signed: "POST\n/api/v1?a%253D1%2526b%253Dx%252520y\n" +
				"content-type:application/json; charset=utf-8;x-contentful-signed-headers:content-type,x-contentful-signed-headers,x-contentful-timestamp;x-contentful-timestamp:" + milliNow +
				"\n" + `{"sys":{}}`,
		},
		{
			scheme: "mercado-pago", secret: "mp-secret",
			url:    "https://hooks.example.com/in?data.id=ABC123&type=payment",
			header: map[string]string{"x-signature": "ts=" + milliNow + ",v1={hex}", "x-request-id": "req-1"},
			body:   `{"type":"payment","data":{"id":"ABC123"}}`,
			id:     "req-1", event: "payment",
			signed: "id:ABC123;request-id:req-1;ts:" + milliNow + ";",
		},
		{
			scheme: "mercado-pago", secret: "mp-secret",
			header: map[string]string{"x-signature": "ts=" + unixNow + ",v1={hex}"},
			body:   `{}`,
			signed: "ts:" + unixNow + ";",
		},
		{
			scheme: "mailgun", secret: "mailgun-key",
			body: `{"signature":{"timestamp":"` + unixNow + `","token":"a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0","signature":"{hex}"},"event-data":{"event":"opened"}}`,
			id:   "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0", event: "opened",
			signed: unixNow + "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0",
		},
		{
			scheme: "dropbox-sign", secret: "api-key",
			header: map[string]string{"Content-Type": "multipart/form-data; boundary=b"},
			body:   "--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n" + `{"event":{"event_time":"` + unixNow + `","event_type":"signature_request_sent","event_hash":"{hex}"}}` + "\r\n--b--\r\n",
			event:  "signature_request_sent",
			signed: unixNow + "signature_request_sent",
		},
		{
			scheme: "dropbox-sign", secret: "api-key",
			header: map[string]string{"Content-Type": "application/json"},
			body:   `{"event":{"event_time":"` + unixNow + `","event_type":"callback_test","event_hash":"{hex}"}}`,
			event:  "callback_test",
			signed: unixNow + "callback_test",
		},
		{
			scheme: "braintree", secret: "private-key",
			header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
			body:   "bt_signature=" + url.QueryEscape("other|"+strings.Repeat("0", 40)+"&public|") + "{hex}&bt_payload=" + url.QueryEscape("PG5vdGlmaWNhdGlvbj4=\n"),
			hash:   sha1.New,
			key:    digest("private-key"),
			signed: "PG5vdGlmaWNhdGlvbj4=\n",
		},
		{
			scheme: "standard-webhooks-ed25519", secret: "whpk_" + base64.StdEncoding.EncodeToString(public),
			header: map[string]string{"webhook-id": "msg_1", "webhook-timestamp": unixNow, "webhook-signature": "v1,AAAA v1a,{base64}"},
			body:   `{"type":"user.created"}`,
			id:     "msg_1", event: "user.created",
			sign:   signEd25519,
			signed: "msg_1." + unixNow + ".{body}",
		},
		{
			scheme: "discord", secret: hex.EncodeToString(public),
			header: map[string]string{"X-Signature-Ed25519": "{hex}", "X-Signature-Timestamp": unixNow},
			body:   `{"type":1,"event":{"type":"ENTITLEMENT_CREATE"}}`,
			event:  "ENTITLEMENT_CREATE",
			sign:   signEd25519,
			signed: unixNow + "{body}",
		},
		{
			scheme: "telnyx", secret: base64.StdEncoding.EncodeToString(public),
			header: map[string]string{"telnyx-signature-ed25519": "{base64}", "telnyx-timestamp": unixNow},
			body:   `{"data":{"id":"1","event_type":"message.received"}}`,
			id:     "1", event: "message.received",
			sign:   signEd25519,
			signed: unixNow + "|{body}",
		},
		{
			scheme: "circle", secret: ecdsaPublicBase64(),
			header: map[string]string{"X-Circle-Signature": "{base64}", "X-Circle-Key-Id": "879dc113-5ca4-4ff7-a6b7-54652083fcf8"},
			body:   `{"subscriptionId":"s1","notificationId":"n1","notificationType":"transactions.outbound"}`,
			id:     "n1", event: "transactions.outbound",
			sign: signECDSA,
		},
		{
			scheme: "kick", secret: rsaPublicPEM(),
			header: map[string]string{
				"Kick-Event-Signature": "{base64}", "Kick-Event-Message-Id": "01JM4D3S0VK2V1F0XQ7J1F6Z5N",
				"Kick-Event-Message-Timestamp": "2023-11-14T22:13:20Z", "Kick-Event-Type": "chat.message.sent", "Kick-Event-Version": "1",
			},
			body: `{"message_id":"m1"}`,
			id:   "01JM4D3S0VK2V1F0XQ7J1F6Z5N", event: "chat.message.sent",
			sign:   signRSA,
			signed: "01JM4D3S0VK2V1F0XQ7J1F6Z5N.2023-11-14T22:13:20Z.{body}",
		},
		{
			scheme: "chip", secret: rsaPublicPEM(),
			header: map[string]string{"X-Signature": "{base64}"},
			body:   `{"id":"p1","status":"paid"}`,
			sign:   signRSA,
		},
		{
			scheme: "wechat-pay", secret: rsaPublicPEM(),
			header: map[string]string{"Wechatpay-Signature": "{base64}", "Wechatpay-Timestamp": unixNow, "Wechatpay-Nonce": "593BEC0C930BF1AF", "Wechatpay-Serial": "PUB_KEY_ID_1"},
			body:   `{"id":"EV-1","event_type":"TRANSACTION.SUCCESS"}`,
			id:     "EV-1", event: "TRANSACTION.SUCCESS",
			sign:   signRSA,
			signed: unixNow + "\n593BEC0C930BF1AF\n{body}\n",
		},
		{
			scheme: "make", secret: "whsec_" + key32,
			header: map[string]string{"Webhook-Id": "msg_1", "Webhook-Timestamp": unixNow, "Webhook-Signature": "v1,{base64}", "Webhook-Topic": "scenario.updated"},
			body:   `{"data":{}}`,
			id:     "msg_1", event: "scenario.updated",
			key:    decode(key32),
			signed: "msg_1." + unixNow + ".{body}",
		},
		{
			scheme: "highlevel", secret: inPEM("PUBLIC KEY", pkix(public)),
			header: map[string]string{"X-GHL-Signature": "{base64}"},
			body:   `{"type":"ContactCreate","webhookId":"w1"}`,
			id:     "w1", event: "ContactCreate",
			sign: signEd25519,
		},
		{
			scheme: "okta", secret: "shared token",
			header: map[string]string{"Authorization": "shared token"},
			body:   `{"data":{"events":[{"eventType":"user.session.start"}]}}`,
			event:  "user.session.start",
		},
		{
			scheme: "adobe-acrobat-sign", secret: "client",
			header: map[string]string{"X-AdobeSign-ClientId": "client"},
			body:   `{"event":"AGREEMENT_CREATED"}`,
			event:  "AGREEMENT_CREATED",
		},
		{
			scheme: "azure-event-grid", secret: "token",
			url:   "https://hooks.example.com/in?token=token",
			body:  `[{"eventType":"Microsoft.Storage.BlobCreated"}]`,
			event: "Microsoft.Storage.BlobCreated",
		},
		{
			scheme: "ebay", secret: "token",
			url:  "https://hooks.example.com/in?token=token",
			body: `{"metadata":{"topic":"MARKETPLACE_ACCOUNT_DELETION"},"notification":{"notificationId":"n1"}}`,
			id:   "n1", event: "MARKETPLACE_ACCOUNT_DELETION",
		},
		{
			scheme: "monday", secret: "token",
			url:   "https://hooks.example.com/in?token=token",
			body:  `{"event":{"type":"create_item"}}`,
			event: "create_item",
		},
		{
			scheme: "microsoft-graph", secret: "state",
			body:  `{"value":[{"clientState":"state","changeType":"created"},{"clientState":"state","changeType":"updated"}]}`,
			event: "created",
		},
	}
}
