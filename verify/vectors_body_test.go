package verify_test

import (
	"crypto/sha1"
	"crypto/sha512"
)

// nextcloudRandom has the length of Nextcloud's random strings.
const nextcloudRandom = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/"

// bodyExamples are examples for the schemes in rows_body.go, sorted by name.
func bodyExamples() []example {
	return []example{
		{
			vector: vector{
				scheme: "ably", secret: "s3cret",
				header: map[string]string{"X-Ably-Signature": "{base64}", "X-Ably-Key": "xVLyHw.MYFAKE"},
				body:   `{"items":[{"source":"channel.message"}]}`,
			},
		},
		{
			vector: vector{
				scheme: "acuity", secret: "s3cret",
				header: map[string]string{"X-Acuity-Signature": "{base64}", "Content-Type": "application/x-www-form-urlencoded"},
				body:   "action=scheduled&id=1&calendarID=2&appointmentTypeID=3",
				event:  "scheduled",
			},
		},
		{
			vector: vector{
				scheme: "adobe-io", secret: "client-secret",
				header: map[string]string{"x-adobe-signature": "{base64}", "x-adobe-event-id": "e1", "x-adobe-event-code": "asset_created"},
				body:   `{"event":{}}`,
				id:     "e1", event: "asset_created",
			},
		},
		{
			vector: vector{
				scheme: "adyen-platform", secret: "00ff10ABCD",
				header: map[string]string{"HmacSignature": "{base64}"},
				body:   `{"type":"balancePlatform.transfer.created","data":{}}`,
				event:  "balancePlatform.transfer.created",
			},
			key: "\x00\xff\x10\xab\xcd",
		},
		{
			vector: vector{
				scheme: "aftership", secret: "s3cret",
				header: map[string]string{"aftership-hmac-sha256": "{base64}"},
				body:   `{"event_id":"ev-1","event":"tracking_update","msg":{}}`,
				id:     "ev-1", event: "tracking_update",
			},
		},
		{
			vector: vector{
				scheme: "airtable", secret: "AP8Qq80=",
				header: map[string]string{"X-Airtable-Content-MAC": "hmac-sha256={hex}"},
				body:   `{"base":{"id":"app1"},"webhook":{"id":"ach1"}}`,
			},
			key: "\x00\xff\x10\xab\xcd",
		},
		{
			vector: vector{
				scheme: "alchemy", secret: "whsec_key",
				header: map[string]string{"X-Alchemy-Signature": "{hex}"},
				body:   `{"webhookId":"wh_octjglnywaupz6th","id":"whevt_ogrc5v64myey69ux","type":"MINED_TRANSACTION","event":{}}`,
				id:     "whevt_ogrc5v64myey69ux", event: "MINED_TRANSACTION",
			},
		},
		{
			vector: vector{
				scheme: "ashby", secret: "s3cret",
				header: map[string]string{"Ashby-Signature": "sha256={hex}"},
				body:   `{"action":"applicationSubmit","data":{}}`,
				event:  "applicationSubmit",
			},
		},
		{
			vector: vector{
				scheme: "attio", secret: "s3cret",
				header: map[string]string{"Attio-Signature": "{hex}", "Idempotency-Key": "k-1"},
				body:   `{"webhook_id":"w","events":[{"event_type":"record.created"}]}`,
				id:     "k-1", event: "record.created",
			},
		},
		{
			vector: vector{
				scheme: "authorize-net", secret: "00ff10ABCD",
				header: map[string]string{"X-ANET-Signature": "sha512={HEX}"},
				body:   `{"notificationId":"n-1","eventType":"net.authorize.payment.authcapture.created"}`,
				id:     "n-1", event: "net.authorize.payment.authcapture.created",
			},
			hash: sha512.New,
		},
		{
			vector: vector{
				scheme: "authorize-net", secret: "00ff10ABCD",
				header: map[string]string{"X-ANET-Signature": "sha512={HEX}"},
				body:   `{"notificationId":"n-1","eventType":"net.authorize.payment.authcapture.created"}`,
				id:     "n-1", event: "net.authorize.payment.authcapture.created",
			},
			key:  "\x00\xff\x10\xab\xcd",
			hash: sha512.New,
		},
		{
			vector: vector{
				scheme: "autodesk", secret: "s3cret",
				header: map[string]string{"x-adsk-signature": "sha1hash={hex}"},
				body:   `{"version":"1.0","hook":{"event":"dm.version.added"}}`,
				event:  "dm.version.added",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "backblaze-b2", secret: "s3cret",
				header: map[string]string{"X-Bz-Event-Notification-Signature": "v1={hex}"},
				body:   `{"events":[{"accountId":"e85c6a500333","eventId":"1","eventType":"b2:ObjectCreated:Upload"}]}`,
				event:  "b2:ObjectCreated:Upload",
			},
		},
		{
			vector: vector{
				scheme: "bitbucket", secret: "s3cret",
				header: map[string]string{"X-Hub-Signature": "sha256={hex}", "X-Request-UUID": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-Event-Key": "repo:push"},
				body:   `{"push":{"changes":[]}}`,
				id:     "72d3162e-cc78-11e3-81ab-4c9367dc0958", event: "repo:push",
			},
		},
		{
			vector: vector{
				scheme: "bland", secret: "s3cret",
				header: map[string]string{"X-Webhook-Signature": "{hex}"},
				body:   `{"call_id":"c1","completed":true}`,
			},
		},
		{
			vector: vector{
				scheme: "bolt", secret: "s3cret",
				header: map[string]string{"X-Bolt-Hmac-Sha256": "{base64}"},
				body:   `{"type":"payment","reference":"X"}`,
			},
		},
		{
			vector: vector{
				scheme: "btcpay", secret: "s3cret",
				header: map[string]string{"BTCPay-Sig": "sha256={hex}"},
				body:   `{"deliveryId":"2","originalDeliveryId":"1","isRedelivery":true,"type":"InvoiceSettled"}`,
				id:     "1", event: "InvoiceSettled",
			},
		},
		{
			vector: vector{
				scheme: "bunny-stream", secret: "read-only-key",
				header: map[string]string{"X-BunnyStream-Signature": "{hex}", "X-BunnyStream-Signature-Version": "v1"},
				body:   `{"VideoLibraryId":133,"VideoGuid":"657bb740-a71b-4529-a012-528021c31a92","Status":3}`,
				event:  "3",
			},
		},
		{
			vector: vector{
				scheme: "cal-com", secret: "s3cret",
				header: map[string]string{"X-Cal-Signature-256": "{hex}"},
				body:   `{"triggerEvent":"BOOKING_CREATED","payload":{}}`,
				event:  "BOOKING_CREATED",
			},
		},
		{
			vector: vector{
				scheme: "castle", secret: "s3cret",
				header: map[string]string{"X-Castle-Signature": "{base64}"},
				body:   `{"type":"$incident.confirmed","data":{}}`,
				event:  "$incident.confirmed",
			},
		},
		{
			vector: vector{
				scheme: "chargify", secret: "s3cret",
				header: map[string]string{"X-Chargify-Webhook-Signature-Hmac-Sha-256": "{hex}", "X-Chargify-Webhook-Signature": "00", "Content-Type": "application/x-www-form-urlencoded"},
				body:   "id=1&event=signup_success&payload[subscription][id]=2",
				id:     "1", event: "signup_success",
			},
		},
		{
			vector: vector{
				scheme: "checkout-com", secret: "s3cret",
				header: map[string]string{"Cko-Signature": "{hex}"},
				body:   `{"id":"evt_1","type":"payment_approved","data":{"id":"pay_1"}}`,
				id:     "evt_1", event: "payment_approved",
			},
		},
		{
			vector: vector{
				scheme: "checkly", secret: "s3cret",
				header: map[string]string{"x-checkly-signature": "{hex}", "x-checkly-timestamp": unixNow},
				body:   `{"event":"API Error"}`,
			},
		},
		{
			vector: vector{
				scheme: "checkr", secret: "s3cret",
				header: map[string]string{"X-Checkr-Signature": "{hex}"},
				body:   `{"id":"507f1f77","object":"event","type":"report.completed"}`,
				id:     "507f1f77", event: "report.completed",
			},
		},
		{
			vector: vector{
				scheme: "circleci", secret: "s3cret",
				header: map[string]string{"circleci-signature": "v1={hex},v2=00", "circleci-event-type": "job-completed"},
				body:   `{"type":"workflow-completed","id":"3f2b1c9a"}`,
				id:     "3f2b1c9a", event: "workflow-completed",
			},
		},
		{
			vector: vector{
				scheme: "clickup", secret: "s3cret",
				header: map[string]string{"X-Signature": "{hex}"},
				body:   `{"event":"taskCreated","task_id":"c0j"}`,
				event:  "taskCreated",
			},
		},
		{
			vector: vector{
				scheme: "cloudconvert", secret: "s3cret",
				header: map[string]string{"CloudConvert-Signature": "{hex}"},
				body:   `{"event":"job.finished","job":{"id":"c677ccf7-8876-4f48-bb96-0ab8e0d88cd7"}}`,
				event:  "job.finished",
			},
		},
		{
			vector: vector{
				scheme: "coinbase-commerce", secret: "s3cret",
				header: map[string]string{"X-CC-Webhook-Signature": "{hex}"},
				body:   `{"id":1,"event":{"id":"24934862","type":"charge:created"}}`,
				id:     "24934862", event: "charge:created",
			},
		},
		{
			vector: vector{
				scheme: "commerce-layer", secret: "s3cret",
				header: map[string]string{"X-CommerceLayer-Signature": "{base64}", "X-CommerceLayer-Topic": "orders.place"},
				body:   `{"data":{"id":"x"}}`,
				event:  "orders.place",
			},
		},
		{
			vector: vector{
				scheme: "creem", secret: "whsec_s3cret",
				header: map[string]string{"creem-signature": "{hex}"},
				body:   `{"id":"evt_1","eventType":"checkout.completed"}`,
				id:     "evt_1", event: "checkout.completed",
			},
		},
		{
			vector: vector{
				scheme: "cronofy", secret: "s3cret",
				header: map[string]string{"Cronofy-HMAC-SHA256": "dGhlIG1hYyBvZiBhbm90aGVyIHNlY3JldCwgMzIgYiE=,{base64}"},
				body:   `{"notification":{"type":"change"}}`,
				event:  "change",
			},
		},
		{
			vector: vector{
				scheme: "cursor", secret: "s3cret",
				header: map[string]string{"X-Webhook-Signature": "sha256={hex}", "X-Webhook-ID": "msg_1", "X-Webhook-Event": "statusChange"},
				body:   `{"event":"statusChange","id":"bc_1","status":"FINISHED"}`,
				id:     "msg_1", event: "statusChange",
			},
		},
		{
			vector: vector{
				scheme: "deel", secret: "s3cret",
				header: map[string]string{"x-deel-signature": "{hex}"},
				body:   `{"data":{"meta":{"event_type":"contract.created"}}}`,
				event:  "contract.created",
			},
			signed: `POST{"data":{"meta":{"event_type":"contract.created"}}}`,
		},
		{
			vector: vector{
				scheme: "discourse", secret: "s3cret",
				header: map[string]string{"X-Discourse-Event-Signature": "sha256={hex}", "X-Discourse-Event-Id": "17", "X-Discourse-Event": "post_created"},
				body:   `{"post":{"id":1}}`,
				id:     "17", event: "post_created",
			},
		},
		{
			vector: vector{
				scheme: "docusign", secret: "s3cret",
				header: map[string]string{"X-DocuSign-Signature-1": "dGhlIG1hYyBvZiBhbm90aGVyIHNlY3JldCwgMzIgYiE=", "X-DocuSign-Signature-2": "{base64}"},
				body:   `{"event":"envelope-completed"}`,
				event:  "envelope-completed",
			},
		},
		{
			vector: vector{
				scheme: "docusign", secret: "s3cret",
				header: map[string]string{"X-DocuSign-Signature-100": "{base64}"},
				body:   "<DocuSignEnvelopeInformation/>",
			},
		},
		{
			vector: vector{
				scheme: "doppler", secret: "s3cret",
				header: map[string]string{"X-Doppler-Signature": "sha256={hex}"},
				body:   `{"type":"config.secrets.update","config":{"name":"prd"}}`,
				event:  "config.secrets.update",
			},
		},
		{
			vector: vector{
				scheme: "dub", secret: "s3cret",
				header: map[string]string{"Dub-Signature": "{hex}"},
				body:   `{"id":"evt_1","event":"link.clicked"}`,
				id:     "evt_1", event: "link.clicked",
			},
		},
		{
			vector: vector{
				scheme: "dwolla", secret: "s3cret",
				header: map[string]string{"X-Request-Signature-SHA-256": "{hex}"},
				body:   `{"id":"ev-1","topic":"customer_created"}`,
				id:     "ev-1", event: "customer_created",
			},
		},
		{
			vector: vector{
				scheme: "easypost", secret: "s3cret",
				header: map[string]string{"X-Hmac-Signature": "hmac-sha256-hex={hex}"},
				body:   `{"id":"evt_1","object":"Event","description":"tracker.updated"}`,
				id:     "evt_1", event: "tracker.updated",
			},
		},
		{
			vector: vector{
				scheme: "enode", secret: "s3cret",
				header: map[string]string{"x-enode-signature": "sha1={hex}", "x-enode-delivery": "d1"},
				body:   `[{"event":"user:vehicle:updated"}]`,
				id:     "d1", event: "user:vehicle:updated",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "expo", secret: "s3cret-of-sixteen",
				header: map[string]string{"expo-signature": "sha1={hex}"},
				body:   `{"id":"147a3212-49fd-446f-b4e3-a6519acf264a","platform":"android","status":"finished"}`,
				event:  "finished",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "fastspring", secret: "s3cret",
				header: map[string]string{"X-FS-Signature": "{base64}"},
				body:   `{"events":[{"id":"1","type":"order.completed"}]}`,
				event:  "order.completed",
			},
		},
		{
			vector: vector{
				scheme: "firehydrant", secret: "super-secret-key",
				header: map[string]string{"fh-signature": "{hex}"},
				body:   `{"data":{"incident":{}},"event":{"operation":"CREATED","resource_type":"incident"}}`,
				event:  "incident",
			},
		},
		{
			vector: vector{
				scheme: "flagsmith", secret: "s3cret",
				header: map[string]string{"X-Flagsmith-Signature": "{hex}"},
				body:   `{"data": {}, "event_type": "FLAG_UPDATED"}`,
				event:  "FLAG_UPDATED",
			},
		},
		{
			vector: vector{
				scheme: "flutterwave", secret: "secret-hash",
				header: map[string]string{"flutterwave-signature": "{base64}"},
				body:   `{"webhook_id":"wbk_1","type":"charge.completed","data":{"id":"chg_1"}}`,
				event:  "charge.completed",
			},
		},
		{
			vector: vector{
				scheme: "forgejo", secret: "s3cret",
				header: map[string]string{"X-Forgejo-Signature": "{hex}", "X-Forgejo-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-Forgejo-Event": "push"},
				body:   `{"ref":"refs/heads/main","n":"é & =+ %"}`,
				id:     "72d3162e-cc78-11e3-81ab-4c9367dc0958", event: "push",
			},
		},
		{
			vector: vector{
				scheme: "forgejo", secret: "s3cret",
				header: map[string]string{"X-Forgejo-Signature": "{hex}", "Content-Type": "application/x-www-form-urlencoded"},
				body:   "payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22n%22%3A%22%C3%A9+%26+%3D%2B+%25%22%7D",
			},
			signed: `{"ref":"refs/heads/main","n":"é & =+ %"}`,
		},
		{
			vector: vector{
				scheme: "fourthwall", secret: "s3cret",
				header: map[string]string{"X-Fourthwall-Hmac-SHA256": "{base64}"},
				body:   `{"id":"weve_1","type":"ORDER_PLACED"}`,
				id:     "weve_1", event: "ORDER_PLACED",
			},
		},
		{
			vector: vector{
				scheme: "fourthwall-apps", secret: "s3cret",
				header: map[string]string{"X-Fourthwall-Hmac-Apps-SHA256": "{base64}"},
				body:   `{"id":"weve_1","type":"ORDER_PLACED"}`,
				id:     "weve_1", event: "ORDER_PLACED",
			},
		},
		{
			vector: vector{
				scheme: "framer", secret: "s3cret",
				header: map[string]string{"Framer-Signature": "sha256={hex}", "Framer-Webhook-Submission-Id": "sub-1"},
				body:   `{"Name":"Ada"}`,
				id:     "sub-1",
			},
			signed: `{"Name":"Ada"}sub-1`,
		},
		{
			vector: vector{
				scheme: "getstream", secret: "api-secret",
				header: map[string]string{"X-Signature": "{hex}", "X-Webhook-Id": "123e4567-e89b-12d3-a456-426614174000"},
				body:   `{"type":"message.new","cid":"messaging:1"}`,
				id:     "123e4567-e89b-12d3-a456-426614174000", event: "message.new",
			},
		},
		{
			vector: vector{
				scheme: "gitea", secret: "s3cret",
				header: map[string]string{"X-Gitea-Signature": "{hex}", "X-Hub-Signature": "sha1=00", "X-Gitea-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-Gitea-Event": "push", "Content-Type": "application/json"},
				body:   `{"ref":"refs/heads/main","n":"é & =+ %"}`,
				id:     "72d3162e-cc78-11e3-81ab-4c9367dc0958", event: "push",
			},
		},
		{
			vector: vector{
				scheme: "gitea", secret: "s3cret",
				header: map[string]string{"X-Gitea-Signature": "{hex}", "X-Gitea-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-Gitea-Event": "push", "Content-Type": "application/x-www-form-urlencoded"},
				body:   "payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22n%22%3A%22%C3%A9+%26+%3D%2B+%25%22%7D",
				id:     "72d3162e-cc78-11e3-81ab-4c9367dc0958", event: "push",
			},
			signed: `{"ref":"refs/heads/main","n":"é & =+ %"}`,
		},
		{
			vector: vector{
				scheme: "gocardless", secret: "s3cret",
				header: map[string]string{"Webhook-Signature": "{hex}"},
				body:   `{"events":[{"id":"EV1","resource_type":"payments","action":"confirmed"}],"meta":{"webhook_id":"WB1"}}`,
				id:     "WB1", event: "payments",
			},
		},
		{
			vector: vector{
				scheme: "gogs", secret: "s3cret",
				header: map[string]string{"X-Gogs-Signature": "{hex}", "X-Gogs-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-Gogs-Event": "push"},
				body:   `{"ref":"refs/heads/main","n":"é & =+ %"}`,
				id:     "72d3162e-cc78-11e3-81ab-4c9367dc0958", event: "push",
			},
		},
		{
			vector: vector{
				scheme: "gogs", secret: "s3cret",
				header: map[string]string{"X-Gogs-Signature": "{hex}", "Content-Type": "application/x-www-form-urlencoded"},
				body:   "payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22n%22%3A%22%C3%A9+%26+%3D%2B+%25%22%7D",
			},
			signed: `{"ref":"refs/heads/main","n":"é & =+ %"}`,
		},
		{
			vector: vector{
				scheme: "grafana", secret: "s3cret",
				header: map[string]string{"X-Grafana-Alerting-Signature": "{hex}"},
				body:   `{"status":"firing","alerts":[]}`,
				event:  "firing",
			},
		},
		{
			vector: vector{
				scheme: "greenhouse", secret: "s3cret",
				header: map[string]string{"Signature": "sha256 {hex}", "Greenhouse-Event-ID": "37"},
				body:   `{"action":"ping","payload":{}}`,
				id:     "37", event: "ping",
			},
		},
		{
			vector: vector{
				scheme: "gusto", secret: "verification-token",
				header: map[string]string{"X-Gusto-Signature": "{hex}"},
				body:   `{"uuid":"f7397a24","event_type":"company.provisioned"}`,
				id:     "f7397a24", event: "company.provisioned",
			},
		},
		{
			vector: vector{
				scheme: "hcp-terraform", secret: "s3cret",
				header: map[string]string{"X-TFE-Notification-Signature": "{hex}"},
				body:   `{"notifications":[{"trigger":"run:completed"}]}`,
				event:  "run:completed",
			},
			hash: sha512.New,
		},
		{
			vector: vector{
				scheme: "help-scout", secret: "s3cret",
				header: map[string]string{"X-HelpScout-Signature": "{base64}", "X-HelpScout-Event": "convo.created"},
				body:   `{"id":1}`,
				event:  "convo.created",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "heroku", secret: "s3cret",
				header: map[string]string{"Heroku-Webhook-Hmac-SHA256": "{base64}"},
				body:   `{"id":"ev-1","resource":"release","action":"update"}`,
				id:     "ev-1", event: "release",
			},
		},
		{
			vector: vector{
				scheme: "hookdeck", secret: "s3cret",
				header: map[string]string{"X-Hookdeck-Signature": "{base64}", "X-Hookdeck-Eventid": "evt_1"},
				body:   `{"n":1}`,
				id:     "evt_1",
			},
		},
		{
			vector: vector{
				scheme: "hookdeck", secret: "s3cret",
				header: map[string]string{"X-Hookdeck-Signature": "dGhlIG1hYyBvZiBhbm90aGVyIHNlY3JldCwgMzIgYiE=", "X-Hookdeck-Signature-2": "{base64}"},
				body:   `{"n":1}`,
			},
		},
		{
			vector: vector{
				scheme: "hyperswitch", secret: "hash-key",
				header: map[string]string{"X-Webhook-Signature-512": "{hex}"},
				body:   `{"merchant_id":"m1","event_id":"evt_1","event_type":"payment_succeeded"}`,
				id:     "evt_1", event: "payment_succeeded",
			},
			hash: sha512.New,
		},
		{
			vector: vector{
				scheme: "intercom", secret: "s3cret",
				header: map[string]string{"X-Hub-Signature": "sha1={hex}"},
				body:   `{"id":"notif_1","topic":"conversation.user.created"}`,
				id:     "notif_1", event: "conversation.user.created",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "jira", secret: "s3cret",
				header: map[string]string{"X-Hub-Signature": "sha256={hex}", "X-Atlassian-Webhook-Identifier": "72d3162e-cc78-11e3-81ab-4c9367dc0958"},
				body:   `{"webhookEvent":"jira:issue_created"}`,
				id:     "72d3162e-cc78-11e3-81ab-4c9367dc0958", event: "jira:issue_created",
			},
		},
		{
			vector: vector{
				scheme: "katana", secret: "token",
				header: map[string]string{"x-sha2-signature": "{hex}"},
				body:   `{"resource_type":"sales_order","action":"sales_order.created","webhook_id":1}`,
				event:  "sales_order.created",
			},
		},
		{
			vector: vector{
				scheme: "kontent-ai", secret: "s3cret=",
				header: map[string]string{"X-Kontent-ai-Signature": "{base64}"},
				body:   `{"notifications":[{"data":{},"message":{"action":"published"}}]}`,
				event:  "published",
			},
		},
		{
			vector: vector{
				scheme: "lago", secret: "hmac-key",
				header: map[string]string{"X-Lago-Signature": "{base64}", "X-Lago-Signature-Algorithm": "hmac", "X-Lago-Unique-Key": "k1"},
				body:   `{"webhook_type":"invoice.created","object_type":"invoice"}`,
				id:     "k1", event: "invoice.created",
			},
		},
		{
			vector: vector{
				scheme: "launchdarkly", secret: "s3cret",
				header: map[string]string{"X-LD-Signature": "{hex}"},
				body:   `{"_id":"58","kind":"flag"}`,
				id:     "58", event: "flag",
			},
		},
		{
			vector: vector{
				scheme: "lemon-squeezy", secret: "s3cret",
				header: map[string]string{"X-Signature": "{hex}", "X-Event-Name": "order_refunded"},
				body:   `{"meta":{"event_name":"order_created"}}`,
				event:  "order_created",
			},
		},
		{
			vector: vector{
				scheme: "lightspark", secret: "s3cret",
				header: map[string]string{"lightspark-signature": "{hex}"},
				body:   `{"event_type":"NODE_STATUS","event_id":"e1"}`,
				id:     "e1", event: "NODE_STATUS",
			},
		},
		{
			vector: vector{
				scheme: "logto", secret: "s3cret",
				header: map[string]string{"logto-signature-sha-256": "{hex}"},
				body:   `{"hookId":"h1","event":"PostSignIn"}`,
				event:  "PostSignIn",
			},
		},
		{
			vector: vector{
				scheme: "mailersend", secret: "TEST_WEBHOOK_SIGNING_SECRET",
				header: map[string]string{"Signature": "{hex}"},
				body:   `{"type":"activity.sent","domain_id":"d1","data":{"id":"1"}}`,
				event:  "activity.sent",
			},
		},
		{
			vector: vector{
				scheme: "mautic", secret: "s3cret",
				header: map[string]string{"Webhook-Signature": "{base64}"},
				body:   `{"mautic.lead_post_save_new":[{"timestamp":"2023-11-14T22:13:20+00:00"}]}`,
			},
		},
		{
			vector: vector{
				scheme: "merge", secret: "s3cret",
				header: map[string]string{"X-Merge-Webhook-Signature": "{base64url}"},
				body:   `{"hook":{"event":"LinkedAccount.synced"}}`,
				event:  "LinkedAccount.synced",
			},
		},
		{
			vector: vector{
				scheme: "microsoft-teams", secret: "AP8Qq80=",
				header: map[string]string{"Authorization": "HMAC {base64}"},
				body:   `{"type":"message","id":"1485983408511"}`,
				id:     "1485983408511", event: "message",
			},
			key: "\x00\xff\x10\xab\xcd",
		},
		{
			vector: vector{
				scheme: "modern-treasury", secret: "s3cret",
				header: map[string]string{"X-Signature": "{hex}", "X-Webhook-ID": "w-1"},
				body:   `{"event":"created","data":{}}`,
				id:     "w-1", event: "created",
			},
		},
		{
			vector: vector{
				scheme: "mollie", secret: "s3cret",
				header: map[string]string{"X-Mollie-Signature": "sha256={hex}"},
				body:   `{"resource":"event","id":"event_1","type":"payment-link.paid"}`,
				id:     "event_1", event: "payment-link.paid",
			},
		},
		{
			vector: vector{
				scheme: "mongodb-atlas", secret: "s3cret",
				header: map[string]string{"X-MMS-Signature": "{base64}", "X-MMS-Event": "alert.open"},
				body:   `{"id":"5c","eventTypeName":"NO_PRIMARY"}`,
				event:  "alert.open",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "monnify", secret: "client-secret",
				header: map[string]string{"monnify-signature": "{hex}"},
				body:   `{"eventType":"SUCCESSFUL_TRANSACTION","eventData":{}}`,
				event:  "SUCCESSFUL_TRANSACTION",
			},
			hash: sha512.New,
		},
		{
			vector: vector{
				scheme: "nextcloud-talk", secret: "s3cret",
				header: map[string]string{"X-Nextcloud-Talk-Signature": "{hex}", "X-Nextcloud-Talk-Random": nextcloudRandom, "X-Nextcloud-Talk-Backend": "https://cloud.example.com/"},
				body:   `{"type":"Create","object":{"type":"Note","id":"1567"}}`,
				id:     nextcloudRandom, event: "Create",
			},
			signed: nextcloudRandom + `{"type":"Create","object":{"type":"Note","id":"1567"}}`,
		},
		{
			vector: vector{
				scheme: "nango", secret: "signing-key",
				header: map[string]string{"X-Nango-Hmac-Sha256": "{hex}", "X-Nango-Signature": "00"},
				body:   `{"type":"auth","operation":"creation"}`,
				event:  "auth",
			},
		},
		{
			vector: vector{
				scheme: "neynar", secret: "s3cret",
				header: map[string]string{"X-Neynar-Signature": "{hex}"},
				body:   `{"created_at":1700000000,"type":"cast.created","data":{}}`,
				event:  "cast.created",
			},
			hash: sha512.New,
		},
		{
			vector: vector{
				scheme: "notion", secret: "s3cret",
				header: map[string]string{"X-Notion-Signature": "sha256={hex}"},
				body:   `{"id":"ev-1","type":"page.created"}`,
				id:     "ev-1", event: "page.created",
			},
		},
		{
			vector: vector{
				scheme: "npm", secret: "s3cret",
				header: map[string]string{"x-npm-signature": "sha256={hex}"},
				body:   `{"event":"package:publish"}`,
				event:  "package:publish",
			},
		},
		{
			vector: vector{
				scheme: "nuvemshop", secret: "client-secret",
				header: map[string]string{"x-linkedstore-hmac-sha256": "{hex}"},
				body:   `{"store_id":123,"event":"order/paid","id":1}`,
				event:  "order/paid",
			},
		},
		{
			vector: vector{
				scheme: "nylas", secret: "s3cret",
				header: map[string]string{"X-Nylas-Signature": "{hex}"},
				body:   `{"specversion":"1.0","type":"message.created","id":"ev-1"}`,
				id:     "ev-1", event: "message.created",
			},
		},
		{
			vector: vector{
				scheme: "onfido", secret: "token",
				header: map[string]string{"X-SHA2-Signature": "{hex}"},
				body:   `{"payload":{"resource_type":"check","action":"check.completed","object":{}}}`,
				event:  "check.completed",
			},
		},
		{
			vector: vector{
				scheme: "openproject", secret: "s3cret",
				header: map[string]string{"X-OP-Signature": "sha1={hex}"},
				body:   `{"action":"work_package:created","work_package":{}}`,
				event:  "work_package:created",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "oracle-cx-commerce", secret: "s3cret",
				header: map[string]string{"X-Oracle-CC-WebHook-Signature": "{base64}"},
				body:   `{"order":{"id":"o1"}}`,
			},
			hash: sha512.New,
		},
		{
			vector: vector{
				scheme: "outpost", secret: "s3cret",
				header: map[string]string{"X-Outpost-Signature": "v0=0000000000000000000000000000000000000000000000000000000000000000,{hex}", "X-Outpost-Event-Id": "e1", "X-Outpost-Topic": "user.created"},
				body:   `{"id":1}`,
				id:     "e1", event: "user.created",
			},
		},
		{
			vector: vector{
				scheme: "pagerduty", secret: "s3cret",
				header: map[string]string{"X-PagerDuty-Signature": "v1=0000000000000000000000000000000000000000000000000000000000000000,v1={hex}"},
				body:   `{"event":{"id":"01BWD","event_type":"incident.triggered"}}`,
				id:     "01BWD", event: "incident.triggered",
			},
		},
		{
			vector: vector{
				scheme: "paystack", secret: "s3cret",
				header: map[string]string{"x-paystack-signature": "{hex}"},
				body:   `{"event":"charge.success","data":{}}`,
				event:  "charge.success",
			},
			hash: sha512.New,
		},
		{
			vector: vector{
				scheme: "phabricator", secret: "hmac-key",
				header: map[string]string{"X-Phabricator-Webhook-Signature": "{hex}"},
				body:   `{"triggers":[],"object":{"phid":"PHID-TASK-1"},"transactions":[]}`,
			},
		},
		{
			vector: vector{
				scheme: "plain", secret: "s3cret",
				header: map[string]string{"Plain-Request-Signature": "{hex}"},
				body:   `{"id":"pEv_1","webhookMetadata":{"webhookDeliveryAttemptTimestamp":"2023-11-14T22:13:20.362Z"},"type":"thread.thread_created"}`,
				id:     "pEv_1", event: "thread.thread_created",
			},
		},
		{
			vector: vector{
				scheme: "plane", secret: "plane_wh_s3cret",
				header: map[string]string{"X-Plane-Signature": "{hex}", "X-Plane-Delivery": "f819d6ff-7b5b-4e4b-9c50-b8d71bb9a24b", "X-Plane-Event": "issue"},
				body:   `{"event": "issue", "action": "create", "data": {}}`,
				id:     "f819d6ff-7b5b-4e4b-9c50-b8d71bb9a24b", event: "issue",
			},
		},
		{
			vector: vector{
				scheme: "planetscale", secret: "s3cret",
				header: map[string]string{"X-PlanetScale-Signature": "{hex}"},
				body:   `{"timestamp":1698252879,"event":"branch.ready"}`,
				event:  "branch.ready",
			},
		},
		{
			vector: vector{
				scheme: "primer", secret: "s3cret",
				header: map[string]string{"X-Signature-Primary": "{base64}"},
				body:   `{"eventType":"PAYMENT.STATUS","signedAt":"` + unixNow + `"}`,
				event:  "PAYMENT.STATUS",
			},
		},
		{
			vector: vector{
				scheme: "primer", secret: "new-s3cret",
				header: map[string]string{"X-Signature-Primary": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "X-Signature-Secondary": "{base64}"},
				body:   `{"eventType":"REFUND"}`,
				event:  "REFUND",
			},
		},
		{
			vector: vector{
				scheme: "pulumi", secret: "s3cret",
				header: map[string]string{"Pulumi-Webhook-Signature": "{hex}", "Pulumi-Webhook-ID": "1f54", "Pulumi-Webhook-Kind": "stack_update"},
				body:   `{"kind":"update","result":"succeeded"}`,
				id:     "1f54", event: "stack_update",
			},
		},
		{
			vector: vector{
				scheme: "pusher", secret: "s3cret",
				header: map[string]string{"X-Pusher-Signature": "{hex}", "X-Pusher-Key": "key"},
				body:   `{"time_ms":1,"events":[{"name":"channel_occupied"}]}`,
				event:  "channel_occupied",
			},
		},
		{
			vector: vector{
				scheme: "quickbooks", secret: "s3cret",
				header: map[string]string{"intuit-signature": "{base64}"},
				body:   `{"eventNotifications":[{"realmId":"1"}]}`,
			},
		},
		{
			vector: vector{
				scheme: "quickbooks", secret: "s3cret",
				header: map[string]string{"intuit-signature": "{base64}"},
				body:   `[{"specversion":"1.0","id":"88cd52aa","type":"qbo.customer.created.v1"}]`,
				event:  "qbo.customer.created.v1",
			},
		},
		{
			vector: vector{
				scheme: "ramp", secret: "s3cret",
				header: map[string]string{"X-Ramp-Signature": "{hex}"},
				body:   `{"id":"r1"}`,
			},
		},
		{
			vector: vector{
				scheme: "razorpay", secret: "s3cret",
				header: map[string]string{"X-Razorpay-Signature": "{hex}", "x-razorpay-event-id": "ev-1"},
				body:   `{"entity":"event","event":"payment.captured"}`,
				id:     "ev-1", event: "payment.captured",
			},
		},
		{
			vector: vector{
				scheme: "remotion", secret: "s3cret",
				header: map[string]string{"X-Remotion-Signature": "sha512={hex}", "X-Remotion-Status": "success", "X-Remotion-Mode": "production"},
				body:   `{"type":"success","renderId":"r1"}`,
				event:  "success",
			},
			hash: sha512.New,
		},
		{
			vector: vector{
				scheme: "rewardful", secret: "s3cret",
				header: map[string]string{"X-Rewardful-Signature": "{hex}"},
				body:   `{"object":{"id":"a1"}}`,
			},
		},
		{
			vector: vector{
				scheme: "savvycal", secret: "s3cret",
				header: map[string]string{"X-Savvycal-Signature": "sha256={hex}"},
				body:   `{"type":"event.created","payload":{}}`,
				event:  "event.created",
			},
		},
		{
			vector: vector{
				scheme: "segment", secret: "s3cret",
				header: map[string]string{"X-Signature": "{hex}"},
				body:   `{"messageId":"m-1","type":"track"}`,
				id:     "m-1", event: "track",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "sendbird", secret: "s3cret",
				header: map[string]string{"X-Sendbird-Signature": "{hex}"},
				body:   `{"category":"group_channel:message_send"}`,
				event:  "group_channel:message_send",
			},
		},
		{
			vector: vector{
				scheme: "sentry", secret: "s3cret",
				header: map[string]string{"Sentry-Hook-Signature": "{hex}", "Request-ID": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "Sentry-Hook-Resource": "issue", "Sentry-Hook-Timestamp": "1"},
				body:   `{"action":"created"}`,
				id:     "72d3162e-cc78-11e3-81ab-4c9367dc0958", event: "issue",
			},
		},
		{
			vector: vector{
				scheme: "shiphero", secret: "s3cret",
				header: map[string]string{"x-shiphero-hmac-sha256": "{base64}", "X-Shiphero-Message-ID": "m1"},
				body:   `{"webhook_type":"Shipment Update"}`,
				id:     "m1", event: "Shipment Update",
			},
		},
		{
			vector: vector{
				scheme: "shopline", secret: "s3cret",
				header: map[string]string{"X-Shopline-Hmac-Sha256": "{hex}", "X-Shopline-Topic": "orders/create", "X-Shopline-Webhook-Id": "b54557e4"},
				body:   `{"id":1}`,
				id:     "b54557e4", event: "orders/create",
			},
		},
		{
			vector: vector{
				scheme: "shopware", secret: "shop-secret",
				header: map[string]string{"shopware-shop-signature": "{hex}"},
				body:   `{"data":{"payload":[],"event":"product.written"},"source":{"shopId":"s","eventId":"7b04ebe416db4ebc93de4d791325e1d9"},"timestamp":` + unixNow + `}`,
				id:     "7b04ebe416db4ebc93de4d791325e1d9", event: "product.written",
			},
		},
		{
			vector: vector{
				scheme: "shortcut", secret: "s3cret",
				header: map[string]string{"Payload-Signature": "{hex}"},
				body:   `{"id":"595285dc-9c43-4b9c-a1e6-0cd9aff5b084","version":"v1","actions":[{"entity_type":"story","action":"update"}]}`,
				id:     "595285dc-9c43-4b9c-a1e6-0cd9aff5b084", event: "update",
			},
		},
		{
			vector: vector{
				scheme: "sinch-numbers", secret: "s3cret",
				header: map[string]string{"X-Sinch-Signature": "{hex}"},
				body:   `{"eventId":"01jr","eventType":"PROVISIONING_TO_VOICE_PLATFORM"}`,
				id:     "01jr", event: "PROVISIONING_TO_VOICE_PLATFORM",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "smartsheet", secret: "289c4s9hnfp4b368x4p4wu9gea",
				header: map[string]string{"Smartsheet-Hmac-SHA256": "{hex}"},
				body:   `{"webhookId":1,"events":[{"objectType":"row","eventType":"created"}]}`,
				event:  "created",
			},
		},
		{
			vector: vector{
				scheme: "snyk", secret: "s3cret",
				header: map[string]string{"X-Hub-Signature": "sha256={hex}", "X-Snyk-Transport-ID": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-Snyk-Event": "project_snapshot/v0", "X-Snyk-Timestamp": "2020-09-25T15:27:53Z"},
				body:   `{"project":{}}`,
				id:     "72d3162e-cc78-11e3-81ab-4c9367dc0958", event: "project_snapshot/v0",
			},
		},
		{
			vector: vector{
				scheme: "sonarqube", secret: "s3cret-of-sixteen",
				header: map[string]string{"X-Sonar-Webhook-HMAC-SHA256": "{hex}", "X-SonarQube-Project": "org.sonarqube:example"},
				body:   `{"status":"SUCCESS","taskId":"AVh21JS2JepAEhwQ-b3u"}`,
			},
		},
		{
			vector: vector{
				scheme: "sonatype-nexus", secret: "s3cret",
				header: map[string]string{"X-Nexus-Webhook-Signature": "{hex}", "X-Nexus-Webhook-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-Nexus-Webhook-Id": "rm:repository:component"},
				body:   `{"action":"CREATED"}`,
				id:     "72d3162e-cc78-11e3-81ab-4c9367dc0958", event: "rm:repository:component",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "sourcegraph", secret: "s3cret",
				header: map[string]string{"X-Sourcegraph-Webhook-Signature": "{hex}", "X-Sourcegraph-Webhook-Event-Type": "batch_change:apply"},
				body:   `{"id":"QmF0Y2hDaGFuZ2U6MTcz","state":"OPEN"}`,
				event:  "batch_change:apply",
			},
		},
		{
			vector: vector{
				scheme: "spacelift", secret: "s3cret",
				header: map[string]string{"X-Signature-256": "sha256={hex}", "X-Signature": "sha1=00"},
				body:   `{"account":"a","state":"FINISHED"}`,
				event:  "FINISHED",
			},
		},
		{
			vector: vector{
				scheme: "squarespace", secret: "00ff10ABCD",
				header: map[string]string{"Squarespace-Signature": "{hex}"},
				body:   `{"id":"n-1","topic":"order.create"}`,
				id:     "n-1", event: "order.create",
			},
			key: "\x00\xff\x10\xab\xcd",
		},
		{
			vector: vector{
				scheme: "strike", secret: "s3cret",
				header: map[string]string{"X-Webhook-Signature": "{hex}"},
				body:   `{"id":"52ec863a","eventType":"invoice.updated"}`,
				id:     "52ec863a", event: "invoice.updated",
			},
		},
		{
			vector: vector{
				scheme: "sumsub", secret: "s3cret",
				header: map[string]string{"X-Payload-Digest": "{hex}", "X-Payload-Digest-Alg": "HMAC_SHA256_HEX"},
				body:   `{"applicantId":"5cb56e8e0a975a35f333cb83","type":"applicantReviewed"}`,
				event:  "applicantReviewed",
			},
		},
		{
			vector: vector{
				scheme: "taiga", secret: "s3cret",
				header: map[string]string{"X-TAIGA-WEBHOOK-SIGNATURE": "{hex}"},
				body:   `{"action":"create","type":"userstory","data":{}}`,
				event:  "userstory",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "tally", secret: "s3cret",
				header: map[string]string{"Tally-Signature": "{base64}"},
				body:   `{"eventId":"ev-1","eventType":"FORM_RESPONSE"}`,
				id:     "ev-1", event: "FORM_RESPONSE",
			},
		},
		{
			vector: vector{
				scheme: "todoist", secret: "s3cret",
				header: map[string]string{"X-Todoist-Hmac-SHA256": "{base64}", "X-Todoist-Delivery-ID": "72d3162e-cc78-11e3-81ab-4c9367dc0958"},
				body:   `{"event_name":"item:added"}`,
				id:     "72d3162e-cc78-11e3-81ab-4c9367dc0958", event: "item:added",
			},
		},
		{
			vector: vector{
				scheme: "tremendous", secret: "private-key",
				header: map[string]string{"Tremendous-Webhook-Signature": "sha256={hex}"},
				body:   `{"event":"REWARDS.DELIVERY.SUCCEEDED","uuid":"8434ad4e","payload":{}}`,
				id:     "8434ad4e", event: "REWARDS.DELIVERY.SUCCEEDED",
			},
		},
		{
			vector: vector{
				scheme: "trigger-dev", secret: "s3cret",
				header: map[string]string{"x-trigger-signature-hmacsha256": "{hex}"},
				body:   `{"id":"webhook_1","type":"alert.run.failed"}`,
				id:     "webhook_1", event: "alert.run.failed",
			},
		},
		{
			vector: vector{
				scheme: "typeform", secret: "s3cret",
				header: map[string]string{"Typeform-Signature": "sha256={base64}"},
				body:   `{"event_id":"ev-1","event_type":"form_response"}`,
				id:     "ev-1", event: "form_response",
			},
		},
		{
			vector: vector{
				scheme: "uber", secret: "client-secret",
				header: map[string]string{"X-Uber-Signature": "{hex}"},
				body:   `{"event_id":"c4d2261e","event_type":"orders.notification"}`,
				id:     "c4d2261e", event: "orders.notification",
			},
		},
		{
			vector: vector{
				scheme: "unit", secret: "s3cret",
				header: map[string]string{"X-Unit-Signature": "{base64}"},
				body:   `{"data":[{"id":"1","type":"customer.created"}]}`,
				event:  "customer.created",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "uploadcare", secret: "s3cret",
				header: map[string]string{"X-Uc-Signature": "v1={hex}"},
				body:   `{"hook":{"id":1,"event":"file.uploaded"},"data":{}}`,
				event:  "file.uploaded",
			},
		},
		{
			vector: vector{
				scheme: "vapi", secret: "s3cret",
				header: map[string]string{"X-Vapi-Signature": "{hex}"},
				body:   `{"message":{"type":"end-of-call-report"}}`,
				event:  "end-of-call-report",
			},
		},
		{
			vector: vector{
				scheme: "vercel", secret: "s3cret",
				header: map[string]string{"x-vercel-signature": "{hex}"},
				body:   `{"id":"uev_1","type":"deployment.created"}`,
				id:     "uev_1", event: "deployment.created",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "veriff", secret: "shared-secret",
				header: map[string]string{"x-hmac-signature": "{hex}"},
				body:   `{"status":"success","verification":{"code":9001}}`,
			},
		},
		{
			vector: vector{
				scheme: "viber", secret: "4453b6ac12345678-e02c5f12174805f9-daec9cbb5448c51f",
				header: map[string]string{"X-Viber-Content-Signature": "{hex}"},
				body:   `{"event":"message","message_token":4912661846655238145}`,
				event:  "message",
			},
		},
		{
			vector: vector{
				scheme: "webex", secret: "s3cret",
				header: map[string]string{"X-Spark-Signature": "{hex}"},
				body:   `{"id":"hook-1","resource":"messages","event":"created"}`,
				event:  "messages",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "wistia", secret: "s3cret",
				header: map[string]string{"X-Wistia-Signature": "{hex}"},
				body:   `{"hook":{"uuid":"h1"},"events":[{"uuid":"e1","type":"viewing_session.play"}]}`,
				event:  "viewing_session.play",
			},
		},
		{
			vector: vector{
				scheme: "woocommerce", secret: "s3cret",
				header: map[string]string{"X-WC-Webhook-Signature": "{base64}", "X-WC-Webhook-Delivery-ID": "d-1", "X-WC-Webhook-Topic": "order.created"},
				body:   `{"id":1}`,
				id:     "d-1", event: "order.created",
			},
		},
		{
			vector: vector{
				scheme: "woovi", secret: "hmac-secret-key",
				header: map[string]string{"X-OpenPix-Signature": "{base64}"},
				body:   `{"data_criacao":"2021-08-10T20:32:14.429Z","evento":"teste_webhook","event":"OPENPIX:CHARGE_COMPLETED"}`,
				event:  "OPENPIX:CHARGE_COMPLETED",
			},
			hash: sha1.New,
		},
		{
			vector: vector{
				scheme: "yousign", secret: "s3cret",
				header: map[string]string{"X-Yousign-Signature-256": "sha256={hex}", "X-Yousign-Issued-At": unixNow},
				body:   `{"event_id":"b6c63685-c556-4a30-8fe9-b6f2b187d936","event_name":"signature_request.activated"}`,
				id:     "b6c63685-c556-4a30-8fe9-b6f2b187d936", event: "signature_request.activated",
			},
		},
	}
}
