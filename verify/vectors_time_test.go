package verify_test

import (
	"cmp"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
)

// timeExamples are examples for the schemes that sign a timestamp.
func timeExamples() []example {
	return []example{
		{
			vector: vector{
				scheme: "customer-io", secret: "cio-key",
				header: map[string]string{"X-CIO-Signature": "{hex}", "X-CIO-Timestamp": unixNow},
				body:   `{"event_id":"01E4C4CT6YDC7Y5M7FE1GWWPQJ","metric":"opened"}`,
				id:     "01E4C4CT6YDC7Y5M7FE1GWWPQJ", event: "opened",
			},
			signed: "v0:" + unixNow + `:{"event_id":"01E4C4CT6YDC7Y5M7FE1GWWPQJ","metric":"opened"}`,
		},
		{
			vector: vector{
				scheme: "revolut", secret: "wsk_r59a4HfWVAKycbCaNO1RvgCJec02gRd8",
				header: map[string]string{"Revolut-Signature": "v1=00,v1={hex}", "Revolut-Request-Timestamp": milliNow},
				body:   `{"event":"TransactionStateChanged"}`,
				event:  "TransactionStateChanged",
			},
			signed: "v1." + milliNow + `.{"event":"TransactionStateChanged"}`,
		},
		{
			vector: vector{
				scheme: "teller", secret: "s3cret",
				header: map[string]string{"Teller-Signature": "t=" + unixNow + ",v1=00,v1={hex}"},
				body:   `{"id":"wh_1","type":"enrollment.disconnected"}`,
				id:     "wh_1", event: "enrollment.disconnected",
			},
			signed: unixNow + `.{"id":"wh_1","type":"enrollment.disconnected"}`,
		},
		{
			vector: vector{
				scheme: "recharge", secret: "client-secret",
				header: map[string]string{"X-Recharge-Webhook-Signature": "t=" + unixNow + ",v1={hex}", "X-Recharge-Webhook-Timestamp": unixNow},
				body:   `{"charge":{"id":1}}`,
			},
			signed: unixNow + `.{"charge":{"id":1}}`,
		},
		{
			vector: vector{
				scheme: "statsig", secret: "s3cret",
				header: map[string]string{"X-Statsig-Signature": "v0={hex}", "X-Statsig-Request-Timestamp": milliNow},
				body:   `{"data":[{"eventName":"statsig::config_change"}]}`,
				event:  "statsig::config_change",
			},
			signed: "v0:" + milliNow + `:{"data":[{"eventName":"statsig::config_change"}]}`,
		},
		{
			vector: vector{
				scheme: "ordergroove", secret: "super-secret-webhooks-verification-key",
				header: map[string]string{"OrderGroove-Signature": "ts=" + unixNow + ",sig={hex}"},
				body:   `{"type":"order.success"}`,
			},
			signed: unixNow + `.{"type":"order.success"}`,
		},
		{
			vector: vector{
				scheme: "zoho-payments", secret: "s3cret",
				header: map[string]string{"X-Zoho-Webhook-Signature": "t=" + milliNow + ",v={hex}"},
				body:   `{"status":"success"}`,
			},
			signed: milliNow + `.{"status":"success"}`,
		},
		{
			vector: vector{
				scheme: "quicknode", secret: "qnsec_Z7dAfqmoQvGfLSa0TTOt9A==",
				header: map[string]string{"X-QN-Signature": "{hex}", "X-QN-Nonce": "nonce-1", "X-QN-Timestamp": unixNow},
				body:   `[{"txid":"x"}]`,
				id:     "nonce-1",
			},
			signed: "nonce-1" + unixNow + `[{"txid":"x"}]`,
		},
		{
			vector: vector{
				scheme: "tenderly", secret: "xndH453oZnASnn2BnCRGZntWpUXqjBHB",
				header: map[string]string{"x-tenderly-signature": "{hex}", "Date": "2023-11-14 22:13:20.123 +0000 UTC"},
				body:   `{"id":"a1","event_type":"ALERT"}`,
				id:     "a1", event: "ALERT",
			},
			signed: `{"id":"a1","event_type":"ALERT"}2023-11-14 22:13:20.123 +0000 UTC`,
		},
		{
			vector: vector{
				scheme: "imagekit", secret: "whsec_s3cret",
				header: map[string]string{"x-ik-signature": "t=" + milliNow + ",v1={hex}"},
				body:   `{"id":"58e6d24d","type":"video.transformation.ready"}`,
				id:     "58e6d24d", event: "video.transformation.ready",
			},
			signed: milliNow + `.{"id":"58e6d24d","type":"video.transformation.ready"}`,
		},
		{
			vector: vector{
				scheme: "zendesk", secret: "dGhpc19zZWNyZXQ=",
				header: map[string]string{"X-Zendesk-Webhook-Signature": "{base64}", "X-Zendesk-Webhook-Signature-Timestamp": "2023-11-14T22:13:20Z", "X-Zendesk-Webhook-Invocation-Id": "01FZ"},
				body:   `{"type":"zen:event-type:user.created"}`,
				id:     "01FZ", event: "zen:event-type:user.created",
			},
			signed: `2023-11-14T22:13:20Z{"type":"zen:event-type:user.created"}`,
		},
		{
			vector: vector{
				scheme: "box", secret: "primary-key",
				header: map[string]string{"BOX-SIGNATURE-PRIMARY": "{base64}", "BOX-DELIVERY-TIMESTAMP": "2023-11-14T14:13:20-08:00", "BOX-DELIVERY-ID": "f96bb54b"},
				body:   `{"id":"f96bb54b","trigger":"FILE.UPLOADED"}`,
				id:     "f96bb54b", event: "FILE.UPLOADED",
			},
			signed: `{"id":"f96bb54b","trigger":"FILE.UPLOADED"}2023-11-14T14:13:20-08:00`,
		},
		{
			vector: vector{
				scheme: "box", secret: "secondary-key",
				header: map[string]string{"BOX-SIGNATURE-PRIMARY": "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hI=", "BOX-SIGNATURE-SECONDARY": "{base64}", "BOX-DELIVERY-TIMESTAMP": "2023-11-14T14:13:20-08:00"},
				body:   `{"id":"f96bb54b","trigger":"FILE.UPLOADED"}`,
				id:     "f96bb54b", event: "FILE.UPLOADED",
			},
			signed: `{"id":"f96bb54b","trigger":"FILE.UPLOADED"}2023-11-14T14:13:20-08:00`,
		},
		{
			vector: vector{
				scheme: "sinch-conversation", secret: "foo_secret1234",
				header: map[string]string{"x-sinch-webhook-signature": "{base64}", "x-sinch-webhook-signature-nonce": "01FJA8B4A7BM43YGWSG9GBV067", "x-sinch-webhook-signature-timestamp": unixNow},
				body:   `{"message":{"text":"a.b"}}`,
				id:     "01FJA8B4A7BM43YGWSG9GBV067",
			},
			signed: `{"message":{"text":"a.b"}}.01FJA8B4A7BM43YGWSG9GBV067.` + unixNow,
		},
		{
			vector: vector{
				scheme: "calendly", secret: "calendly-key",
				header: map[string]string{"Calendly-Webhook-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"event":"invitee.created"}`,
				event:  "invitee.created",
			},
			signed: unixNow + `.{"event":"invitee.created"}`,
		},
		{
			vector: vector{
				scheme: "workos", secret: "whsec_workos",
				header: map[string]string{"WorkOS-Signature": "t=" + milliNow + ", v1={hex}"},
				body:   `{"id":"event_01","event":"dsync.user.created"}`,
				id:     "event_01", event: "dsync.user.created",
			},
			signed: milliNow + `.{"id":"event_01","event":"dsync.user.created"}`,
		},
		{
			vector: vector{
				scheme: "sanity", secret: "sanity-secret",
				header: map[string]string{"sanity-webhook-signature": "t=" + milliNow + ",v1={base64url_raw}", "idempotency-key": "idem-1", "sanity-operation": "update"},
				body:   `{"_id":"resume"}`,
				id:     "idem-1", event: "update",
			},
			signed: milliNow + `.{"_id":"resume"}`,
		},
		{
			vector: vector{
				scheme: "persona", secret: "wbhsec_key",
				header: map[string]string{"Persona-Signature": "t=1699999999,v1=0000000000000000000000000000000000000000000000000000000000000000 t=" + unixNow + ",v1={hex}"},
				body:   `{"data":{"id":"evt_1","attributes":{"name":"inquiry.approved"}}}`,
				id:     "evt_1", event: "inquiry.approved",
			},
			signed: unixNow + `.{"data":{"id":"evt_1","attributes":{"name":"inquiry.approved"}}}`,
		},
		{
			vector: vector{
				scheme: "mux", secret: "mux-secret",
				header: map[string]string{"Mux-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"id":"3a56ac3d","type":"video.asset.ready"}`,
				id:     "3a56ac3d", event: "video.asset.ready",
			},
			signed: unixNow + `.{"id":"3a56ac3d","type":"video.asset.ready"}`,
		},
		{
			vector: vector{
				scheme: "shippo", secret: "shippo-secret",
				header: map[string]string{"Shippo-Auth-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"event":"track_updated"}`,
				event:  "track_updated",
			},
			signed: unixNow + `.{"event":"track_updated"}`,
		},
		{
			vector: vector{
				scheme: "tiktok", secret: "client-secret",
				header: map[string]string{"TikTok-Signature": "t=" + unixNow + ",s={hex}"},
				body:   `{"event":"video.publish.completed"}`,
				event:  "video.publish.completed",
			},
			signed: unixNow + `.{"event":"video.publish.completed"}`,
		},
		{
			vector: vector{
				scheme: "buildkite", secret: "bk-token",
				header: map[string]string{"X-Buildkite-Signature": "timestamp=" + unixNow + ",signature={hex}", "X-Buildkite-Event": "build.running"},
				body:   `{"event":"build.finished"}`,
				event:  "build.finished",
			},
			signed: unixNow + `.{"event":"build.finished"}`,
		},
		{
			vector: vector{
				scheme: "cloudflare-stream", secret: "cf-secret",
				header: map[string]string{"Webhook-Signature": "time=" + unixNow + ",sig1={hex}"},
				body:   `{"uid":"6b9e68b07dfee8cc2d116e4c51d6a957","status":{"state":"ready"}}`,
				event:  "ready",
			},
			signed: unixNow + `.{"uid":"6b9e68b07dfee8cc2d116e4c51d6a957","status":{"state":"ready"}}`,
		},
		{
			vector: vector{
				scheme: "tailscale", secret: "tskey-webhook-xxxxx",
				header: map[string]string{"Tailscale-Webhook-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `[{"type":"nodeCreated","version":1}]`,
				event:  "nodeCreated",
			},
			signed: unixNow + `.[{"type":"nodeCreated","version":1}]`,
		},
		{
			vector: vector{
				scheme: "elevenlabs", secret: "wsec_key",
				header: map[string]string{"ElevenLabs-Signature": "t=" + unixNow + ",v0={hex}"},
				body:   `{"type":"post_call_transcription"}`,
				event:  "post_call_transcription",
			},
			signed: unixNow + `.{"type":"post_call_transcription"}`,
		},
		{
			vector: vector{
				scheme: "retell", secret: "key_retell",
				header: map[string]string{"X-Retell-Signature": "v=" + milliNow + ",d={hex}"},
				body:   `{"event":"call_ended"}`,
				event:  "call_ended",
			},
			signed: `{"event":"call_ended"}` + milliNow,
		},
		{
			vector: vector{
				scheme: "affirm", secret: "affirm-key",
				header: map[string]string{"X-Affirm-Signature": "t=" + unixNow + ",v0={hex}"},
				body:   `{"checkout":"x"}`,
			},
			hash:   sha512.New,
			signed: unixNow + `.{"checkout":"x"}`,
		},
		{
			vector: vector{
				scheme: "knock", secret: "knock-key",
				header: map[string]string{"x-knock-signature": "t=" + milliNow + ",s={base64}"},
				body:   `{"type":"message.sent"}`,
				event:  "message.sent",
			},
			signed: milliNow + `.{"type":"message.sent"}`,
		},
		{
			vector: vector{
				scheme: "ghost", secret: "ghost-secret",
				header: map[string]string{"X-Ghost-Signature": "sha256={hex}, t=" + milliNow},
				body:   `{"post":{"current":{}}}`,
			},
			signed: `{"post":{"current":{}}}` + milliNow,
		},
		{
			vector: vector{
				scheme: "recurly", secret: "recurly-key",
				header: map[string]string{"recurly-signature": milliNow + ",0000000000000000000000000000000000000000000000000000000000000000,{hex}"},
				body:   `{"id":"x","event_type":"succeeded"}`,
				event:  "succeeded",
			},
			signed: milliNow + `.{"id":"x","event_type":"succeeded"}`,
		},
		{
			vector: vector{
				scheme: "recurly", secret: "recurly-key",
				header: map[string]string{"recurly-signature": unixNow + ",{hex}"},
				body:   `{"id":"x","event_type":"succeeded"}`,
				event:  "succeeded",
			},
			signed: unixNow + `.{"id":"x","event_type":"succeeded"}`,
		},
		{
			vector: vector{
				scheme: "webflow", secret: "webflow-secret",
				header: map[string]string{"x-webflow-signature": "{hex}", "x-webflow-timestamp": milliNow},
				body:   `{"triggerType":"form_submission"}`,
				event:  "form_submission",
			},
			signed: milliNow + `:{"triggerType":"form_submission"}`,
		},
		{
			vector: vector{
				scheme: "klaviyo", secret: "klaviyo-secret",
				header: map[string]string{"Klaviyo-Signature": "{hex}", "Klaviyo-Timestamp": "Tue, 14 Nov 2023 22:13:20 GMT"},
				body:   `{"data":[{"topic":"event:klaviyo.opened_email"}]}`,
				event:  "event:klaviyo.opened_email",
			},
			signed: `{"data":[{"topic":"event:klaviyo.opened_email"}]}Tue, 14 Nov 2023 22:13:20 GMT`,
		},
		{
			vector: vector{
				scheme: "klaviyo", secret: "klaviyo-secret",
				header: map[string]string{"Klaviyo-Signature": "{hex}", "Klaviyo-Timestamp": unixNow},
				body:   `{"data":[{"topic":"event:klaviyo.opened_email"}]}`,
				event:  "event:klaviyo.opened_email",
			},
			signed: `{"data":[{"topic":"event:klaviyo.opened_email"}]}` + unixNow,
		},
		{
			vector: vector{
				scheme: "airship", secret: "airship-secret",
				header: map[string]string{"X-UA-Signature": "{hex}", "X-UA-Timestamp": unixNow},
				body:   `[{"a":1}]`,
			},
			signed: unixNow + `:[{"a":1}]`,
		},
		{
			vector: vector{
				scheme: "lob", secret: "lob-secret",
				header: map[string]string{"Lob-Signature": "{hex}", "Lob-Signature-Timestamp": milliNow},
				body:   `{"id":"evt_1","event_type":{"id":"letter.mailed"}}`,
				id:     "evt_1", event: "letter.mailed",
			},
			signed: milliNow + `.{"id":"evt_1","event_type":{"id":"letter.mailed"}}`,
		},
		{
			vector: vector{
				scheme: "airwallex", secret: "whsec_airwallex",
				header: map[string]string{"x-signature": "{hex}", "x-timestamp": milliNow},
				body:   `{"id":"evt_1","name":"payment_intent.succeeded"}`,
				id:     "evt_1", event: "payment_intent.succeeded",
			},
			signed: milliNow + `{"id":"evt_1","name":"payment_intent.succeeded"}`,
		},
		{
			vector: vector{
				scheme: "configcat", secret: "configcat-key",
				header: map[string]string{"X-ConfigCat-Webhook-Signature-V1": "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hI=,{base64}", "X-ConfigCat-Webhook-ID": "b616ca659d154a5fb907dd8475792eeb", "X-ConfigCat-Webhook-Timestamp": unixNow},
				body:   `{"changeNotes":"x"}`,
				id:     "b616ca659d154a5fb907dd8475792eeb",
			},
			signed: "b616ca659d154a5fb907dd8475792eeb" + unixNow + `{"changeNotes":"x"}`,
		},
		{
			vector: vector{
				scheme: "whereby", secret: "whereby-secret",
				header: map[string]string{"Whereby-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"id":"e1","type":"room.client.joined"}`,
				id:     "e1", event: "room.client.joined",
			},
			signed: unixNow + `.{"id":"e1","type":"room.client.joined"}`,
		},
		{
			vector: vector{
				scheme: "revenuecat", secret: "rc-secret",
				header: map[string]string{"X-RevenueCat-Webhook-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"event":{"id":"12345678","type":"RENEWAL"}}`,
				id:     "12345678", event: "RENEWAL",
			},
			signed: unixNow + `.{"event":{"id":"12345678","type":"RENEWAL"}}`,
		},
		{
			vector: vector{
				scheme: "daily", secret: key32,
				header: map[string]string{"X-Webhook-Signature": "{base64}", "X-Webhook-Timestamp": milliNow},
				body:   `{"id":"e1","type":"meeting.started"}`,
				id:     "e1", event: "meeting.started",
			},
			key:    decode(key32),
			signed: milliNow + `.{"id":"e1","type":"meeting.started"}`,
		},
		{
			vector: vector{
				scheme: "chatwoot", secret: "chatwoot-secret",
				header: map[string]string{"X-Chatwoot-Signature": "sha256={hex}", "X-Chatwoot-Timestamp": unixNow, "X-Chatwoot-Delivery": "d1"},
				body:   `{"event":"message_created"}`,
				id:     "d1", event: "message_created",
			},
			signed: unixNow + `.{"event":"message_created"}`,
		},
		{
			vector: vector{
				scheme: "close", secret: "00ffaa",
				header: map[string]string{"close-sig-hash": "{hex}", "close-sig-timestamp": unixNow},
				body:   `{"event":{"id":"ev_1","action":"created"}}`,
				id:     "ev_1", event: "created",
			},
			key:    "\x00\xff\xaa",
			signed: unixNow + `{"event":{"id":"ev_1","action":"created"}}`,
		},
		{
			vector: vector{
				scheme: "crisp", secret: "crisp-secret",
				header: map[string]string{"X-Crisp-Signature": "{hex}", "X-Crisp-Request-Timestamp": milliNow},
				body:   `{"event":"message:send"}`,
				event:  "message:send",
			},
			signed: "[" + milliNow + `;{"event":"message:send"}]`,
		},
		{
			vector: vector{
				scheme: "mercury", secret: "bWVyY3VyeQ==",
				header: map[string]string{"Mercury-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"id":"bfa85eaa","resourceType":"transaction"}`,
				id:     "bfa85eaa", event: "transaction",
			},
			signed: unixNow + `.{"id":"bfa85eaa","resourceType":"transaction"}`,
		},
		{
			vector: vector{
				scheme: "lark", secret: "encrypt-key",
				header: map[string]string{"X-Lark-Signature": "{hex}", "X-Lark-Request-Timestamp": unixNow, "X-Lark-Request-Nonce": "n0nce"},
				body:   `{"encrypt":"ds3da=="}`,
			},
			plain:  true,
			signed: unixNow + `n0nceencrypt-key{"encrypt":"ds3da=="}`,
		},
		{
			vector: vector{
				scheme: "port", secret: "client-secret",
				header: map[string]string{"x-port-signature": "v1,{base64}", "x-port-timestamp": unixNow},
				body:   `{"action":"x"}`,
			},
			signed: unixNow + `.{"action":"x"}`,
		},
		{
			vector: vector{
				scheme: "supabase", secret: "v1,whsec_" + key32,
				header: map[string]string{
					"webhook-id": "msg_1", "webhook-timestamp": unixNow,
					"webhook-signature": "v1,{base64}, v1,47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
				},
				body: `{"user":{"id":"1"}}`,
				id:   "msg_1",
			},
			key:    decode(key32),
			signed: "msg_1." + unixNow + `.{"user":{"id":"1"}}`,
		},
		{ // as Standard Webhooks lists them
			vector: vector{
				scheme: "supabase", secret: "v1,whsec_" + key32,
				header: map[string]string{
					"webhook-id": "msg_1", "webhook-timestamp": unixNow,
					"webhook-signature": "v1,47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= v1,{base64}",
				},
				body: `{"user":{"id":"1"}}`,
				id:   "msg_1",
			},
			key:    decode(key32),
			signed: "msg_1." + unixNow + `.{"user":{"id":"1"}}`,
		},
		{
			vector: vector{
				scheme: "frame-io", secret: "frameio-key",
				header: map[string]string{"X-Frameio-Signature": "v0={hex}", "X-Frameio-Request-Timestamp": unixNow},
				body:   `{"type":"file.created","resource":{"id":"r1","type":"file"}}`,
				event:  "file.created",
			},
			signed: "v0:" + unixNow + `:{"type":"file.created","resource":{"id":"r1","type":"file"}}`,
		},
		{
			vector: vector{
				scheme: "cashfree", secret: "cashfree-key",
				header: map[string]string{"x-webhook-signature": "{base64}", "x-webhook-timestamp": milliNow, "x-webhook-version": "2023-08-01"},
				body:   `{"data":{},"type":"PAYMENT_SUCCESS_WEBHOOK"}`,
				event:  "PAYMENT_SUCCESS_WEBHOOK",
			},
			signed: milliNow + `{"data":{},"type":"PAYMENT_SUCCESS_WEBHOOK"}`,
		},
		{
			vector: vector{
				scheme: "paymongo", secret: "whsk_key",
				header: map[string]string{"Paymongo-Signature": "t=" + unixNow + ",te=,li={hex}"},
				body:   `{"data":{"id":"evt_1","type":"event","attributes":{"type":"payment.paid"}}}`,
				id:     "evt_1", event: "payment.paid",
			},
			signed: unixNow + `.{"data":{"id":"evt_1","type":"event","attributes":{"type":"payment.paid"}}}`,
		},
		{
			vector: vector{
				scheme: "rootly", secret: "rootly-key",
				header: map[string]string{"X-Rootly-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"event":{"id":"e1","type":"incident.created"},"data":{}}`,
				id:     "e1", event: "incident.created",
			},
			signed: unixNow + `{"event":{"id":"e1","type":"incident.created"},"data":{}}`,
		},
		{
			vector: vector{
				scheme: "twenty", secret: "twenty-key",
				header: map[string]string{"X-Twenty-Webhook-Signature": "{hex}", "X-Twenty-Webhook-Timestamp": milliNow, "X-Twenty-Webhook-Nonce": "00ff"},
				body:   `{"eventName":"person.created","record":{}}`,
				event:  "person.created",
			},
			signed: milliNow + `:{"eventName":"person.created","record":{}}`,
		},
		{
			vector: vector{
				scheme: "zitadel", secret: "zitadel-key",
				header: map[string]string{"ZITADEL-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"fullMethod":"/zitadel.user.v2.UserService/AddHumanUser"}`,
			},
			signed: unixNow + `.{"fullMethod":"/zitadel.user.v2.UserService/AddHumanUser"}`,
		},
		{
			vector: vector{
				scheme: "openphone", secret: "AP8Qq80=",
				header: map[string]string{"openphone-signature": "hmac;1;" + milliNow + ";{base64}"},
				body:   `{"id":"EVc67ec998b35c41d388af50799aeeba3e","type":"message.received"}`,
				id:     "EVc67ec998b35c41d388af50799aeeba3e", event: "message.received",
			},
			key:    "\x00\xff\x10\xab\xcd",
			signed: milliNow + `.{"id":"EVc67ec998b35c41d388af50799aeeba3e","type":"message.received"}`,
		},
		{
			vector: vector{
				scheme: "cloudinary", secret: "api-secret",
				header: map[string]string{"X-Cld-Signature": "{hex}", "X-Cld-Timestamp": unixNow},
				body:   `{"notification_type":"upload","public_id":"sample"}`,
				event:  "upload",
			},
			hash:   sha1.New,
			plain:  true,
			signed: `{"notification_type":"upload","public_id":"sample"}` + unixNow + "api-secret",
		},
		{
			vector: vector{
				scheme: "gitbook", secret: "gitbook-secret",
				header: map[string]string{"X-GitBook-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"eventId":"e1","type":"site_view"}`,
				id:     "e1", event: "site_view",
			},
			signed: unixNow + `.{"eventId":"e1","type":"site_view"}`,
		},
		{
			vector: vector{
				scheme: "qonto", secret: "qonto-secret",
				header: map[string]string{"X-Qonto-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"data":{"id":"1"}}`,
			},
			signed: unixNow + `.{"data":{"id":"1"}}`,
		},
		{
			vector: vector{
				scheme: "surge", secret: "surge-secret",
				header: map[string]string{"Surge-Signature": "t=" + unixNow + ",v1={hex},v1=41f947e88a483327c878d6c08b27b22fbe7c9ea5608b035707c6667d1df866dd"},
				body:   `{"id":"evt_01jjfeev3hf9n9c7k5231hd3hr","type":"message.received"}`,
				id:     "evt_01jjfeev3hf9n9c7k5231hd3hr", event: "message.received",
			},
			signed: unixNow + `.{"id":"evt_01jjfeev3hf9n9c7k5231hd3hr","type":"message.received"}`,
		},
		{
			vector: vector{
				scheme: "infisical", secret: "s3cret",
				header: map[string]string{"x-infisical-signature": "t=" + milliNow + ";{hex}"},
				body:   `{"event":"secrets.modified","project":{},"timestamp":` + milliNow + `}`,
				event:  "secrets.modified",
			},
		},
		{
			vector: vector{
				scheme: "boldsign", secret: "boldsign-secret",
				header: map[string]string{"X-BoldSign-Signature": "t=" + unixNow + ", s0={hex}"},
				body:   `{"event":{"id":"e1","eventType":"Completed"}}`,
				id:     "e1", event: "Completed",
			},
			signed: unixNow + `.{"event":{"id":"e1","eventType":"Completed"}}`,
		},
		{
			vector: vector{
				scheme: "terra", secret: "terra-secret",
				header: map[string]string{"terra-signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"type":"activity","user":{}}`,
				event:  "activity",
			},
			signed: unixNow + `.{"type":"activity","user":{}}`,
		},
		{
			vector: vector{
				scheme: "whoop", secret: "client-secret",
				header: map[string]string{"X-WHOOP-Signature": "{base64}", "X-WHOOP-Signature-Timestamp": milliNow},
				body:   `{"user_id":10129,"id":"ecfc6a15","type":"sleep.updated","trace_id":"d3709ee7"}`,
				id:     "d3709ee7", event: "sleep.updated",
			},
			signed: milliNow + `{"user_id":10129,"id":"ecfc6a15","type":"sleep.updated","trace_id":"d3709ee7"}`,
		},
		{
			vector: vector{
				scheme: "bamboohr", secret: "private-key",
				header: map[string]string{"X-BambooHR-Signature": "{hex}", "X-BambooHR-Timestamp": unixNow},
				body:   `{"employees":[{"id":"1"}]}`,
			},
			signed: `{"employees":[{"id":"1"}]}` + unixNow,
		},
		{
			vector: vector{
				scheme: "exa", secret: "exa-secret",
				header: map[string]string{"Exa-Signature": "t=" + unixNow + ",v1={hex}"},
				body:   `{"id":"event_1","object":"event","type":"webset.created"}`,
				id:     "event_1", event: "webset.created",
			},
			signed: unixNow + `.{"id":"event_1","object":"event","type":"webset.created"}`,
		},
		{
			vector: vector{
				scheme: "emailit", secret: "whsec_0011",
				header: map[string]string{"X-Emailit-Signature": "{hex}", "X-Emailit-Timestamp": unixNow},
				body:   `{"event_id":"e1"}`,
			},
			signed: unixNow + `.{"event_id":"e1"}`,
		},
	}
}

// key32 is a secret in base64, for providers that decode it.
const key32 = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// decode decodes a key in base64.
func decode(key string) string {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// familyExamples are examples for the family of Standard Webhooks.
func familyExamples() []example {
	var list []example
	for _, sender := range []struct{ scheme, prefix, id, secret, key, body, event string }{
		{scheme: "openai", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"type":"response.completed"}`, event: "response.completed"},
		{scheme: "anthropic", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"type":"event","data":{"type":"session.status_idled"}}`, event: "session.status_idled"},
		{scheme: "gemini", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"type":"batch.succeeded"}`, event: "batch.succeeded"},
		{scheme: "replicate", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"id":"ufawqhfynnddngldkgtslldrkq","status":"succeeded"}`},
		{scheme: "render", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"type":"deploy_ended"}`, event: "deploy_ended"},
		{scheme: "supabase", prefix: "webhook-", secret: "v1,whsec_" + key32, key: decode(key32), body: `{"user":{"id":"1"}}`},
		{scheme: "brex", prefix: "webhook-", secret: key32, key: decode(key32), body: `{"event_type":"TRANSFER_PROCESSED"}`, event: "TRANSFER_PROCESSED"},
		{scheme: "incident-io", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"event_type":"public_incident.incident_created_v2"}`, event: "public_incident.incident_created_v2"},
		{scheme: "etsy", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"event_type":"order.paid"}`, event: "order.paid"},
		{scheme: "loops", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"eventName":"email.delivered"}`, event: "email.delivered"},
		{scheme: "increase", prefix: "webhook-", secret: "increase_secret", key: "increase_secret", body: `{"type":"event","category":"account.created"}`, event: "account.created"},
		{scheme: "recall-ai", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"event":"bot.done"}`, event: "bot.done"},
		{scheme: "clerk", prefix: "svix-", secret: "whsec_" + key32, key: decode(key32), body: `{"type":"user.created"}`, event: "user.created"},
		{scheme: "resend", prefix: "svix-", secret: "whsec_" + key32, key: decode(key32), body: `{"type":"email.sent"}`, event: "email.sent"},
		{scheme: "stytch", prefix: "svix-", secret: "whsec_" + key32, key: decode(key32), body: `{"action":"CREATE","object_type":"user","source":"DIRECT"}`, event: "user"},
		{scheme: "vanta", prefix: "svix-", secret: "whsec_" + key32, key: decode(key32), body: `{"type":"x.y"}`, event: "x.y"},
		{scheme: "finch", prefix: "Finch-", id: "Finch-Event-Id", secret: key32, key: decode(key32), body: `{"event_type":"employment.updated"}`, event: "employment.updated"},
		{scheme: "polar", prefix: "webhook-", secret: "polar_whs_abc", key: "polar_whs_abc", body: `{"type":"order.paid"}`, event: "order.paid"},
		{scheme: "lithic", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"event_type":"account_holder.created"}`, event: "account_holder.created"},
		{scheme: "liveblocks", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"type":"storageUpdated"}`, event: "storageUpdated"},
		{scheme: "quo", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"type":"message.received"}`, event: "message.received"},
		{scheme: "dodo-payments", prefix: "webhook-", secret: "whsec_" + key32, key: decode(key32), body: `{"business_id":"b1","type":"payment.succeeded"}`, event: "payment.succeeded"},
		{scheme: "bigcommerce", prefix: "webhook-", secret: "client-secret", key: "client-secret", body: `{"scope":"store/order/created"}`, event: "store/order/created"},
	} {
		list = append(list, example{
			vector: vector{
				scheme: sender.scheme, secret: sender.secret,
				header: map[string]string{
					cmp.Or(sender.id, sender.prefix+"id"): "msg_1",
					sender.prefix + "timestamp":           unixNow,
					sender.prefix + "signature":           "v1,{base64}",
				},
				body: sender.body,
				id:   "msg_1", event: sender.event,
			},
			key:    sender.key,
			signed: "msg_1." + unixNow + "." + sender.body,
		})
	}
	return list
}
