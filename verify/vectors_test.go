package verify_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// vector is a request with a true signature.
type vector struct {
	scheme string
	source string // where it was published, or who computed it
	secret string
	at     time.Time // the clock when it is judged
	url    string    // default https://hooks.example.com/in
	header map[string]string
	body   string
	id     string // what must be found
	event  string
}

var published = []vector{
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
}

func (v vector) request() *http.Request {
	url := v.url
	if url == "" {
		url = "https://hooks.example.com/in"
	}
	r := httptest.NewRequest(http.MethodPost, url, strings.NewReader(v.body))
	for name, value := range v.header {
		r.Header.Set(name, value)
	}
	return r
}

func (v vector) verifier(t testing.TB) *verify.Verifier {
	t.Helper()
	scheme, ok := verify.Lookup(v.scheme)
	if !ok {
		t.Fatalf("there is no scheme %s", v.scheme)
	}
	verifier, err := verify.New(scheme, verify.Options{Secrets: []string{v.secret}, Now: func() time.Time { return v.at }})
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func TestPublishedVectors(t *testing.T) {
	for _, v := range published {
		t.Run(v.scheme, func(t *testing.T) {
			m, err := v.verifier(t).Verify(v.request(), []byte(v.body))
			if err != nil {
				t.Fatalf("a true signature is refused: %v", err)
			}
			if m.ID != v.id || m.EventType != v.event {
				t.Errorf("id %q, event type %q; want %q, %q", m.ID, m.EventType, v.id, v.event)
			}
			if _, err := v.verifier(t).Verify(v.request(), []byte(v.body+"\n")); err == nil {
				t.Error("a changed body is accepted")
			}
		})
	}
}

// Every scheme that signs is verified by itself, and by nothing that differs in
// one thing.
func TestSignThenVerify(t *testing.T) {
	now := time.Unix(1700000000, 0)
	body := `{"type":"a.b","id":"evt_1","webhookTimestamp":1700000000000,"event":{"type":"a.b"}}`
	for _, scheme := range verify.Schemes() {
		t.Run(scheme.Name, func(t *testing.T) {
			if scheme.Signature.Name == "" && scheme.Signature.Names == nil {
				scheme.Signature.Name = "X-Signature"
			}
			secret, err := verify.GenerateSecret(scheme)
			if err != nil {
				t.Fatal(err)
			}
			signer, err := verify.NewSigner(scheme, []string{secret})
			if err != nil {
				t.Skip(err)
			}
			verifier, err := verify.New(scheme, verify.Options{Secrets: []string{secret}, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodPost, "https://hooks.example.com/in?x=1", nil)
			r.Header.Set("Content-Type", "application/json")
			err = signer.Sign(r.Header, &verify.Outgoing{URL: "https://hooks.example.com/in?x=1", ID: "evt_1", EventType: "a.b", Timestamp: now, Body: []byte(body)})
			if err != nil {
				t.Skip(err)
			}
			m, err := verifier.Verify(r, []byte(body))
			if err != nil {
				t.Fatalf("own signature is refused: %v\n%v", err, r.Header)
			}
			if m.SecretIndex != 0 || m.Provider != scheme.Name {
				t.Errorf("message %+v", m)
			}
			if m.Signed.Body {
				if _, err := verifier.Verify(r, []byte(body+" ")); err == nil {
					t.Error("a changed body is accepted")
				}
			}
		})
	}
}
