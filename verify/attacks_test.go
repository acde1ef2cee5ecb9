package verify_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// These tests are attacks, in this order: on the signature's value, its algorithm and
// key, the timestamp and replays, the body, and the rest of the request. Attacks that
// need a running server are tested in package handler.

// A missing or empty signature is refused.
func TestMissingSignature(t *testing.T) {
	github := provider(t, "github")
	refuse(t, github, post(in), testBody, verify.ReasonMissingSignature)
	for value, want := range map[string]verify.Reason{
		"":        verify.ReasonMissingSignature,
		"sha256=": verify.ReasonMissingSignature,
		"sha256":  verify.ReasonMalformedSignature,
		"=":       verify.ReasonMalformedSignature,
		" ":       verify.ReasonMalformedSignature,
	} {
		refuse(t, github, post(in, "X-Hub-Signature-256", value), testBody, want)
	}
	stripe := provider(t, "stripe")
	for _, value := range []string{"", "t=1700000000", "t=1700000000,v1=", "t=1700000000,v1", ",", ",,,", "v1=", "t=,v1="} {
		refuse(t, stripe, post(in, "Stripe-Signature", value), testBody, "")
	}
	standard := provider(t, "standard", "whsec_c2VjcmV0")
	for _, value := range []string{"", " ", "v1", "v1,", "v1, v1,", ","} {
		refuse(t, standard, post(in, "webhook-id", "m", "webhook-timestamp", "1700000000", "webhook-signature", value), testBody, "")
	}
	for _, body := range []string{`{}`, `{"signature":{}}`, `{"signature":{"signature":"","timestamp":"1700000000","token":"t"}}`, `{"signature":{"signature":null,"timestamp":"1700000000","token":"t"}}`, ``, `[]`} {
		refuse(t, provider(t, "mailgun"), post(in), body, "")
	}
	refuse(t, provider(t, "okta"), post(in, "Authorization", ""), testBody, verify.ReasonMissingSignature)
}

// A prefix of the right MAC is refused. A comparison up to the shorter length would
// accept it (RUSTSEC-2024-0010).
func TestPrefixOfTheRightMAC(t *testing.T) {
	sum := mac(sha256.New, "secret", "m.1700000000."+testBody)
	v := provider(t, "standard", "whsec_c2VjcmV0")
	for n := range len(sum) {
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding} {
			refuse(t, v, post(in, "webhook-id", "m", "webhook-timestamp", "1700000000", "webhook-signature", "v1,"+enc.EncodeToString(sum[:n])), testBody, "")
		}
	}
	accept(t, v, post(in, "webhook-id", "m", "webhook-timestamp", "1700000000", "webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(sum)), testBody)
	full := hex.EncodeToString(mac(sha256.New, "secret", testBody))
	github := provider(t, "github")
	for n := range len(full) {
		refuse(t, github, post(in, "X-Hub-Signature-256", "sha256="+full[:n]), testBody, "")
	}
}

// Signatures that don't have exactly the scheme's format are refused.
func TestMalformedSignature(t *testing.T) {
	full := sha256hex("secret", testBody)
	github := provider(t, "github")
	for _, value := range []string{
		full, "sha256:" + full, "SHA256=" + full, "sha256= " + full, "sha256=" + full + "00", "sha256=" + full + " ", "sha256=0x" + full,
		"sha256=" + full[:63], "sha256=" + full[:62], "sha256=" + full[1:], "sha256=" + full[:31] + " " + full[31:], "sha256=" + full[:31] + "\x00" + full[32:],
		"sha256=" + full[:63] + "g", "sha256=" + full[:60] + "ä" + full[62:], "sha256=" + full[:61] + "０",
		"sha256=" + sha256b64("secret", testBody), "sha256=\"" + full + "\"", "sha256=" + strings.Repeat("0", 1<<16), "s", "sha256=" + full + "\n",
	} {
		refuse(t, github, post(in, "X-Hub-Signature-256", value), testBody, verify.ReasonMalformedSignature)
	}
	shopify := provider(t, "shopify")
	b64 := sha256b64("secret", testBody)
	for _, value := range []string{
		full, b64[:43], b64 + "=", b64[:42] + "==", b64 + " ", b64[:20] + "\n" + b64[20:], b64[:20] + "\r\n" + b64[20:],
		strings.NewReplacer("+", "-", "/", "_").Replace(b64) + "-", base64.RawStdEncoding.EncodeToString(mac(sha256.New, "secret", testBody)),
		base64.StdEncoding.EncodeToString([]byte(full)), strings.ToLower(b64) + "x",
	} {
		refuse(t, shopify, post(in, "X-Shopify-Hmac-SHA256", value), testBody, "")
	}
}

// A MAC has only one text in base64, and the case of hexadecimal doesn't change the
// replay key.
func TestNonCanonicalBase64(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	v := provider(t, "shopify")
	b64 := sha256b64("secret", testBody)
	accept(t, v, post(in, "X-Shopify-Hmac-SHA256", b64), testBody)
	last := strings.IndexByte(alphabet, b64[42])
	for spare := 1; spare < 4; spare++ {
		value := b64[:42] + string(alphabet[last&^3|(last+spare)&3]) + "="
		refuse(t, v, post(in, "X-Shopify-Hmac-SHA256", value), testBody, verify.ReasonMalformedSignature)
	}
	lower := accept(t, provider(t, "github"), post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", testBody)), testBody)
	upper := accept(t, provider(t, "github"), post(in, "X-Hub-Signature-256", "sha256="+strings.ToUpper(sha256hex("secret", testBody))), testBody)
	if verify.ReplayKey("/in", lower) != verify.ReplayKey("/in", upper) {
		t.Error("the same MAC in upper case has another replay key")
	}
}

// A right signature in the wrong place of a list is refused.
func TestCommaAndListTricks(t *testing.T) {
	good := sha256hex("secret", testBody)
	github := provider(t, "github")
	for _, value := range []string{
		"bad," + good, "sha256=bad,sha256=" + good, "sha256=" + good + ",sha256=" + good, "sha256=xxsha256=" + good,
		"sha1=00,sha256=" + good, "sha256=" + good + ";", "v1=" + good,
	} {
		refuse(t, github, post(in, "X-Hub-Signature-256", value), testBody, "")
	}
	stamped := sha256hex("secret", "1700000000."+testBody)
	stripe := provider(t, "stripe")
	for _, value := range []string{
		"t=1700000000,v1=," + stamped, "t=1700000000,v1,bad," + stamped, "t=1700000000,v9v1=" + stamped, "t=1700000000,v1=v1=" + stamped,
		"t=1700000000,v1 =" + stamped, "t=1700000000,v1= " + stamped, "t=1700000000;v1=" + stamped, "t=1700000000,V1=" + stamped,
		"t=1700000000,=" + stamped, "t=1700000000," + stamped, "t=1700000000 v1=" + stamped,
	} {
		refuse(t, stripe, post(in, "Stripe-Signature", value), testBody, "")
	}
	b64 := sha256b64("secret", "m.1700000000."+testBody)
	standard := provider(t, "standard", "whsec_c2VjcmV0")
	for _, value := range []string{"v1=" + b64, "v1," + b64 + ",", "v1,bad," + b64, b64, "v9v1," + b64, "v1," + b64 + "v1,", "xv1," + b64, "v1,v1," + b64} {
		refuse(t, standard, post(in, "webhook-id", "m", "webhook-timestamp", "1700000000", "webhook-signature", value), testBody, "")
	}
}

// A repeated header is refused, since servers disagree on which one counts.
func TestRepeatedHeader(t *testing.T) {
	good := "sha256=" + sha256hex("secret", testBody)
	refuse(t, provider(t, "github"), post(in, "X-Hub-Signature-256", good, "X-Hub-Signature-256", good), testBody, verify.ReasonRepeatedHeader)
	refuse(t, provider(t, "github"), post(in, "X-Hub-Signature-256", "bad", "x-hub-signature-256", good), testBody, verify.ReasonRepeatedHeader)
	refuse(t, provider(t, "github"), post(in, "X-Hub-Signature-256", good, "X-GitHub-Event", "push", "X-GitHub-Event", "ping"), testBody, verify.ReasonRepeatedHeader)
	refuse(t, provider(t, "github"), post(in, "X-Hub-Signature-256", good, "X-GitHub-Delivery", "1", "X-GitHub-Delivery", "2"), testBody, verify.ReasonRepeatedHeader)
	signature := "v0=" + sha256hex("secret", "v0:1700000000:"+testBody)
	refuse(t, provider(t, "slack"), post(in, "X-Slack-Signature", signature, "X-Slack-Request-Timestamp", "1700000000", "X-Slack-Request-Timestamp", "1700000000"), testBody, verify.ReasonRepeatedHeader)
	standard := "v1," + sha256b64("secret", "m.1700000000."+testBody)
	refuse(t, provider(t, "standard", "whsec_c2VjcmV0"), post(in, "webhook-id", "m", "webhook-id", "m", "webhook-timestamp", "1700000000", "webhook-signature", standard), testBody, verify.ReasonRepeatedHeader)
	refuse(t, provider(t, "mandrill"), post(in, "X-Mandrill-Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, "secret", in+"ab")), "Content-Type", "application/x-www-form-urlencoded", "Content-Type", "text/plain"), "a=b", verify.ReasonRepeatedHeader)
}

// A repeated item of a list or query parameter is refused for the same reason.
func TestRepeatedFields(t *testing.T) {
	good := sha256hex("secret", "1700000000."+testBody)
	stripe := provider(t, "stripe")
	for _, value := range []string{"t=1600000000,t=1700000000,v1=" + good, "t=1700000000,t=1700000000,v1=" + good, "t=1700000000,v1=" + good + ",t=1600000000"} {
		refuse(t, stripe, post(in, "Stripe-Signature", value), testBody, verify.ReasonRepeatedField)
	}
	hook0 := provider(t, "hook0")
	sig := sha256hex("secret", "1700000000.a.x."+testBody)
	refuse(t, hook0, post(in, "X-Hook0-Signature", "t=1700000000,h=a,h=b,v1="+sig, "A", "x", "B", "x"), testBody, verify.ReasonRepeatedField)
	query := base(func(s *verify.Scheme) { s.Signature = verify.Signature{In: "query", Name: "signature"} })
	refuse(t, verifierOf(t, query), post(in+"?signature="+sha256hex("secret", testBody)+"&signature=x"), testBody, verify.ReasonRepeatedField)
}

// The number of items in a list is limited, since each one costs a comparison.
func TestLongHeaders(t *testing.T) {
	good := sha256hex("secret", "1700000000."+testBody)
	stripe := provider(t, "stripe")
	for _, value := range []string{
		"t=1700000000," + strings.Repeat("v1=00,", 5000) + "v1=" + good,
		"t=1700000000," + strings.Repeat(",", 9000) + "v1=" + good,
		"t=1700000000," + strings.Repeat(",", 127) + "v1=" + good,
		"t=1700000000,v1=" + good + "," + strings.Repeat("x", 9000),
		strings.Repeat("t=1700000000,v1="+good+",", 1000),
	} {
		refuse(t, stripe, post(in, "Stripe-Signature", value), testBody, verify.ReasonMalformedSignature)
	}
	accept(t, stripe, post(in, "Stripe-Signature", "t=1700000000,"+strings.Repeat("v1="+strings.Repeat("0", 64)+",", 30)+"v1="+good), testBody)

	// Each group has a content of its own to hash.
	persona, group := provider(t, "persona"), "t=1700000000,v1="+good
	refuse(t, persona, post(in, "Persona-Signature", group+strings.Repeat(" "+group, 8)), testBody, verify.ReasonMalformedSignature)
	accept(t, persona, post(in, "Persona-Signature", group+strings.Repeat(" "+group, 7)), testBody)
}

// A sender can't choose a weaker algorithm by its name, its tag or its header.
func TestDowngrade(t *testing.T) {
	sha1hex := hex.EncodeToString(mac(sha1.New, "secret", testBody))
	github := provider(t, "github")
	refuse(t, github, post(in, "X-Hub-Signature-256", "sha1="+sha1hex), testBody, verify.ReasonMalformedSignature)
	refuse(t, github, post(in, "X-Hub-Signature", "sha1="+sha1hex), testBody, verify.ReasonMissingSignature)
	refuse(t, github, post(in, "X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64), "X-Hub-Signature", "sha1="+sha1hex), testBody, verify.ReasonBadSignature)
	refuse(t, github, post(in, "X-Hub-Signature-256", "sha256="+sha1hex), testBody, verify.ReasonMalformedSignature)

	stripe := provider(t, "stripe")
	good := sha256hex("secret", "1700000000."+testBody)
	refuse(t, stripe, post(in, "Stripe-Signature", "t=1700000000,v0="+good), testBody, verify.ReasonMissingSignature)
	refuse(t, stripe, post(in, "Stripe-Signature", "t=1700000000,v1="+strings.Repeat("0", 64)+",v0="+good), testBody, verify.ReasonBadSignature)

	hubspot := provider(t, "hubspot")
	v1 := sha256.Sum256([]byte("secret" + testBody))
	refuse(t, hubspot, post(in, "X-HubSpot-Signature", hex.EncodeToString(v1[:]), "X-HubSpot-Signature-Version", "v1", "X-HubSpot-Request-Timestamp", milliNow), testBody, verify.ReasonMissingSignature)
	refuse(t, hubspot, post(in, "X-HubSpot-Signature-v3", hex.EncodeToString(v1[:]), "X-HubSpot-Request-Timestamp", milliNow), testBody, verify.ReasonMalformedSignature)

	hook0 := provider(t, "hook0")
	v0 := sha256hex("secret", "1700000000."+testBody)
	for _, v1 := range []string{strings.Repeat("0", 64), "", "zz", v0} {
		refuse(t, hook0, post(in, "X-Hook0-Signature", "t=1700000000,h=a,v0="+v0+",v1="+v1, "A", "x"), testBody, "")
	}
}

// A right MAC with the tag, prefix or header of another scheme is refused.
func TestConfusionAcrossSchemes(t *testing.T) {
	b64 := sha256b64("secret", "m.1700000000."+testBody)
	standard := provider(t, "standard", "whsec_c2VjcmV0")
	for _, tag := range []string{"v1a", "v2", "v0", "V1", "sha256"} {
		refuse(t, standard, post(in, "webhook-id", "m", "webhook-timestamp", "1700000000", "webhook-signature", tag+","+b64), testBody, verify.ReasonMissingSignature)
	}
	refuse(t, provider(t, "github"), post(in, "X-Hub-Signature-256", "sha512="+sha256hex("secret", testBody)), testBody, verify.ReasonMalformedSignature)
	refuse(t, provider(t, "slack"), post(in, "X-Slack-Signature", "v1="+sha256hex("secret", "v0:1700000000:"+testBody), "X-Slack-Request-Timestamp", "1700000000"), testBody, verify.ReasonMalformedSignature)
	// The body alone, without what the scheme signs in front of it.
	refuse(t, provider(t, "slack"), post(in, "X-Slack-Signature", "v0="+sha256hex("secret", testBody), "X-Slack-Request-Timestamp", "1700000000"), testBody, verify.ReasonBadSignature)
	refuse(t, provider(t, "standard", "whsec_c2VjcmV0"), post(in, "svix-id", "m", "svix-timestamp", "1700000000", "svix-signature", "v1,"+b64), testBody, verify.ReasonMissingSignature)
}

// An empty secret is refused, since anyone can make an HMAC with an empty key.
func TestEmptySecret(t *testing.T) {
	for _, tt := range []struct{ scheme, secret string }{
		{"github", ""}, {"github", " "}, {"github", "\n"}, {"github", "\t \r\n"},
		{"standard", ""}, {"standard", "whsec_"}, {"standard", "v1,"}, {"standard", "v1,whsec_"}, {"standard", "whsec_="}, {"standard", "===="},
		{"adyen", ""}, {"sinch-voice", "="}, {"braintree", ""}, {"okta", ""}, {"hubspot-v1", ""},
	} {
		scheme, _ := verify.Lookup(tt.scheme)
		for _, secrets := range [][]string{{tt.secret}, {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", tt.secret}} {
			if tt.scheme == "adyen" && len(secrets) > 1 {
				secrets[0] = "00ff"
			}
			_, err := verify.New(scheme, verify.Options{Secrets: secrets})
			if err == nil {
				t.Fatalf("%s: New accepts the secrets %q", tt.scheme, secrets)
			}
			if want := fmt.Sprintf("secret %d of %d", len(secrets), len(secrets)); !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q, want %q in it", tt.scheme, err, want)
			}
			if _, err := verify.NewSigner(scheme, secrets); err == nil {
				t.Errorf("%s: NewSigner accepts the secrets %q", tt.scheme, secrets)
			}
		}
		if _, err := verify.New(scheme, verify.Options{}); err == nil {
			t.Errorf("%s: New accepts no secrets", tt.scheme)
		}
	}
}

// A secret that can't be decoded is refused, and the error doesn't show it.
func TestUndecodableSecret(t *testing.T) {
	for scheme, secret := range map[string]string{"standard": "whsec_sëcret!", "svix": "polar_whs_x", "adyen": "0xYZ", "sinch-voice": "not base64!", "gitlab": "glpat-x y"} {
		s, _ := verify.Lookup(scheme)
		_, err := verify.New(s, verify.Options{Secrets: []string{secret}})
		if err == nil {
			t.Fatalf("%s: New accepts the secret %q", scheme, secret)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error %q shows the secret", scheme, err)
		}
	}
}

// Every secret is tried, whichever one matches.
func TestEverySecretIsTried(t *testing.T) {
	// The MAC is that of the first secret, whichever matched. If a match ended the
	// search, it couldn't be.
	first := accept(t, provider(t, "github", "secret", "other"), post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", testBody)), testBody)
	second := accept(t, provider(t, "github", "secret", "other"), post(in, "X-Hub-Signature-256", "sha256="+sha256hex("other", testBody)), testBody)
	if first.SecretIndex != 0 || second.SecretIndex != 1 {
		t.Errorf("secret indexes %d and %d, want 0 and 1", first.SecretIndex, second.SecretIndex)
	}
	if !bytes.Equal(first.MAC, second.MAC) {
		t.Error("the MAC depends on which secret matched")
	}
	// The secret is a part of what is hashed.
	hashed := provider(t, "hubspot-v1", "secret", "other")
	if m := accept(t, hashed, post(in, "X-HubSpot-Signature", sha256sum("other"+testBody)), testBody); m.SecretIndex != 1 {
		t.Errorf("a plain hash: secret index %d, want 1", m.SecretIndex)
	}
	// A token must be equal, not just begin or end like the secret.
	okta := provider(t, "okta", "token")
	accept(t, okta, post(in, "Authorization", "token"), testBody)
	for _, value := range []string{"t", "toke", "token2", "Token", "token token", strings.Repeat("token", 1000)} {
		refuse(t, okta, post(in, "Authorization", value), testBody, verify.ReasonBadSignature)
	}
}

// A refusal returns nil, so a caller that ignores the error has nothing to use.
func TestIgnoredError(t *testing.T) {
	v := provider(t, "github")
	m, err := v.Verify(post(in, "X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64)), []byte(testBody))
	if m != nil || err == nil {
		t.Errorf("Verify of a bad signature = %+v, %v, want nil and an error", m, err)
	}
	check, err := v.Begin(&verify.Request{Method: http.MethodPost, Header: http.Header{}})
	if check != nil || err == nil {
		t.Errorf("Begin without a signature = %+v, %v, want nil and an error", check, err)
	}
	// The body at Finish must have the size of what was written.
	for _, written := range []string{"", testBody[:5], testBody + " "} {
		check := must.Get(v.Begin(&verify.Request{Method: http.MethodPost, Header: post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", written)).Header}))(t)
		io.WriteString(check, written)
		if m, err := check.Finish(strings.NewReader(testBody), int64(len(testBody))); err == nil {
			t.Errorf("%q was written, %q is accepted: %+v", written, testBody, m)
		}
		// After Finish, the state may be in use for another request.
		if n, err := check.Write([]byte(testBody)); n != 0 || err == nil {
			t.Errorf("Write after Finish = %d, %v, want 0 and an error", n, err)
		}
		if m, err := check.Finish(strings.NewReader(testBody), int64(len(testBody))); m != nil || err == nil {
			t.Errorf("second Finish = %+v, %v, want nil and an error", m, err)
		}
		if reply := check.Reply(); reply != nil {
			t.Errorf("Reply after Finish = %+v, want nil", reply)
		}
	}
}

// Timestamps are parsed strictly, and limited in the past and the future.
func TestTime(t *testing.T) {
	slack := provider(t, "slack")
	try := func(stamp string, want verify.Reason) {
		t.Helper()
		r := post(in, "X-Slack-Signature", "v0="+sha256hex("secret", "v0:"+stamp+":"+testBody), "X-Slack-Request-Timestamp", stamp)
		judge(t, slack, r, testBody, want)
	}
	try("1700000000", "")
	try("1699999700", "") // exactly the tolerance
	try("1700000300", "")
	try("1699999699", verify.ReasonStaleTimestamp)
	try("1700000301", verify.ReasonFutureTimestamp)
	try("9999999999", verify.ReasonFutureTimestamp)
	try("1000000000", verify.ReasonStaleTimestamp)
	try("", verify.ReasonMissingTimestamp)
	for _, stamp := range []string{
		"now", "-1700000000", "+1700000000", "1700000000.0", "1700000000.5", "01700000000", "0x6553f100", "1.7e9", " 1700000000", "1700000000 ",
		"1700000000000", "170000000", "0", "-0", "9223372036854775807", "-9223372036854775808", "9223372036854775808", strings.Repeat("9", 25),
		"１７００００００００", "1700000000\x00", "0000000000", "NaN", "Inf", "1_700_000_000", "2023-11-14T22:13:20Z",
		"17000000x0", "1.70000000", "+170000000", " 170000000",
	} {
		try(stamp, verify.ReasonMalformedTimestamp)
	}
	r := post(in, "X-Slack-Signature", "v0="+sha256hex("secret", "v0::"+testBody))
	refuse(t, slack, r, testBody, verify.ReasonMissingTimestamp)

	rfc := base(func(s *verify.Scheme) {
		s.Content = "{timestamp}{body}"
		s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time", Format: "rfc3339"}
	})
	for stamp, ok := range map[string]bool{
		"2023-11-14T22:13:20Z": true, "2023-11-14T22:13:20.123456789Z": true, "2023-11-14T23:13:20+01:00": true, "2023-11-14T22:13:20-00:00": true,
		"2023-11-14T22:13:20": false, "2023-11-14 22:13:20Z": false, "2023-11-14t22:13:20z": false, "2023-11-14T22:13:20,5Z": false, "2023-11-14T22:13:20.Z": false,
		"2023-11-14T22:13:20.1234567890Z": false, "2023-11-14T22:13Z": false, "2023-11-14T9:13:20Z": false, "2023-11-31T22:13:20Z": false, "2023-11-14T25:13:20Z": false,
		"2023-11-14T22:13:20+0100": false, "2023-11-14T22:13:20+01": false, "2023-11-14T22:13:20Z ": false, "1700000000": false, "12023-11-14T22:13:20Z": false,
	} {
		r := post(in, "X-Sig", sha256hex("secret", stamp+testBody), "X-Time", stamp)
		if ok {
			accept(t, verifierOf(t, rfc), r, testBody)
		} else {
			refuse(t, verifierOf(t, rfc), r, testBody, verify.ReasonMalformedTimestamp)
		}
	}
	date := base(func(s *verify.Scheme) {
		s.Content = "{timestamp}{body}"
		s.Timestamp = verify.Timestamp{In: "header", Name: "Date", Format: "http_date"}
	})
	for _, stamp := range []string{"Tue, 14 Nov 2023 22:13:20 UTC", "Wed, 14 Nov 2023 22:13:20 GMT", "tue, 14 nov 2023 22:13:20 gmt", "Tue, 14 Nov 2023 22:13:20 GMT+1", "Tuesday, 14-Nov-23 22:13:20 GMT", "Tue Nov 14 22:13:20 2023"} {
		refuse(t, verifierOf(t, date), post(in, "X-Sig", sha256hex("secret", stamp+testBody), "Date", stamp), testBody, verify.ReasonMalformedTimestamp)
	}
	// A clock so far off that the difference could overflow.
	for _, now := range []time.Time{time.Unix(math.MaxInt64/2, 0), time.Unix(math.MinInt64/2, 0), {}} {
		v := must.Get(verify.New(rowOf(t, "slack"), verify.Options{Secrets: []string{"secret"}, Now: func() time.Time { return now }}))(t)
		refuse(t, v, post(in, "X-Slack-Signature", "v0="+sha256hex("secret", "v0:1700000000:"+testBody), "X-Slack-Request-Timestamp", "1700000000"), testBody, "")
	}
}

// A timestamp that isn't signed doesn't count.
func TestUnsignedTime(t *testing.T) {
	// Linear also sends a timestamp in a header, which isn't signed.
	body := `{"webhookTimestamp":1600000000000}`
	refuse(t, provider(t, "linear"), post(in, "Linear-Signature", sha256hex("secret", body), "Linear-Timestamp", milliNow), body, verify.ReasonStaleTimestamp)
	for _, row := range verify.Schemes() {
		if row.Timestamp.In != "" && !row.Bounds().Time && row.Timestamp.Past >= 0 {
			t.Errorf("%s: the timestamp isn't signed", row.Name)
		}
	}
}

// The replay key doesn't depend on what an attacker can change.
func TestReplay(t *testing.T) {
	v := provider(t, "github")
	one := accept(t, v, post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", testBody), "X-GitHub-Delivery", "1"), testBody)
	two := accept(t, v, post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", testBody), "X-GitHub-Delivery", "2"), testBody)
	if verify.ReplayKey("/in", one) != verify.ReplayKey("/in", two) {
		t.Error("another id, which isn't signed, changes the key")
	}
	if verify.ReplayKey("/in", one) == verify.ReplayKey("/out", one) {
		t.Error("two routes have the same key")
	}
	if one.Signed.ID {
		t.Error("Signed.ID is true for GitHub, which doesn't sign it")
	}
	// Removing one of two signatures doesn't change the key.
	stripe := provider(t, "stripe", "new", "old")
	content := "1700000000." + testBody
	var keys [][32]byte
	for _, value := range []string{"v1=" + sha256hex("new", content) + ",v1=" + sha256hex("old", content), "v1=" + sha256hex("new", content), "v1=" + sha256hex("old", content)} {
		keys = append(keys, verify.ReplayKey("/in", accept(t, stripe, post(in, "Stripe-Signature", "t=1700000000,"+value), testBody)))
	}
	if keys[0] != keys[1] || keys[0] != keys[2] {
		t.Errorf("the keys of both signatures, the first and the second are %x, want the same", keys)
	}
	// With a shared token, messages can't be told apart.
	if m := accept(t, provider(t, "okta"), post(in, "Authorization", "secret"), testBody); m.MAC != nil || rowOf(t, "okta").Bounds().Message {
		t.Errorf("a token: message %+v, want no MAC", m)
	}
}

// Bytes can't move between the body and what is signed next to it.
func TestBoundaryShift(t *testing.T) {
	// {id}.{timestamp}.{body}, with a body that begins like a timestamp.
	content := "m.1700000000.1700000001.{}"
	standard := provider(t, "standard", "whsec_c2VjcmV0")
	signature := "v1," + sha256b64("secret", content)
	accept(t, standard, post(in, "webhook-id", "m", "webhook-timestamp", "1700000000", "webhook-signature", signature), "1700000001.{}")
	refuse(t, standard, post(in, "webhook-id", "m.1700000000", "webhook-timestamp", "1700000001", "webhook-signature", signature), "{}", verify.ReasonMalformedID)

	shift := func(name string, change func(*verify.Scheme), signed string, shifted func(r *http.Request) string) {
		t.Helper()
		v := verifierOf(t, base(change))
		r := post(in, "X-Sig", sha256hex("secret", signed))
		body := shifted(r)
		if m, err := v.Verify(r, []byte(body)); err == nil {
			t.Errorf("%s: %v %q is accepted: %+v", name, r.Header, body, m)
		}
	}
	timed := func(content string) func(*verify.Scheme) {
		return func(s *verify.Scheme) {
			s.Content = content
			s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time", Past: -1, Future: -1}
			if strings.Contains(content, "{id}") {
				s.ID = verify.Field{In: "header", Name: "X-Id"}
			}
		}
	}
	for _, n := range []int{1, 2, 5, 9} {
		shift("digits from time to body", timed("{timestamp}{body}"), "1700000000"+"123{}", func(r *http.Request) string {
			r.Header.Set("X-Time", "1700000000"[:n])
			return "1700000000"[n:] + "123{}"
		})
		shift("digits from body to time", timed("{timestamp}{body}"), "1700000000"+"123456789{}", func(r *http.Request) string {
			r.Header.Set("X-Time", "1700000000"+"123456789{}"[:n])
			return "123456789{}"[n:]
		})
		shift("digits from body to time behind it", timed("{body}{timestamp}"), `{"a":1}`+"0123456789"+"1700000000", func(r *http.Request) string {
			r.Header.Set("X-Time", "0123456789"[10-n:]+"1700000000")
			return `{"a":1}` + "0123456789"[:10-n]
		})
		shift("digits from time behind it to body", timed("{body}{timestamp}"), `{"a":1}`+"1700000000", func(r *http.Request) string {
			r.Header.Set("X-Time", "1700000000"[n:])
			return `{"a":1}` + "1700000000"[:n]
		})
	}
	// A value of variable length next to the body.
	beside := func(s *verify.Scheme) {
		s.Content = "{body}{id}"
		s.ID = verify.Field{In: "header", Name: "X-Id"}
	}
	for _, cut := range []int{-3, -1, 1, 2} {
		signed := `{"a":1}` + "xyz"
		shift("between body and id", beside, signed, func(r *http.Request) string {
			at := len(`{"a":1}`) + cut
			r.Header.Set("X-Id", signed[at:])
			return signed[:at]
		})
	}
	framer := provider(t, "framer")
	for body, id := range map[string]string{"{}\n": "xyz", "": "xyz"} {
		accept(t, framer, post(in, "Framer-Signature", "sha256="+sha256hex("secret", body+id), "Framer-Webhook-Submission-Id", id), body)
	}
	asked := func(s *verify.Scheme) { s.Content = "{query.q}{body}" }
	blank := post(in+"?q=a%20", "X-Sig", sha256hex("secret", "a {}"))
	refuse(t, verifierOf(t, base(asked)), blank, "{}", verify.ReasonMalformedField)
	accept(t, verifierOf(t, base(asked)), post(in+"?q=a", "X-Sig", sha256hex("secret", "a {}")), " {}")
	// Several values with delimiters.
	joined := func(s *verify.Scheme) {
		s.Content = "{header.A}:{header.B}:{body}"
	}
	shift("between two headers", joined, "x:y:z:{}", func(r *http.Request) string {
		r.Header.Set("A", "x:y")
		r.Header.Set("B", "z")
		return "{}"
	})
	shift("from a header into the body", joined, "x:y:z:{}", func(r *http.Request) string {
		r.Header.Set("A", "x")
		r.Header.Set("B", "y:z")
		return "{}"
	})
	// The last three digits of milliseconds could belong to the body.
	airwallex := provider(t, "airwallex")
	for stamp, body := range map[string]string{"1700000000": "123{}", "1700000000123": "{}"} {
		r := post(in, "x-timestamp", stamp, "x-signature", sha256hex("secret", "1700000000123{}"))
		if _, err := airwallex.Verify(r, []byte(body)); (err == nil) != (body == "{}") {
			t.Errorf("airwallex: time %s with body %s: %v", stamp, body, err)
		}
	}
	accept(t, airwallex, post(in, "x-timestamp", "1700000000", "x-signature", sha256hex("secret", "1700000000{}")), "{}")
	accept(t, airwallex, post(in, "x-timestamp", "1700000000", "x-signature", sha256hex("secret", "1700000000")), "")
	// The beginning of the body could move to the URL's query.
	square := provider(t, "square")
	signature = sha256b64("secret", in+`?a=b{"c":1}`)
	accept(t, square, post(in+"?a=b", "x-square-hmacsha256-signature", signature), `{"c":1}`)
	refuse(t, square, post(in+"?a=b{", "x-square-hmacsha256-signature", signature), `"c":1}`, verify.ReasonMalformedField)
	refuse(t, square, post(in+`?a=b{"c":1}`, "x-square-hmacsha256-signature", signature), "", verify.ReasonMalformedField)
	refuse(t, square, post(in, "x-square-hmacsha256-signature", signature), `?a=b{"c":1}`, verify.ReasonMalformedBody)
	refuse(t, square, post(in[:len(in)-1], "x-square-hmacsha256-signature", signature), in[len(in)-1:]+`?a=b{"c":1}`, verify.ReasonMalformedBody)
	hubspot := provider(t, "hubspot")
	signature = sha256b64("secret", "POST"+in+`/crm?a=b[{"c":1}]`+milliNow)
	signed := func(target string) *http.Request {
		return post(target, "X-HubSpot-Signature-v3", signature, "X-HubSpot-Request-Timestamp", milliNow)
	}
	accept(t, hubspot, signed(in+"/crm?a=b"), `[{"c":1}]`)
	accept(t, hubspot, signed(in+"%2Fcrm?a=b"), `[{"c":1}]`)
	refuse(t, hubspot, signed(in), `/crm?a=b[{"c":1}]`, verify.ReasonMalformedBody)
	refuse(t, hubspot, signed(in+"/crm?a=b["), `{"c":1}]`, verify.ReasonMalformedBody)
	refuse(t, hubspot, signed(in+"/crm%3Fa=b"), `[{"c":1}]`, verify.ReasonMalformedField) // another path
	adyen := provider(t, "adyen", "00ff")
	item := func(psp, original, account, reference string) string {
		return fmt.Sprintf(`{"notificationItems":[{"NotificationRequestItem":{"pspReference":%q,"originalReference":%q,"merchantAccountCode":%q,"merchantReference":%q,"amount":{"value":1,"currency":"EUR"},"eventCode":"X","success":"true","additionalData":{"hmacSignature":%q}}}]}`,
			psp, original, account, reference, sha256b64("\x00\xff", "p:o:a:r:s:1:EUR:X:true"))
	}
	accept(t, adyen, post(in), item("p", "o", "a", "r:s"))
	refuse(t, adyen, post(in), item("p:o", "a", "r", "s"), verify.ReasonMalformedField)
	refuse(t, adyen, post(in), item("p", "o", "a:r", "s"), verify.ReasonMalformedField)
}

// Any change of the body is refused.
func TestChangedBody(t *testing.T) {
	v := provider(t, "github")
	signature := "sha256=" + sha256hex("secret", testBody)
	for i := range testBody {
		for bit := range 8 {
			changed := []byte(testBody)
			changed[i] ^= 1 << bit
			refuse(t, v, post(in, "X-Hub-Signature-256", signature), string(changed), verify.ReasonBadSignature)
		}
	}
	for _, body := range []string{"", testBody + "\n", testBody + "\r\n", " " + testBody, testBody[:len(testBody)-1], "\xef\xbb\xbf" + testBody, testBody + testBody, testBody + "{}", `{"type":"a.b","id":"evt_1","n":1}`, "\x00" + testBody} {
		refuse(t, v, post(in, "X-Hub-Signature-256", signature), body, verify.ReasonBadSignature)
	}
	// The body can be written in pieces of any size.
	body := strings.Repeat("x", 100_000)
	for _, size := range []int{1, 7, 4096, 1 << 20} {
		check := must.Get(v.Begin(&verify.Request{Method: http.MethodPost, Header: post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", body)).Header, ContentLength: -1}))(t)
		must.Get(io.CopyBuffer(struct{ io.Writer }{check}, struct{ io.Reader }{strings.NewReader(body)}, make([]byte, size)))(t)
		if _, err := check.Finish(strings.NewReader(body), int64(len(body))); err != nil {
			t.Errorf("pieces of %d bytes: %v", size, err)
		}
	}
}

// A body in which two parsers could find different values is refused.
func TestParsedBody(t *testing.T) {
	v := provider(t, "mailgun")
	good := sha256hex("secret", "1700000000tok")
	for _, body := range []string{
		`{"signature":{"timestamp":"1700000000","token":"tok","token":"tok","signature":"` + good + `"}}`,
		`{"signature":{"timestamp":"1600000000","timestamp":"1700000000","token":"tok","signature":"` + good + `"}}`,
		`{"signature":{"timestamp":"1700000000","token":"tok","signature":"` + good + `","signature":"x"}}`,
		`{"signature":{},"signature":{"timestamp":"1700000000","token":"tok","signature":"` + good + `"}}`,
		`{"signature":{"timestamp":"1700000000","token":"tok","signature":"` + good + `"},"signature":1}`,
		`{"signature":{"timestamp":"1700000000","token":"tok","signature":"` + good + `"},"sign\u0061ture":{}}`,
		// Parsers that ignore case take the last of these.
		`{"signature":{"timestamp":"1700000000","token":"tok","Token":"x","signature":"` + good + `"}}`,
		`{"signature":{"timestamp":"1700000000","token":"tok","signature":"` + good + `"},"SIGNATURE":{}}`,
		`{"signature":{"time\u017ftamp":"1","timestamp":"1700000000","token":"tok","signature":"` + good + `"}}`,
	} {
		refuse(t, v, post(in), body, verify.ReasonRepeatedField)
	}
	for _, body := range []string{
		`{"signature":{"timestamp":"1700000000","token":"tok","signature":"` + good + `"}}{}`,
		`{"signature":{"timestamp":"1700000000","token":"tok","signature":"` + good + `"}`,
		`{"signature":{"timestamp":"1700000000","token":"tok","signature":"` + good + `"},}`,
		"\xef\xbb\xbf" + `{"signature":{"timestamp":"1700000000","token":"tok","signature":"` + good + `"}}`,
		`{"signature":{"timestamp":"1700000000","token":"tok","signature":"` + good + `"},"x":[}]}`,
		`{"a":` + strings.Repeat("[", 100_000),
	} {
		refuse(t, v, post(in), body, verify.ReasonMalformedBody)
	}
	for token, text := range map[string]string{"tok\xff": "tok\ufffd", `tok\ud800`: "tok\ufffd", "tok\ufffd": "tok\ufffd"} {
		body := `{"signature":{"timestamp":"1700000000","token":"` + token + `","signature":"` + sha256hex("secret", "1700000000"+text) + `"}}`
		refuse(t, v, post(in), body, verify.ReasonMalformedField) // invalid UTF-8, for which a decoder has one replacement
	}
	accept(t, v, post(in), `{"sign\u0061ture":{"timestamp":1700000000,"token":"tok","signature":"`+good+`"}}`)

	mandrill := provider(t, "mandrill")
	form := func(body, signed string, want verify.Reason) {
		t.Helper()
		r := post(in, "X-Mandrill-Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, "secret", in+signed)), "Content-Type", "application/x-www-form-urlencoded")
		judge(t, mandrill, r, body, want)
	}
	form("a=1&b=2", "a1b2", "")
	form("b=2&a=1", "a1b2", "")
	form("a=1&a=1", "a1a1", verify.ReasonRepeatedField)
	form("a=1&%61=2", "a1a2", verify.ReasonRepeatedField)
	form("a=%zz", "a%zz", verify.ReasonMalformedBody)
	form("a=1;b=2", "a1;b=2", verify.ReasonMalformedBody)
	form(strings.Repeat("a&", 5000), "a", verify.ReasonMalformedBody)
	adyen := provider(t, "adyen", hex.EncodeToString([]byte("secret")))
	item := func(more string) string {
		return `{"notificationItems":[{"NotificationRequestItem":{"pspReference":"p","success":"false"` + more +
			`,"additionalData":{"hmacSignature":"` + sha256b64("secret", "p:::::::false") + `"}}}]}`
	}
	accept(t, adyen, post(in), item(""))
	accept(t, adyen, post(in), item(`,"other":1,"Other":2`))
	refuse(t, adyen, post(in), item(`,"Success":"true"`), verify.ReasonRepeatedField)
	refuse(t, adyen, post(in), item(`,"OriginalReference":"o"`), verify.ReasonRepeatedField)
	forged := strings.TrimSuffix(item(""), "}") + `,"NotificationItems":[{"NotificationRequestItem":{"pspReference":"evil"}}]}`
	refuse(t, adyen, post(in), forged, verify.ReasonRepeatedField)
	// A body is only parsed if the scheme needs it, and up to a limit.
	refuse(t, provider(t, "mailgun"), post(in), strings.Repeat(" ", 17<<20), verify.ReasonBodyTooLarge)
}

// A signature that doesn't cover the body is only accepted with UnboundBody.
func TestUnboundBody(t *testing.T) {
	for _, name := range []string{"mailgun", "dropbox-sign", "plivo-v2", "mercado-pago", "adyen", "okta", "microsoft-graph"} {
		if row := rowOf(t, name); !row.UnboundBody || row.Bounds().Body {
			t.Errorf("%s: UnboundBody is false", name)
		}
	}
	for _, row := range verify.Schemes() {
		if row.Name != "hmac" && row.UnboundBody == row.Bounds().Body {
			t.Errorf("%s: UnboundBody is %t, but the bounds are %+v", row.Name, row.UnboundBody, row.Bounds())
		}
	}
	// JSON from Twilio needs its digest in the URL.
	twilio := provider(t, "twilio")
	sum := sha256.Sum256([]byte(testBody))
	sign := func(target string) string {
		return base64.StdEncoding.EncodeToString(mac(sha1.New, "secret", target))
	}
	good := in + "?bodySHA256=" + hex.EncodeToString(sum[:])
	accept(t, twilio, post(good, "X-Twilio-Signature", sign(good), "Content-Type", "application/json"), testBody)
	accept(t, twilio, post(good, "X-Twilio-Signature", sign(good), "Content-Type", "application/x-www-form-urlencoded"), testBody)
	for _, target := range []string{in, in + "?bodySHA256=", in + "?bodySHA256=00", good + "00", good + "&bodySHA256=" + hex.EncodeToString(sum[:])} {
		for _, kind := range []string{"application/json", "", "multipart/form-data; boundary=x"} {
			refuse(t, twilio, post(target, "X-Twilio-Signature", sign(target), "Content-Type", kind), testBody, "")
		}
	}
	// Square's SDK accepts an empty body without a signature.
	square := provider(t, "square")
	refuse(t, square, post(in), "", verify.ReasonMissingSignature)
	refuse(t, square, post(in, "x-square-hmacsha256-signature", sha256b64("secret", in+testBody)), "", verify.ReasonBadSignature)
}

// Every element must have a good signature, all by the same secret.
func TestPartialCoverage(t *testing.T) {
	adyen := provider(t, "adyen", "00ff", "aabb")
	item := func(key, reference string) string {
		return fmt.Sprintf(`{"NotificationRequestItem":{"pspReference":"p","merchantReference":%q,"additionalData":{"hmacSignature":%q}}}`,
			reference, sha256b64(key, "p:::r::::"))
	}
	list := func(items ...string) string { return `{"notificationItems":[` + strings.Join(items, ",") + `]}` }
	good := item("\x00\xff", "r")
	accept(t, adyen, post(in), list(good))
	accept(t, adyen, post(in), list(good, good))
	for _, body := range []string{
		list(), list(good, item("\x00\xff", "forged")), list(item("\x00\xff", "forged"), good), list(good, item("wrong", "r")),
		list(good, `{}`), list(good, `null`), list(good, `{"NotificationRequestItem":{"pspReference":"p"}}`), `{}`, `{"notificationItems":{}}`, `[]`, ``,
		list(good, item("\xaa\xbb", "r")), // the second is signed by another secret
		`{"notificationItems":[` + good + `],"notificationItems":[` + item("\x00\xff", "forged") + `]}`,
	} {
		refuse(t, adyen, post(in), body, "")
	}
	graph := provider(t, "microsoft-graph")
	for _, body := range []string{`{"value":[]}`, `{"value":[{"clientState":"secret"},{"clientState":"x"}]}`, `{"value":[{"clientState":"secret"},{}]}`, `{"value":[{"clientState":"secret","clientState":"secret"}]}`} {
		refuse(t, graph, post(in), body, "")
	}
	// A form with a field that isn't signed.
	braintree := provider(t, "braintree")
	key := sha1.Sum([]byte("secret"))
	signature := hex.EncodeToString(mac(sha1.New, string(key[:]), "payload"))
	accept(t, braintree, post(in, "Content-Type", "application/x-www-form-urlencoded"), "bt_signature=p%7C"+signature+"&bt_payload=payload")
	refuse(t, braintree, post(in, "Content-Type", "application/x-www-form-urlencoded"), "bt_signature=p%7C"+signature+"&bt_payload=payload&admin=1", verify.ReasonUnboundBody)
}

// A field outside the elements isn't signed, even if it has the name of one inside.
func TestNamesOutsideOfAnElement(t *testing.T) {
	v := verifierOf(t, base(func(s *verify.Scheme) {
		s.Signature = verify.Signature{In: "json", Name: "sig", Each: "events"}
		s.ID, s.EventType = verify.Field{In: "json", Name: "id"}, verify.Field{In: "json", Name: "type"}
		s.Content, s.UnboundBody = "{json.id}:{json.type}", true
	}))
	m := accept(t, v, post(in), `{"id":"forged","type":"forged","events":[{"id":"a","type":"paid","sig":"`+sha256hex("secret", "a:paid")+`"}]}`)
	if m.Signed != (verify.Signed{}) || m.MAC != nil {
		t.Errorf("message %+v, want its id not to be signed", m)
	}
}

// There must be at least one element, and at most 1000.
func TestNumberOfElements(t *testing.T) {
	v := verifierOf(t, base(func(s *verify.Scheme) {
		s.Signature = verify.Signature{In: "json", Name: "sig", Each: "events"}
		s.Content, s.UnboundBody = "{json.a}", true
	}))
	element := `{"a":1,"sig":"` + sha256hex("secret", "1") + `"}`
	body := func(n int) string {
		return `{"events":[` + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + `]}`
	}
	refuse(t, v, post(in), body(0), verify.ReasonMalformedBody)
	accept(t, v, post(in), body(1))
	accept(t, v, post(in), body(1000))
	refuse(t, v, post(in), body(1001), verify.ReasonMalformedBody)

	// Anyone can send a body with very many. They must not cost an allocation each.
	many := `{"events":[` + strings.Repeat("1,", 1_000_000) + `1]}`
	allocations := testing.AllocsPerRun(1, func() { refuse(t, v, post(in), many, verify.ReasonMalformedBody) })
	if allocations > 100_000 {
		t.Errorf("a million elements took %v allocations, want at most 100,000", allocations)
	}
}

// A form may only have other fields than those that are signed by name if the whole body
// is signed. {id} and {event_type} count as names.
func TestFormFields(t *testing.T) {
	for content, bodies := range map[string][]string{
		"{form.a}.{body}":       {"a=1&b=2", "1.a=1&b=2"},
		"{event_type}.{form.a}": {"type=x&a=1", "x.1"},
		"{id}.{form.a}":         {"id=x&a=1", "x.1"},
		"{form.a}":              {"a=1", "1"},
	} {
		v := verifierOf(t, base(func(s *verify.Scheme) {
			s.ID, s.EventType, s.Content = verify.Field{In: "form", Name: "id"}, verify.Field{In: "form", Name: "type"}, content
		}))
		r := func(signed string) *http.Request {
			return post(in, "Content-Type", "application/x-www-form-urlencoded", "X-Sig", sha256hex("secret", signed))
		}
		accept(t, v, r(bodies[1]), bodies[0])
		if content != "{form.a}.{body}" {
			refuse(t, v, r(bodies[1]), bodies[0]+"&admin=1", verify.ReasonUnboundBody)
			refuse(t, v, r(bodies[1]), bodies[0]+"&=admin", verify.ReasonUnboundBody)
		}
	}
}

// A body is only read as a form if its content type says so.
func TestFormContentType(t *testing.T) {
	sign := base64.StdEncoding.EncodeToString(mac(sha1.New, "secret", in+"ab"))
	for kind, ok := range map[string]bool{
		"application/x-www-form-urlencoded":                true,
		"Application/X-WWW-FORM-URLENCODED; charset=utf-8": true,
		"application/x-www-form-urlencoded;":               true,
		"":                                                 false, "text/plain": false, "multipart/form-data; boundary=x": false, "application/x-www-form-urlencoded-x": false,
		"application/json": false, "x application/x-www-form-urlencoded": false, "application/x-www-form-urlencoded, text/plain": false,
	} {
		r := post(in, "X-Mandrill-Signature", sign, "Content-Type", kind)
		if ok {
			accept(t, provider(t, "mandrill"), r, "a=b")
		} else {
			refuse(t, provider(t, "mandrill"), r, "a=b", verify.ReasonUnsupportedContentType)
		}
	}
	// An empty body needs no content type.
	accept(t, provider(t, "mandrill"), post(in, "X-Mandrill-Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, "secret", in))), "")
	s := base(func(s *verify.Scheme) { s.ContentTypes = []string{"application/json"} })
	refuse(t, verifierOf(t, s), post(in, "X-Sig", sha256hex("secret", testBody), "Content-Type", "text/plain"), testBody, verify.ReasonUnsupportedContentType)
	accept(t, verifierOf(t, s), post(in, "X-Sig", sha256hex("secret", testBody), "Content-Type", "application/JSON; charset=utf-8"), testBody)
}

// The signed URL is compared byte for byte with the one that the provider called.
func TestURL(t *testing.T) {
	square := func(public, target, signed string) error {
		v := must.Get(verify.New(rowOf(t, "square"), verify.Options{Secrets: []string{"secret"}, PublicURL: public}))(t)
		_, err := v.Verify(post(target, "x-square-hmacsha256-signature", sha256b64("secret", signed+testBody)), []byte(testBody))
		return err
	}
	for _, tt := range []struct {
		public, target, signed string
		ok                     bool
	}{
		{"", in, in, true},
		{"", "http://hooks.example.com/in", in, false},
		{"https://hooks.example.com", "http://10.0.0.1:8080/in", in, true}, // behind a proxy that terminates TLS
		{"https://hooks.example.com/", "http://10.0.0.1:8080/in?a=1", in + "?a=1", true},
		{"https://hooks.example.com:8443", "http://10.0.0.1/in", "https://hooks.example.com:8443/in", true},
		{"https://hooks.example.com", "http://evil.example/in", "http://evil.example/in", false},
		{"", in + "/", in, false},
		{"", in + "?", in + "?", true},
		{"", in + "?", in, false},
		{"", in + "?b=2&a=1", in + "?a=1&b=2", false},
		{"", "https://hooks.example.com/a%2fb", "https://hooks.example.com/a%2fb", true},
		{"", "https://hooks.example.com/a%2fb", "https://hooks.example.com/a/b", false},
		{"", "https://hooks.example.com/a%2fb", "https://hooks.example.com/a%2Fb", false},
		{"", "https://hooks.example.com/%7Ea", "https://hooks.example.com/~a", false},
		{"", "https://hooks.example.com/in?x=%20", "https://hooks.example.com/in?x=+", false},
		{"", `https://hooks.example.com/a|b^<c>é`, `https://hooks.example.com/a|b^<c>é`, true}, // as it is on the wire
		{"", `https://hooks.example.com/in{"a":`, `https://hooks.example.com/in{"a":`, false},  // it could be the beginning of the body
		{"", "https://hooks.example.com/a|b", "https://hooks.example.com/a%7Cb", false},
		{"", "https://HOOKS.example.com/in", "https://hooks.example.com/in", false},
		{"", "https://hooks.example.com:443/in", in, false},
		{"", "https://hooks.example.com//in", in, false},
	} {
		if err := square(tt.public, tt.target, tt.signed); (err == nil) != tt.ok {
			t.Errorf("public URL %q, target %s, signed %s: error %v, want accepted: %t", tt.public, tt.target, tt.signed, err, tt.ok)
		}
	}
	// A proxy's headers are not used.
	r := post("http://10.0.0.1/in", "x-square-hmacsha256-signature", sha256b64("secret", in+testBody), "X-Forwarded-Proto", "https", "X-Forwarded-Host", "hooks.example.com", "Forwarded", "proto=https;host=hooks.example.com")
	refuse(t, provider(t, "square"), r, testBody, verify.ReasonBadSignature)
	for _, public := range []string{"hooks.example.com", "ftp://hooks.example.com", "https://", "https://u:p@hooks.example.com", "https://hooks.example.com/in", "https://hooks.example.com?x=1", "https://hooks.example.com#x", "://", "/in"} {
		if _, err := verify.New(rowOf(t, "square"), verify.Options{Secrets: []string{"secret"}, PublicURL: public}); err == nil {
			t.Errorf("New accepts the public URL %q", public)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("the error %q shows a password", err)
		}
	}
}

// Only POST is accepted, even with a good signature.
func TestMethod(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace, "post", "", "POST ", "QUERY"} {
		r := post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", ""), "X-HTTP-Method-Override", "POST")
		r.Method = method
		refuse(t, provider(t, "github"), r, "", verify.ReasonMethodNotAllowed)
		var e *verify.Error
		if _, err := provider(t, "github").Verify(r, nil); !errors.As(err, &e) || e.Status != http.StatusMethodNotAllowed {
			t.Errorf("%s: error %v, want status 405", method, err)
		}
	}
}

// Message.Signed tells which values can be trusted.
func TestUnsignedHeaders(t *testing.T) {
	m := accept(t, provider(t, "github"), post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", testBody), "X-GitHub-Event", "forged", "X-GitHub-Delivery", "forged"), testBody)
	if m.Signed != (verify.Signed{Body: true}) || m.Signed.String() != "body" {
		t.Errorf("GitHub: signed %q, want only the body", m.Signed)
	}
	m = accept(t, provider(t, "standard", "whsec_c2VjcmV0"), post(in, "webhook-id", "m", "webhook-timestamp", "1700000000", "webhook-signature", "v1,"+sha256b64("secret", "m.1700000000."+testBody)), testBody)
	if m.Signed.String() != "id timestamp event_type body" {
		t.Errorf("Standard Webhooks: signed %q, want all", m.Signed)
	}
	// An id in a header must be short and printable. One in a signed body is left out if it isn't.
	for _, id := range []string{strings.Repeat("x", 257), "a b", "a\tb", "ä", "a\x7f"} {
		refuse(t, provider(t, "github"), post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", testBody), "X-GitHub-Delivery", id), testBody, verify.ReasonMalformedID)
	}
	for _, body := range []string{`{"id":"a b"}`, `{"id":"` + strings.Repeat("x", 2000) + `"}`, `{"id":{"x":1}}`, `{"id":null}`, `{"id":"a\nb"}`, `not json`, `{"id":`, `{"id":"x","id":"y"}x`} {
		s := rowOf(t, "stripe")
		m := accept(t, verifierOf(t, s), post(in, "Stripe-Signature", "t=1700000000,v1="+sha256hex("secret", "1700000000."+body)), body)
		if m.ID != "" && m.ID != "x" {
			t.Errorf("body %q: id %q, want none or x", body, m.ID)
		}
	}
}

// The headers of a request don't select the scheme.
func TestAutoDetection(t *testing.T) {
	r := post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", testBody), "Stripe-Signature", "x", "X-Gitlab-Token", "secret")
	for _, name := range []string{"stripe", "gitlab", "slack", "shopify"} {
		secret := "secret"
		if name == "gitlab" {
			secret = "whsec_c2VjcmV0"
		}
		refuse(t, provider(t, name, secret), r, testBody, "")
	}
}

// A refusal shows neither a secret nor the right MAC.
func TestNothingIsTold(t *testing.T) {
	const secret = "a-very-secret-secret"
	v := provider(t, "github", secret)
	_, err := v.Verify(post(in, "X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64)), []byte(testBody))
	right := sha256hex(secret, testBody)
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		if strings.Contains(text, secret) || strings.Contains(text, right) {
			t.Errorf("the error shows the secret or the right MAC: %s", text)
		}
	}
	if err.Error() != "bad_signature" {
		t.Errorf("error %q, want bad_signature", err)
	}
}

// The status doesn't tell what was wrong with the signature. It is never 410, on which
// some senders stop for good.
func TestOneStatus(t *testing.T) {
	v := provider(t, "slack")
	good := "v0=" + sha256hex("secret", "v0:1700000000:"+testBody)
	for _, r := range []*http.Request{
		post(in), post(in, "X-Slack-Signature", "x"), post(in, "X-Slack-Signature", good), post(in, "X-Slack-Signature", good, "X-Slack-Request-Timestamp", "1"),
		post(in, "X-Slack-Signature", good, "X-Slack-Request-Timestamp", "1600000000"), post(in, "X-Slack-Signature", good, "X-Slack-Request-Timestamp", "1700000001"),
	} {
		var e *verify.Error
		if _, err := v.Verify(r, []byte(testBody)); !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
			t.Errorf("%v: error %+v, want status 401", r.Header, e)
		}
	}
	s := base(func(s *verify.Scheme) { s.StatusCode = 498 })
	var e *verify.Error
	if _, err := verifierOf(t, s).Verify(post(in), nil); !errors.As(err, &e) || e.Status != 498 {
		t.Errorf("error %+v, want the scheme's status 498", e)
	}
	for _, status := range []int{410, 200, 302, 500, 99, -1} {
		if err := base(func(s *verify.Scheme) { s.StatusCode = status }).Validate(); err == nil {
			t.Errorf("Validate accepts the status %d", status)
		}
	}
}

// No header, query or body that a sender can write makes it panic.
func TestPanics(t *testing.T) {
	values := []string{"", "=", ",", ";", "|", "&", ".", ":", " ", "v1", "v0=", "t=", "sha256", "\x00", "\xff", strings.Repeat("=", 100), "v1=v1=", "%", "%zz", "{", "\"", "[]", "{}", "null"}
	for _, scheme := range verify.Schemes() {
		if scheme.Name == "hmac" {
			continue
		}
		secret := secretFor(t, scheme)
		v := verifierOf(t, scheme, secret)
		for _, value := range values {
			r := post(in)
			for _, name := range headersOf(scheme) {
				r.Header[http.CanonicalHeaderKey(name)] = []string{value}
			}
			refuse(t, v, r, value, "")
			r.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
			r.URL = &url.URL{RawQuery: value}
			r.RequestURI = ""
			refuse(t, v, r, value, "")
		}
		if _, err := v.Begin(&verify.Request{}); err == nil {
			t.Errorf("%s: Begin accepts an empty request", scheme.Name)
		}
	}
}

// A body that can't be read again is refused if the scheme has to read it. Otherwise it
// is accepted by its hash, without the values in it.
func TestUnreadableBody(t *testing.T) {
	refused := make(map[verify.Reason]int)
	for _, v := range append(published(), computed()...) {
		for reads := range 3 {
			r := v.request()
			check, err := v.verifier(t).Begin(&verify.Request{Method: r.Method, URL: r.URL, Header: r.Header, ContentLength: r.ContentLength})
			if err != nil {
				t.Fatalf("%s: %v", v.scheme, err)
			}
			must.Get(io.WriteString(check, v.body))(t)
			m, err := check.Finish(&breaking{strings.NewReader(v.body), reads}, int64(len(v.body)))
			if err != nil {
				refused[reason(err)]++
				continue
			}
			whole := accept(t, v.verifier(t), v.request(), v.body)
			if !bytes.Equal(m.MAC, whole.MAC) || m.ID != "" && m.ID != whole.ID {
				t.Errorf("%s: message %+v without its body, %+v with it", v.scheme, m, whole)
			}
		}
	}
	if refused[verify.ReasonUnreadableBody] < 40 || len(refused) > 1 {
		t.Errorf("reasons %v, want only %s, at least 40 times", refused, verify.ReasonUnreadableBody)
	}
}

// breaking fails after a number of reads.
type breaking struct {
	io.ReaderAt
	reads int
}

func (b *breaking) ReadAt(p []byte, offset int64) (int, error) {
	if b.reads--; b.reads < 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return b.ReaderAt.ReadAt(p, offset)
}

// headersOf returns the headers that a scheme reads.
func headersOf(s verify.Scheme) []string {
	names := append(slices.Clone(s.Signature.Names), s.Signature.Name)
	for _, place := range []struct{ in, name string }{{s.Timestamp.In, s.Timestamp.Name}, {s.ID.In, s.ID.Name}, {s.EventType.In, s.EventType.Name}} {
		if place.in == "header" {
			names = append(names, place.name)
		}
	}
	return slices.DeleteFunc(names, func(s string) bool { return s == "" || strings.ContainsAny(s, ".") })
}

// Whoever has seen a plain hash can compute that of a longer content, with the hash's
// padding in it. The padding has NUL bytes, which are refused.
func TestLengthExtension(t *testing.T) {
	v := provider(t, "hubspot-v1")
	// SHA-256's padding after "secret"+body, and an extension.
	prefix := "secret" + testBody
	padding := "\x80" + strings.Repeat("\x00", (119-len(prefix)%64)%64) + "\x00\x00\x00\x00\x00\x00" + string([]byte{byte(len(prefix) * 8 >> 8), byte(len(prefix) * 8)})
	body := testBody + padding + `,"forged":true}`
	sum := sha256.Sum256([]byte("secret" + body))
	refuse(t, v, post(in, "X-HubSpot-Signature", hex.EncodeToString(sum[:])), body, verify.ReasonMalformedBody)
	// A NUL byte is found anywhere in the body.
	for _, body := range []string{"\x00", "\x00" + testBody, testBody + "\x00"} {
		sum := sha256.Sum256([]byte("secret" + body))
		refuse(t, v, post(in, "X-HubSpot-Signature", hex.EncodeToString(sum[:])), body, verify.ReasonMalformedBody)
	}
	// An escape in a form or a query becomes a NUL byte only when it is decoded.
	const escaped, extension = "x%80%00%01y", "x\x80\x00\x01y"
	for _, tt := range []struct{ content, query, body, signed string }{
		{"{secret}{form.a}", "", "a=" + escaped, extension},
		{"{secret}{form_sorted}", "", "a=" + escaped, "a" + extension},
		{"{secret}{body}.{query.a}", "?a=" + escaped, "b", "b." + extension},
		{"{secret}{func.plivo_v3}", "", "a=" + escaped, in + "?a" + extension},
	} {
		v := verifierOf(t, base(func(s *verify.Scheme) { s.Construction, s.Content = "hash", tt.content }))
		r := post(in+tt.query, "Content-Type", "application/x-www-form-urlencoded", "X-Sig", sha256sum("secret"+tt.signed))
		refuse(t, v, r, tt.body, verify.ReasonMalformedField)
	}
}

// A later request doesn't change a message.
func TestMessageOwnsItsBytes(t *testing.T) {
	v := provider(t, "github")
	first := accept(t, v, post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", testBody)), testBody)
	kept := *first
	kept.MAC = slices.Clone(first.MAC)
	for range 10 {
		accept(t, v, post(in, "X-Hub-Signature-256", "sha256="+sha256hex("secret", "other")), "other")
	}
	if !reflect.DeepEqual(*first, kept) {
		t.Errorf("after later requests, the message is %+v, want %+v", *first, kept)
	}
}
