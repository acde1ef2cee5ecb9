package verify_test

import (
	"net/url"
	"time"
)

// published are the vectors that providers publish themselves, or that their
// own code is tested with.
func published() []vector {
	return []vector{
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
			id:    "822aa4b7-05b4-4d83-87c7-1f835ee0b6f6_257",
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
	}
}
