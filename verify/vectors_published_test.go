package verify_test

import (
	"net/url"
	"time"
)

// published returns vectors that providers publish, or that their own tests have.
func published() []vector {
	return []vector{
		{
			scheme: "sendgrid",
			source: "sendgrid/sendgrid-go helpers/eventwebhook/eventwebhook_test.go",
			secret: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==",
			at:     time.Unix(1588788367, 0),
			header: map[string]string{
				"X-Twilio-Email-Event-Webhook-Signature": "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0=",
				"X-Twilio-Email-Event-Webhook-Timestamp": "1588788367",
			},
			body: `{"category":"example_payload","event":"test_event","message_id":"message_id"}`,
		},
		{
			scheme: "sendgrid",
			source: "discourse/discourse spec/requests/webhooks_controller_spec.rb",
			secret: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
			at:     time.Unix(1600112502, 0),
			header: map[string]string{
				"X-Twilio-Email-Event-Webhook-Signature": "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
				"X-Twilio-Email-Event-Webhook-Timestamp": "1600112502",
			},
			body: "[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n",
		},
		{
			scheme: "wise",
			source: "transferwise/digital-signatures-examples verify-webhook-signature/verify-signature.js",
			secret: `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwpb91cEYuyJNQepZAVfP
ZIlPZfNUefH+n6w9SW3fykqKu938cR7WadQv87oF2VuT+fDt7kqeRziTmPSUhqPU
ys/V2Q1rlfJuXbE+Gga37t7zwd0egQ+KyOEHQOpcTwKmtZ81ieGHynAQzsn1We3j
wt760MsCPJ7GMT141ByQM+yW1Bx+4SG3IGjXWyqOWrcXsxAvIXkpUD/jK/L958Cg
nZEgz0BSEh0QxYLITnW1lLokSx/dTianWPFEhMC9BgijempgNXHNfcVirg1lPSyg
z7KqoKUN0oHqWLr2U1A+7kqrl6O2nx3CKs1bj1hToT1+p4kcMoHXA7kA+VBLUpEs
VwIDAQAB
-----END PUBLIC KEY-----`,
			header: map[string]string{
				"X-Signature-SHA256": "wKcKCYXAzxNgiu7xmoDm943NUni7Rz33QN8JkEA9dWSGebgndonabgSj18Y4C08OrwVmueGsED2s00M7DtJVcYKOS1i3G4TMVx+mgM3aL9djMBkQtiYNBFUd6wrPI7ZUNHv/TrlKSjTMc+6JFvUvJ7owY3z85e3I4jLRLJowMFvO8kvCJ60+1pY9wDwZvtZ//WS93LrwGjk9Dvwzpmu0w+P4J75tETT5qC3Uv0y5G2yO8SEoO3yNP/tg/BOli02niHb53vEOUWUb9bly6thnfMoXoiV/osoGxgF20R58RlvkAmezyyl1Sv542TfS2DpiwVnmjjjkCyXeSUcKookYLQ==",
				"X-Delivery-Id":      "d0c0a8d4-5a8b-4d0c-9d0d-3d3a3d0a8d4a",
			},
			body:  `{"data":{"resource":{"id":49983981,"profile_id":16055450,"account_id":14124090,"type":"transfer"},"current_state":"incoming_payment_waiting","previous_state":null,"occurred_at":"2021-08-23T10:12:50Z"},"subscription_id":"90aa8e14-4ef1-4a56-861c-f3c9cde097ea","event_type":"transfers#state-change","schema_version":"2.0.0","sent_at":"2021-08-23T10:12:50Z"}`,
			id:    "d0c0a8d4-5a8b-4d0c-9d0d-3d3a3d0a8d4a",
			event: "transfers#state-change",
		},
		{
			scheme: "freshchat",
			source: "nyaruka/courier handlers/freshchat/handler_test.go",
			secret: "-----BEGIN RSA PUBLIC KEY----- MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAuGJLF4hTTtxWogT6dNkGf3CEgLAR2mGJzlds5cNbrHFoJNFnmVhkRYGzLYxx4EtDiezNCZVHfyMI2AKuNSQW2fEdDatVIG+q3Zr/X9eeDl8kQOGy804J/fgCYDrN8RQu0n5Dh1inv4puca0wb29SCvoAwrWb33ehDBIvv6+rUKBdjtv2xTV65kNiVDo5VRCaYRVeE10osxeONgw55HVY4nczuxnR+dmc2282de6WHe5LXtr0ZBdJ8yttFOLIluZ/sNM5DIWZBkIWQhyT581tbA7bTpsIbrT/IMBlmioIILw8WGtI7zcmNkjU5dnq5HnlVKEDhj/Ug/dLiyno8+Vp7QIDAQAB -----END RSA PUBLIC KEY-----",
			header: map[string]string{
				"X-FreshChat-Signature": "AhrmypOSWoewHG6LmIRuWjxyokuMDmPklrSU9p0gpUNjdSRCJzvpL6rjuTi5poV/ZLzWRWNM7X9yWjT5m9YFPshYrvigcd1ph4Ot2xmaJGYoUNJHijQccE6oDtDIp6i/8oLRafHgObQnGukZWPbP9OE5EiKz/VcsMP0Wv7hawI/sfIviM0w+6fNOKXWi0jDBH9ap1mj5CqOUOojni7OD5iYmIrjV/h33dyNmbvAta9E+trzcEhYqxfHIN4Z8R2FsatfRHWicoQ4PE5cQ8+UONVya8qr85nQ9w8N7Ql7yNg9fEViYG4/W/JnGEbPPEf8WrYtKzoVyuupDz4mVHdfKWg==",
			},
			body:  `{"actor":{"actor_type":"user","actor_id":"882f3926-b292-414b-a411-96380db373cd"},"action":"message_create","action_time":"2019-06-21T17:43:20.875Z","data":{"message":{"message_parts":[{"text":{"content":"Test 2"}}],"app_id":"55b190fa-5d3c-45c4-bc49-74ddcfcf53d7","actor_id":"882f3926-b292-414b-a411-96380db373cd","id":"7a454fde-c720-4c97-a61d-0ffe70449eb6","channel_id":"c8fddfaf-622a-4a0e-b060-4f3ccbeab606","conversation_id":"c327498e-f713-481e-8d83-0603e03d2521","message_type":"normal","actor_type":"user","created_time":"2019-06-21T17:43:20.866Z"}}}`,
			event: "message_create",
		},
		{
			scheme: "github-secret-scanning",
			source: "GitHub docs, Secret scanning partner program",
			secret: `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd
AjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==
-----END PUBLIC KEY-----`,
			header: map[string]string{
				"Github-Public-Key-Identifier": "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c",
				"Github-Public-Key-Signature":  "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==",
			},
			body:  `[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]`,
			event: "some_type",
		},
		{
			scheme: "moov",
			source: "moovfinancial/moov-go pkg/mhooks/event_test.go",
			secret: "my-webhook-signing-secret",
			at:     time.Date(2024, time.April, 26, 21, 20, 55, 0, time.UTC),
			header: map[string]string{
				"X-Timestamp":  "2024-04-26T21:20:55Z",
				"X-Nonce":      "LwxF1Uk7QOeDq2nzB3theslHbtAo7y3uuncB1PoijwCZZaRZsd8DOtffBT7p",
				"X-Webhook-Id": "dff0a709-f982-4475-81e8-214b435c74ab",
				"X-Signature":  "6231d03752de6963087e6aea1c78a27a0617b6df1c071195f30ed85defe34e02fd0bf3995949fe12dafd747c42de9cfae03b8aafcf69cceba5495f4c7b719d82",
			},
			body:  `{"eventID":"e1","eventType":"account.created"}`,
			id:    "LwxF1Uk7QOeDq2nzB3theslHbtAo7y3uuncB1PoijwCZZaRZsd8DOtffBT7p",
			event: "account.created",
		},
		{
			scheme: "agora",
			source: "https://docs.agora.io/cn/Video/signature_verify",
			secret: "secret",
			header: map[string]string{"Agora-Signature-V2": "de96da5acf03b0021ac3b4fa2225e7ae6f3533a30d50bb02c08ea4fa748bda24"},
			body:   `{"eventType":10,"noticeId":"4eb720f0-8da7-11e9-a43e-53f411c2761f","notifyMs":1560408533119,"payload":{"a":"1","b":2},"productId":1}`,
			id:     "4eb720f0-8da7-11e9-a43e-53f411c2761f", event: "10",
		},
		{
			scheme: "github",
			source: "GitHub docs, Validating webhook deliveries",
			secret: "It's a Secret to Everybody",
			header: map[string]string{
				"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
				"X-GitHub-Event":      "push",
				"X-GitHub-Delivery":   "72d3162e-cc78-11e3-81ab-4c9367dc0958",
			},
			body:  "Hello, World!",
			id:    "72d3162e-cc78-11e3-81ab-4c9367dc0958",
			event: "push",
		},
		{
			scheme: "slack",
			source: "Slack docs, Verifying requests from Slack",
			secret: "8f742231b10e8888abcd99yyyzzz85a5",
			at:     time.Unix(1531420618, 0),
			header: map[string]string{
				"X-Slack-Signature":         "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
				"X-Slack-Request-Timestamp": "1531420618",
				"Content-Type":              "application/x-www-form-urlencoded",
			},
			body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
		},
		{
			scheme: "chargify",
			source: "Chargify docs, Webhook Verification",
			secret: "123",
			header: map[string]string{
				"X-Chargify-Webhook-Signature-Hmac-Sha-256": "19826d51b9f866b26eda1f154de192593360f8d0bcb63df8a28540a5dcf733f1",
				"Content-Type": "application/x-www-form-urlencoded",
			},
			body:  "payload[chargify]=testing&event=test",
			event: "test",
		},
		{
			scheme: "configcat",
			source: "ConfigCat docs, Notifications - Webhooks",
			secret: "configcat_whsk_VN3juirnVh5pNvCKd81RYRYchxUX4j3NykbZG2fAy88=",
			at:     time.Unix(1669629035, 0),
			header: map[string]string{
				"X-ConfigCat-Webhook-Signature-V1": "Ks3cYsu9Lslfo+hVxNC3oQWnsF9e5d73TI5t94D9DRA=",
				"X-ConfigCat-Webhook-ID":           "b616ca659d154a5fb907dd8475792eeb",
				"X-ConfigCat-Webhook-Timestamp":    "1669629035",
			},
			body: "examplebody",
			id:   "b616ca659d154a5fb907dd8475792eeb",
		},
		{
			scheme: "twilio",
			source: "Twilio docs, Webhooks security",
			secret: "12345",
			url:    "https://mycompany.com/myapp.php?foo=1&bar=2",
			header: map[string]string{
				"X-Twilio-Signature": "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
				"Content-Type":       "application/x-www-form-urlencoded",
			},
			body: "To=%2B18005551212&CallSid=CA1234567890ABCDE&Digits=1234&From=%2B12349013030&Caller=%2B12349013030",
		},
		{
			scheme: "square",
			source: "square/square-nodejs-sdk",
			secret: "asdf1234",
			url:    "https://example.com/webhook",
			header: map[string]string{"x-square-hmacsha256-signature": "2kRE5qRU2tR+tBGlDwMEw2avJ7QM4ikPYD/PJ3bd9Og="},
			body:   `{"hello":"world"}`,
		},
		{
			scheme: "adyen",
			source: "Adyen docs, Verify HMAC signatures",
			secret: "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
			body: `{"live":"false","notificationItems":[{"NotificationRequestItem":{
			"additionalData":{"hmacSignature":"coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},
			"amount":{"value":1130,"currency":"EUR"},"pspReference":"7914073381342284","eventCode":"AUTHORISATION",
			"eventDate":"2019-05-06T17:15:34.121+02:00","merchantAccountCode":"TestMerchant",
			"merchantReference":"TestPayment-1407325143704","paymentMethod":"visa","success":"true"}}]}`,
			id:    "7914073381342284",
			event: "AUTHORISATION",
		},
		{
			scheme: "sinch-voice",
			source: "Sinch docs, Callback request signing",
			secret: "BeIukql3pTKJ8RGL5zo0DA==",
			at:     time.Date(2014, 9, 24, 10, 59, 41, 0, time.UTC),
			url:    "https://callbacks.yourdomain.com/sinch/callback/ace",
			header: map[string]string{
				"Authorization": "Application 669E367E-6BBA-48AB-AF15-266871C28135:Tg6fMyo8mj9pYfWQ9ssbx3Tc1BNC87IEygAfLbJqZb4=",
				"X-Timestamp":   "2014-09-24T10:59:41Z",
				"Content-Type":  "application/json",
			},
			body:  `{"event":"ace","callid":"822aa4b7-05b4-4d83-87c7-1f835ee0b6f6_257","timestamp":"2014-09-24T10:59:41Z","version":1}`,
			event: "ace",
		},
		{
			scheme: "plivo",
			source: "plivo/plivo-go utils_test.go",
			secret: "Y2Q2ZDgxZmY5YWRiOTI5YmQ1Njg0MTAxZWIyOTc4",
			url:    "https://plivobin.non-prod.plivops.com/api/v1/validate_signature03.xml/?a=b&c=d",
			header: map[string]string{
				"X-Plivo-Signature-V3":       "k7Pusd4OxCIjR5IfA9iedDNu/h/gbdYqdzG/MiYtd1c=",
				"X-Plivo-Signature-V3-Nonce": "31627761595286130198",
				"Content-Type":               "application/x-www-form-urlencoded",
			},
			body: url.Values{
				"Direction":       {"outbound"},
				"From":            {"19792014278"},
				"ALegUUID":        {"3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36"},
				"CallStatus":      {"in-progress"},
				"BillRate":        {"0.002"},
				"ParentAuthID":    {"MANWVLYTK4ZWU1YTY4QA"},
				"To":              {"sip:PlivoSignature382029104058171078704104@phone-qa.voice.plivodev.com"},
				"ALegRequestUUID": {"3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36"},
				"CallUUID":        {"3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36"},
				"RequestUUID":     {"3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36"},
				"SIP-H-To":        {"<sip:PlivoSignature382029104058171078704104@52.9.11.55;transport=udp>;tag=1"},
				"SessionStart":    {"2020-04-08 11:34:33.238707"},
				"Event":           {"StartApp"},
			}.Encode(),
			id: "31627761595286130198",
		},
		{
			scheme: "hook0",
			source: "hook0/hook0 clients/conformance/signature.json",
			secret: "a-subscription-secret",
			at:     time.Unix(1800000000, 0),
			header: map[string]string{
				"X-Hook0-Signature": "t=1800000000,h=x-event-id x-delivery-id,v0=bf5f4e5fe0c9143510ae192f983316a09ed392d0104d2ce0faa3d7bce3687acb,v1=19a6fb8f6581715b241a93af02a58611c3b0ac7b747a8d2a5b120ee418d0c347",
				"X-Event-Id":        "evt-1",
				"X-Delivery-Id":     "dlv-1",
				"Content-Type":      "application/json",
			},
			body: `{"event":"user.created"}`,
			id:   "evt-1",
		},
		{
			scheme: "hook0",
			source: "hook0/hook0 clients/conformance/signature.json",
			secret: "a-subscription-secret",
			at:     time.Unix(1800000000, 0),
			header: map[string]string{
				"X-Hook0-Signature": "t=1800000000,v0=d17d66b66fca89390c5b967c45e8928fc732db07a0aabe8167b1e98213081ffe",
				"X-Event-Id":        "evt-1",
			},
			body: `{"event":"user.created"}`,
			id:   "evt-1",
		},
		{
			scheme: "convoy",
			source: "frain-dev/convoy pkg/signature/testdata/signature-vectors.json",
			secret: "convoy-webhook-secret",
			at:     time.Unix(1700000000, 0),
			header: map[string]string{"X-Convoy-Signature": "t=1700000000,v1=449623e4897bbde05e35358293f97b8c2f697367ffa3e7466e98178dfba44d19,v1=77b8b9269f25a199846a55a2bd25b3fba151c70fdae60bb1dcd87fbbc943c55c"},
			body:   `{"event":"charge.success","amount":1000,"currency":"NGN"}`,
		},
		{
			scheme: "convoy-simple",
			source: "frain-dev/convoy pkg/signature/testdata/signature-vectors.json",
			secret: "convoy-webhook-secret",
			header: map[string]string{"X-Convoy-Signature": "244449b7f48cbc2709060c9dcdc2b3aa47a78f540430579015c579fb12defbb4"},
			body:   `{"event":"charge.success","amount":1000,"currency":"NGN"}`,
		},
		{
			scheme: "standard-webhooks",
			source: "standard-webhooks/standard-webhooks libraries",
			secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
			at:     time.Unix(1614265330, 0),
			header: map[string]string{
				"webhook-id":        "msg_p5jXN8AQM9LWM0D4loKWxJek",
				"webhook-timestamp": "1614265330",
				"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
			},
			body: `{"test": 2432232314}`,
			id:   "msg_p5jXN8AQM9LWM0D4loKWxJek",
		},
		{
			scheme: "sanity",
			source: "sanity-io/webhook-toolkit test/signature.test.ts",
			secret: "test",
			at:     time.UnixMilli(1633519811129),
			header: map[string]string{"sanity-webhook-signature": "t=1633519811129,v1=tLa470fx7qkLLEcMOcEUFuBbRSkGujyskxrNXcoh0N0"},
			body:   `{"_id":"resume"}`,
		},
		{
			scheme: "sanity",
			source: "sanity-io/webhook-toolkit test/signature.test.ts",
			secret: "try-me",
			at:     time.UnixMilli(1633518820676),
			header: map[string]string{"sanity-webhook-signature": "t=1633518820676,v1=e7C9h2sfbFfc4V7TEz7PSOp4IoNzl0UdVsBV-1wgdeA"},
			body:   `{"title":"GROQ-Hooks are neat"}`,
		},
		{
			scheme: "adyen-platform",
			source: "Adyen/adyen-go-api-library src/hmacvalidator/hmacvalidator_test.go",
			secret: "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00",
			header: map[string]string{"HmacSignature": "yitBTPnDGtbAMG9rTxUa1e6lFGpa4PnrD6rErOmEhJ8="},
			body: `{
    "type": "merchant.created",
    "environment": "test",
    "createdAt": "01-01-2024",
    "data": {
        "capabilities": {
            "sendToTransferInstrument": {
                "requested": true,
                "requestedLevel": "notApplicable"
            }
        },
        "companyId": "YOUR_COMPANY_ID",
        "merchantId": YOUR_MERCHANT_ACCOUNT",
        "status": "PreActive"
    }
}`,
			event: "merchant.created",
		},
		{
			scheme: "authorize-net",
			source: "Cybersource developer community, HMAC-SHA-512 hash not matching in webhook callback (2017-03-08)",
			secret: "2679A5D5785C9B26CF921E1754765CDDB265C9C88400786923E5343B315954FAFB4B7BF608818F6A21766741E8637DC206F286C725908C777ED4127D8562163D",
			header: map[string]string{"X-ANET-Signature": "sha512=9607C69D2734514554CE13D923D19939563F2FD6567D239F49F0DF0D08865632A0FB98061B4620CC52C47BB8BF6E2B69A15A67E4C98E81D7D65111076C515C6A"},
			body:   `{"notificationId":"f813b98f-3552-4eeb-ba40-acb4704eeba3","eventType":"net.authorize.payment.authcapture.created","eventDate":"2017-03-08T17:35:37.155999Z","webhookId":"63d6fea2-aa13-4b1d-a204-f5fbc15942b7","payload":{"responseCode":1,"authCode":"8VTPDC","avsResponse":"Y","authAmount":10.00,"entityName":"transaction","id":"60019392075"}}`,
			id:     "f813b98f-3552-4eeb-ba40-acb4704eeba3",
			event:  "net.authorize.payment.authcapture.created",
		},
		{
			scheme: "circleci",
			source: "CircleCI docs, Outbound webhooks",
			secret: "secret",
			header: map[string]string{"circleci-signature": "v1=734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a"},
			body:   "hello world",
		},
		{
			scheme: "circleci",
			source: "CircleCI docs, Outbound webhooks",
			secret: "another-secret",
			header: map[string]string{"circleci-signature": "v1=daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00"},
			body:   "lalala",
		},
		{
			scheme: "circleci",
			source: "CircleCI docs, Outbound webhooks",
			secret: "hunter123",
			header: map[string]string{"circleci-signature": "v1=9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa"},
			body:   "an-important-request-payload",
		},
		{
			scheme: "coinbase-commerce",
			source: "coinbase/coinbase-commerce-node test/testWebhook.spec.js",
			secret: "30291a20-0bd1-4267-9b0f-e6e7b123c0bf",
			header: map[string]string{"X-CC-Webhook-Signature": "8be7742c7d372f08a6a3224edadf18a22b65fa9e28f3f2de97376cdaa092590d"},
			body:   `{"id":1,"scheduled_for":"2017-01-31T20:50:02Z","attempt_number":1,"event":{"id":"24934862-d980-46cb-9402-43c81b0cdba6","type":"charge:created","api_version":"2018-03-22","created_at":"2017-01-31T20:49:02Z","data":{"code":"66BEOV2A","name":"The Sovereign Individual","description":"Mastering the Transition to the Information Age","hosted_url":"https://commerce.coinbase.com/charges/66BEOV2A","created_at":"2017-01-31T20:49:02Z","expires_at":"2017-01-31T21:04:02Z","timeline":[{"time":"2017-01-31T20:49:02Z","status":"NEW"}],"metadata":{},"pricing_type":"no_price","payments":[],"addresses":{"bitcoin":"0000000000000000000000000000000000","ethereum":"0x0000000000000000000000000000000000000000","litecoin":"3000000000000000000000000000000000","bitcoincash":"bitcoincash:000000000000000000000000000000000000000000"}}}}`,
			id:     "24934862-d980-46cb-9402-43c81b0cdba6",
			event:  "charge:created",
		},
		{
			scheme: "gocardless",
			source: "gocardless/gocardless-nodejs src/fixtures/webhook_body.json",
			secret: "ED7D658C-D8EB-4941-948B-3973214F2D49",
			header: map[string]string{"Webhook-Signature": "2693754819d3e32d7e8fcb13c729631f316c6de8dc1cf634d6527f1c07276e7e"},
			body:   `{"events":[{"id":"EV00BD05S5VM2T","created_at":"2018-07-05T09:13:51.404Z","resource_type":"subscriptions","action":"created","links":{"subscription":"SB0003JJQ2MR06"},"details":{"origin":"api","cause":"subscription_created","description":"Subscription created via the API."},"metadata":{}},{"id":"EV00BD05TB8K63","created_at":"2018-07-05T09:13:56.893Z","resource_type":"mandates","action":"created","links":{"mandate":"MD000AMA19XGEC"},"details":{"origin":"api","cause":"mandate_created","description":"Mandate created via the API."},"metadata":{}}]}`,
			event:  "subscriptions",
		},
		{
			scheme: "line",
			source: "LINE docs, Verify webhook signature",
			secret: "8c570fa6dd201bb328f1c1eac23a96d8",
			header: map[string]string{"x-line-signature": "GhRKmvmHys4Pi8DxkF4+EayaH0OqtJtaZxgTD9fMDLs="},
			body:   `{"destination":"U8e742f61d673b39c7fff3cecb7536ef0","events":[]}`,
		},
		{
			scheme: "pagerduty",
			source: "PagerDuty/go-pagerduty webhookv3/webhookv3_test.go",
			secret: "lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK",
			header: map[string]string{"X-PagerDuty-Signature": "v1=0c0b9495b893a39e70d1fea2fe11fbe0a825f88b9f67846f6cc07dd2bc5476cd"},
			body:   `{"event":{"id":"01BWDWL3NYY7LUFPZCC28QUCMK","event_type":"incident.priority_updated","resource_type":"incident","occurred_at":"2021-04-26T17:36:27.458Z","agent":{"html_url":"https://acme.pagerduty.com/users/PLH1HKV","id":"PLH1HKV","self":"https://api.pagerduty.com/users/PLH1HKV","summary":"Tenex Engineer","type":"user_reference"},"client":null,"data":{"id":"PGR0VU2","type":"incident","self":"https://api.pagerduty.com/incidents/PGR0VU2","html_url":"https://acme.pagerduty.com/incidents/PGR0VU2","number":2,"status":"triggered","title":"A little bump in the road","service":{"html_url":"https://acme.pagerduty.com/services/PF9KMXH","id":"PF9KMXH","self":"https://api.pagerduty.com/services/PF9KMXH","summary":"API Service","type":"service_reference"},"assignees":[{"html_url":"https://acme.pagerduty.com/users/PTUXL6G","id":"PTUXL6G","self":"https://api.pagerduty.com/users/PTUXL6G","summary":"User 123","type":"user_reference"}],"escalation_policy":{"html_url":"https://acme.pagerduty.com/escalation_policies/PUS0KTE","id":"PUS0KTE","self":"https://api.pagerduty.com/escalation_policies/PUS0KTE","summary":"Default","type":"escalation_policy_reference"},"teams":[{"html_url":"https://acme.pagerduty.com/teams/PFCVPS0","id":"PFCVPS0","self":"https://api.pagerduty.com/teams/PFCVPS0","summary":"Engineering","type":"team_reference"}],"priority":{"html_url":"https://acme.pagerduty.com/account/incident_priorities","id":"PSO75BM","self":"https://api.pagerduty.com/priorities/PSO75BM","summary":"P1","type":"priority_reference"},"urgency":"high","conference_bridge":{"conference_number":1000,"conference_url":"https://example.com"},"resolve_reason":null}}}`,
			id:     "01BWDWL3NYY7LUFPZCC28QUCMK",
			event:  "incident.priority_updated",
		},
		{
			scheme: "pusher",
			source: "pusher/pusher-http-go client_test.go",
			secret: "secret",
			header: map[string]string{"X-Pusher-Signature": "2677ad3e7c090b2fa2c0fb13020d66d5420879b8316eb356a2d60fb9073bc778", "X-Pusher-Key": "key"},
			body:   `{"hello":"world"}`,
		},
		{
			scheme: "qonto-onboarding",
			source: "Qonto docs, Onboarding API, Webhooks",
			secret: "secret_key",
			header: map[string]string{"Qonto-SHA256-Signature": "b0d249e653f1310fa5b7f26d5682548afa1799353b92fcafd4cacbd90312023e"},
			body:   `{"id":"75341dcb-0376-474d-97d7-d2c03ff3973c","event_type":"registrations.pending","resource_type":"registration","resource_id":"525817f7-93e8-4f31-a83d-20319778b4b0","created_at":"2022-08-29T13:17:32Z"}`,
			id:     "75341dcb-0376-474d-97d7-d2c03ff3973c",
			event:  "registrations.pending",
		},
		{
			scheme: "woovi",
			source: "Woovi docs, webhook-hmac, before an event was added to the body there",
			secret: "hmac-secret-key",
			header: map[string]string{"X-OpenPix-Signature": "jgR2XF0PKDiAwHP1s+TryvxMySQ="},
			body:   `{"data_criacao":"2021-08-10T20:32:14.429Z","evento":"teste_webhook"}`,
		},
		{
			scheme: "sendcloud",
			source: "Sendcloud docs, Webhooks",
			secret: "secretkey",
			header: map[string]string{"Sendcloud-Signature": "1eed4b3d41f4653ac64fd56f1bf1cbfd349e4482cbc11dff7134bd93e5da4b0a"},
			body:   `{"key": "value"}`,
		},
		{
			scheme: "toggl",
			source: "Toggl docs, Validating Received Events",
			secret: "PGuRrhCFajIyEvFlreKL",
			header: map[string]string{"X-Webhook-Signature-256": "sha256=55343383e52a9cd2f56bd4e9fb5b6ce6982fb45955f26ea816cf7495d98c5fd2"},
			body:   `{"event_id":0,"created_at":"2022-06-25T03:58:10.207820267Z","creator_id":6,"metadata":{"request_type":"POST","event_user_id":6},"payload":"ping","subscription_id":6}`,
			id:     "0",
		},
		{
			scheme: "enode",
			source: "Enode docs, Webhooks",
			secret: "example-secret",
			header: map[string]string{"x-enode-signature": "sha1=e417e6fc2e7f8a78c93a35a7b344d36ce179fc8d"},
			body:   `{"payload":"example"}`,
		},
		{
			scheme: "shopline",
			source: "shoplineos/shopline-sdk-go client/sign_test.go",
			secret: "LDLLJJLflja2039203flaflaLLFLE",
			header: map[string]string{"X-Shopline-Hmac-Sha256": "7d8b4cbec432e0c7e901881cc0f2490a910d56eaa73fc94bcc4276d14a61fe88"},
			body:   `"my secret message"`,
		},
	}
}
