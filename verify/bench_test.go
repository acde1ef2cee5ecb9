package verify_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// sizes are the sizes of the bodies, in bytes.
var sizes = []int{1 << 10, 64 << 10, 1 << 20}

func BenchmarkVerify(b *testing.B) {
	for _, name := range []string{"github", "standard", "stripe", "slack", "square", "linear"} {
		for _, size := range sizes {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				scheme := rowOf(b, name)
				body := []byte(`{"type":"a.b","id":"evt_1","webhookTimestamp":1700000000000,"pad":"` + strings.Repeat("x", size-80) + `"}`)
				v, r := signed(b, scheme, body)
				reader := bytes.NewReader(body)
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					check, err := v.Begin(r)
					if err != nil {
						b.Fatal(err)
					}
					for rest := body; len(rest) > 0; {
						n := min(len(rest), 32<<10)
						check.Write(rest[:n])
						rest = rest[n:]
					}
					if _, err := check.Finish(reader, int64(len(body))); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// signed returns a verifier and a request that it accepts.
func signed(b *testing.B, scheme verify.Scheme, body []byte) (*verify.Verifier, *verify.Request) {
	b.Helper()
	secret := secretFor(b, scheme)
	signer := signerOf(b, scheme, secret)
	header := http.Header{"Content-Type": {"application/json"}}
	if err := signer.Sign(header, &verify.Outgoing{URL: in, ID: "msg_1", EventType: "a.b", Timestamp: testNow, Body: body}); err != nil {
		b.Fatal(err)
	}
	v := verifierOf(b, scheme, secret)
	u, err := url.Parse(in)
	if err != nil {
		b.Fatal(err)
	}
	return v, &verify.Request{Method: http.MethodPost, URL: u, Header: header, ContentLength: int64(len(body))}
}

// A refusal should cost less than a verification.
func BenchmarkRefuse(b *testing.B) {
	scheme := rowOf(b, "standard")
	v, good := signed(b, scheme, []byte("{}"))
	for name, change := range map[string]func(http.Header){
		"no signature":        func(h http.Header) { h.Del("webhook-signature") },
		"malformed signature": func(h http.Header) { h.Set("webhook-signature", "v1,x") },
		"stale":               func(h http.Header) { h.Set("webhook-timestamp", "1600000000") },
	} {
		b.Run(name, func(b *testing.B) {
			r := *good
			r.Header = good.Header.Clone()
			change(r.Header)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Begin(&r); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	for _, secrets := range []int{1, 2} {
		b.Run(fmt.Sprintf("standard/%d", secrets), func(b *testing.B) {
			signer := signerOf(b, rowOf(b, "standard"), []string{"whsec_bmV3", "whsec_b2xk"}[:secrets]...)
			m := &verify.Outgoing{URL: "https://hooks.example.com/in", ID: "msg_1", EventType: "a.b", Timestamp: testNow, Body: bytes.Repeat([]byte("x"), 1<<10)}
			header := http.Header{}
			b.ReportAllocs()
			for b.Loop() {
				if err := signer.Sign(header, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What Verify costs beyond Begin, Write and Finish.
func BenchmarkVerifyRequest(b *testing.B) {
	body := []byte(testBody)
	v, head := signed(b, rowOf(b, "github"), body)
	r := post(in)
	r.Header = head.Header
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r, body); err != nil {
			b.Fatal(err)
		}
	}
}
