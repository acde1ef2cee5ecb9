package verify_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func Example() {
	scheme, ok := verify.Lookup("github")
	if !ok {
		log.Fatal("no such provider")
	}
	verifier, err := verify.New(scheme, verify.Options{Secrets: []string{"It's a Secret to Everybody"}})
	if err != nil {
		log.Fatal(err)
	}

	request := httptest.NewRequest(http.MethodPost, "/hooks", nil)
	request.Header.Set("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	request.Header.Set("X-GitHub-Event", "push")
	message, err := verifier.Verify(request, []byte("Hello, World!"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(message.Provider, message.EventType, "signed:", message.Signed)

	_, err = verifier.Verify(request, []byte("Hello, Mallory!"))
	if refusal, ok := errors.AsType[*verify.Error](err); ok {
		fmt.Println(refusal.Status, refusal.Reason)
	}
	// Output:
	// github push signed: body
	// 401 bad_signature
}

// A custom scheme has the same fields as a provider's.
func ExampleScheme() {
	acme := verify.Scheme{
		Name:      "acme",
		Signature: verify.Signature{Name: "X-Acme-Signature", Prefix: "sha256="},
		Content:   "{timestamp}.{body}",
		Timestamp: verify.Timestamp{In: "header", Name: "X-Acme-Timestamp"},
		ID:        verify.Field{In: "header", Name: "X-Acme-Delivery"},
	}
	if err := acme.Validate(); err != nil {
		log.Fatal(err)
	}

	acme.Content = "{timestmp}.{body}"
	_, explanation, _ := strings.Cut(acme.Validate().Error(), "column")
	explanation, _, _ = strings.Cut(explanation, ";")
	fmt.Println("column" + explanation)
	// Output:
	// column 1: no such placeholder
}

// A scheme can be another one with a few fields replaced.
func ExampleScheme_Merge() {
	grafana, _ := verify.Lookup("hmac")
	scheme := grafana.Merge(verify.Scheme{
		Name:      "grafana",
		Signature: verify.Signature{Name: "X-Grafana-Alerting-Signature"},
	})
	fmt.Println(scheme.Validate(), scheme.Bounds().Body)
	// Output:
	// <nil> true
}

// The same schemes sign, for receivers that know a provider's format.
func ExampleSigner() {
	scheme, _ := verify.Lookup("standard-webhooks")
	signer, err := verify.NewSigner(scheme, []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	if err != nil {
		log.Fatal(err)
	}
	header := http.Header{}
	err = signer.Sign(header, &verify.Outgoing{
		ID:        "msg_p5jXN8AQM9LWM0D4loKWxJek",
		Timestamp: time.Unix(1614265330, 0),
		Body:      []byte(`{"test": 2432232314}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(header.Get("webhook-signature"))
	// Output:
	// v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=
}

// A server checks the headers first. It doesn't read the body of a request that it can
// refuse without it.
func ExampleVerifier_Begin() {
	scheme, _ := verify.Lookup("stripe")
	verifier, err := verify.New(scheme, verify.Options{Secrets: []string{"whsec_secret"}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = verifier.Begin(&verify.Request{
		Method: http.MethodPost,
		Header: http.Header{"Stripe-Signature": {"t=1492774577,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd"}},
	})
	fmt.Println(err)
	// Output:
	// stale_timestamp
}

// A message is handled once. A second copy is recognized by its key.
func ExampleReplays() {
	replays := verify.NewReplays(100_000, nil, nil)
	key := verify.ReplayKey("/hooks", &verify.Message{Provider: "github", MAC: []byte("…")})

	fmt.Println(replays.Begin(key, 10*time.Minute)) // the first copy goes to the app
	fmt.Println(replays.Begin(key, 10*time.Minute)) // a second one meanwhile
	replays.Commit(key)                             // the app has responded with 2xx
	fmt.Println(replays.Begin(key, 10*time.Minute))
	// Output:
	// fresh
	// in_flight
	// seen
}
