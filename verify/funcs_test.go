package verify_test

import (
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Contentful's requests list the headers that are signed. Each must be there once and be
// unambiguous, and the timestamp must be listed.
func TestContentful(t *testing.T) {
	v := provider(t, "contentful")
	request := func(list, signed string, kv ...string) *http.Request {
		content := "POST\n/in\n" + signed + "\n" + testBody
		return post(in, append([]string{"X-Contentful-Signature", sha256hex("secret", content), "X-Contentful-Signed-Headers", list, "X-Contentful-Timestamp", milliNow}, kv...)...)
	}
	const list, stamp = "x-contentful-signed-headers", "x-contentful-timestamp"
	both := list + "," + stamp
	accept(t, v, request(both, list+":"+both+";"+stamp+":"+milliNow), testBody)
	// The list can have any order. What is signed is sorted.
	accept(t, v, request(stamp+", "+list, list+":"+stamp+", "+list+";"+stamp+":"+milliNow), testBody)
	accept(t, v, request("A,"+both, "a:x;"+list+":A,"+both+";"+stamp+":"+milliNow, "A", "x"), testBody)

	for name, r := range map[string]*http.Request{
		"time not listed": request(list, list+":"+list),
		"list not listed": request(stamp, stamp+":"+milliNow),
		"empty list":      request("", ""),
		"missing header":  request("a,"+both, "a:;"+list+":a,"+both+";"+stamp+":"+milliNow),
		"repeated header": request("a,"+both, "a:x;"+list+":a,"+both+";"+stamp+":"+milliNow, "A", "x", "A", "x"),
		"listed twice":    request("a,a,"+both, "a:x;a:x;"+list+":a,a,"+both+";"+stamp+":"+milliNow, "A", "x"),
		"not a name":      request("a b,"+both, "a b:x;"+list+":a b,"+both+";"+stamp+":"+milliNow, "A b", "x"),
		"ambiguous":       request("a,b,"+both, "a:x;b:y;b:z;"+list+":a,b,"+both+";"+stamp+":"+milliNow, "A", "x;b:y", "B", "z"),
		"long list":       request(strings.Repeat("a,", 5000)+both, "a:x", "A", "x"),
		"empty name":      request(","+both, ":;"+list+":,"+both+";"+stamp+":"+milliNow),
	} {
		t.Run(name, func(t *testing.T) { refuse(t, v, r, testBody, "") })
	}
	// The path is signed.
	r := request(both, list+":"+both+";"+stamp+":"+milliNow)
	r.RequestURI = "/other"
	refuse(t, v, r, testBody, verify.ReasonBadSignature)
	// The query is only signed up to a second question mark.
	r.Header.Set("X-Contentful-Signature", sha256hex("secret", "POST\n/in?a%253D1\n"+list+":"+both+";"+stamp+":"+milliNow+"\n"+testBody))
	r.RequestURI = "/in?a=1"
	accept(t, v, r, testBody)
	r.RequestURI = "/in?a=1?b=2"
	refuse(t, v, r, testBody, verify.ReasonMalformedField)
}

// Hook0's requests list the headers that are signed in the signature.
func TestHook0(t *testing.T) {
	v := provider(t, "hook0")
	request := func(names, values string, kv ...string) *http.Request {
		return post(in, append([]string{"X-Hook0-Signature", "t=" + unixNow + ",h=" + names + ",v1=" + sha256hex("secret", unixNow+"."+names+"."+values+"."+testBody)}, kv...)...)
	}
	accept(t, v, request("x-event-id x-event-type", "1.user.account.created", "X-Event-Id", "1", "X-Event-Type", "user.account.created"), testBody)
	// A part of the event type can't move to the body, nor the other way round.
	for body, eventType := range map[string]string{"paid.now": "a.b.c", "c.paid.now": "a.b", "now": "a.b.c.paid"} {
		r := post(in, "X-Hook0-Signature", "t="+unixNow+",h=x-event-type,v1="+sha256hex("secret", unixNow+".x-event-type.a.b.c.paid.now"), "X-Event-Type", eventType)
		if eventType == "a.b.c" {
			accept(t, v, r, body)
		} else {
			refuse(t, v, r, body, verify.ReasonMalformedField)
		}
	}
	for name, r := range map[string]*http.Request{
		"missing header":  request("x-missing", ""),
		"repeated header": request("a", "x", "A", "x", "A", "x"),
		"dot in an id":    request("x-event-id x-event-type", "1.user.account.created", "X-Event-Id", "1.user", "X-Event-Type", "account.created"),
		"body in a value": request("x-event-type", `a.{"x":1`, "X-Event-Type", `a.{"x":1`),
		"no names":        request("", ""),
		"no h":            post(in, "X-Hook0-Signature", "t="+unixNow+",v1="+sha256hex("secret", unixNow+"..."+testBody)),
		"other order":     post(in, "X-Hook0-Signature", "t="+unixNow+",h=b a,v1="+sha256hex("secret", unixNow+".a b.x.y."+testBody), "A", "x", "B", "y"),
		"long list":       request(strings.Repeat("a ", 1000)+"a", "x", "A", "x"),
		"dot in a name":   request("a.b", "x", "A.b", "x"),
	} {
		t.Run(name, func(t *testing.T) { refuse(t, v, r, testBody, "") })
	}
}

// Mercado Pago doesn't sign the parts that a request doesn't have.
func TestMercadoPago(t *testing.T) {
	v := provider(t, "mercado-pago")
	request := func(query, signed string, kv ...string) *http.Request {
		return post(in+query, append([]string{"x-signature", "ts=" + unixNow + ",v1=" + sha256hex("secret", signed)}, kv...)...)
	}
	accept(t, v, request("?data.id=AbC", "id:abc;ts:"+unixNow+";"), "{}")
	accept(t, v, request("?data.id=AbC", "id:AbC;ts:"+unixNow+";"), "{}")
	accept(t, v, request("", "request-id:r;ts:"+unixNow+";", "x-request-id", "r"), "{}")
	for name, r := range map[string]*http.Request{
		"an id in capital letters":     request("?data.id=AbC", "id:ABC;ts:"+unixNow+";"),
		"an id that isn't signed":      request("?data.id=abc", "ts:"+unixNow+";"),
		"a signed id that isn't sent":  request("", "id:abc;ts:"+unixNow+";"),
		"two ids":                      request("?data.id=a&data.id=b", "id:a;ts:"+unixNow+";"),
		"another part in an id":        request("?data.id="+url.QueryEscape("a;request-id:r"), "id:a;request-id:r;ts:"+unixNow+";"),
		"another Unicode letter":       request("?data.id="+url.QueryEscape("\u212a"), "id:k;ts:"+unixNow+";"), // the Kelvin sign, which is a k in lower case
		"two request ids":              request("", "request-id:r;ts:"+unixNow+";", "x-request-id", "r", "x-request-id", "r"),
		"another part in a request id": request("", "request-id:r;ts:1;ts:"+unixNow+";", "x-request-id", "r;ts:1"),
		"a bad escape in the query":    request("?data.id=%zz", "id:%zz;ts:"+unixNow+";"),
	} {
		t.Run(name, func(t *testing.T) { refuse(t, v, r, "{}", "") })
	}
}

// What Plivo puts between the parts depends on which ones there are.
func TestPlivoV3(t *testing.T) {
	v := provider(t, "plivo")
	for _, tt := range []struct{ query, body, signed string }{
		{"?b=2&a=1", "d=4&c=3", in + "?a=1&b=2.c3d4.9"},
		{"?b=2&a=x%20y", "", in + "?a=x y&b=2.9"},
		{"?b=2&a=x%20y", "", in + "?a=x%20y&b=2.9"},
		{"?to=%2B1415&&a=1+2&b", "c=%2B1", in + "?a=1+2&b=&to=%2B1415.c+1.9"},
		{"", "d=4&c=3", in + "?c3d4.9"},
		{"", "", in + ".9"},
	} {
		r := post(in+tt.query, "X-Plivo-Signature-Ma-V3", "x,"+sha256b64("secret", tt.signed), "X-Plivo-Signature-V3-Nonce", "9", "Content-Type", "application/x-www-form-urlencoded")
		accept(t, v, r, tt.body)
		refuse(t, v, r, tt.body+"&e=5", verify.ReasonBadSignature)
	}
	nonce := func(query, signed string) *http.Request {
		return post(in+query, "X-Plivo-Signature-V3", sha256b64("secret", signed), "X-Plivo-Signature-V3-Nonce", "9", "Content-Type", "application/x-www-form-urlencoded")
	}
	refuse(t, v, nonce("?a=1&a=2", in+"?a=1&a=2.9"), "", verify.ReasonRepeatedField)
	refuse(t, v, nonce("?%61=1&a=2", in+"?%61=1&a=2.9"), "", verify.ReasonRepeatedField)
	refuse(t, v, nonce("?a=%2B", in+"?a=%2b.9"), "", verify.ReasonBadSignature)
	refuse(t, v, nonce("", in+"?a1a2.9"), "a=1&a=2", verify.ReasonRepeatedField)
	refuse(t, v, nonce("?a=%zz", in+"?a=%zz.9"), "", verify.ReasonMalformedField)
	r := nonce("", in+".9")
	r.Header.Del("X-Plivo-Signature-V3-Nonce")
	refuse(t, v, r, "", verify.ReasonMissingID)
}

// Twilio repeats a field that has several values. Each value is signed once.
func TestTwilioForm(t *testing.T) {
	v := provider(t, "twilio")
	for body, signed := range map[string]string{
		"b=2&a=1":       "a1b2",
		"a=2&a=1&b=3":   "a1a2b3",
		"a=1&a=1":       "a1",
		"b=1&a=2&b=1&b": "a2bb1",
		"":              "",
	} {
		r := post(in, "X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, "secret", in+signed)), "Content-Type", "application/x-www-form-urlencoded")
		accept(t, v, r, body)
		refuse(t, v, r, strings.TrimPrefix(body+"&a=9", "&"), verify.ReasonBadSignature)
	}
}

// A content with values from the body in front of the body.
func TestBodyAfterItsFields(t *testing.T) {
	s := base(func(s *verify.Scheme) {
		s.Content = "{json.id}.{timestamp}.{event_type}.{body}.{body_sha1_base64url}"
		s.Timestamp = verify.Timestamp{In: "json", Name: "at"}
		s.EventType = verify.Field{In: "json", Name: "type"}
	})
	body := `{"id":"1","at":` + unixNow + `,"type":"ab"}`
	r := post(in, "X-Sig", sha256hex("secret", "1."+unixNow+".ab."+body+"."+sha1url(body)))
	v := verifierOf(t, s)
	if m := accept(t, v, r, body); m.EventType != "ab" || !m.Timestamp.Equal(testNow) {
		t.Errorf("message %+v, want event type ab at %s", m, testNow)
	}
	refuse(t, v, r, strings.Replace(body, "ab", "xb", 1), verify.ReasonBadSignature)
	refuse(t, v, r, `{"id":"1","at":"x","type":"ab"}`, verify.ReasonMalformedTimestamp)
	refuse(t, v, r, `{"id":"1","at":{},"type":"ab"}`, verify.ReasonMalformedTimestamp)
	refuse(t, v, r, `{"id":"1","type":"ab"}`, verify.ReasonMissingTimestamp)
	refuse(t, v, r, `{"id":"1","at":`+unixNow+`}`, verify.ReasonMissingField)
	refuse(t, v, r, `{"id":"1.2","at":`+unixNow+`,"type":"ab"}`, verify.ReasonMalformedField)

	h := sign(t, s, &verify.Outgoing{EventType: "ab", Timestamp: testNow, Body: []byte(body)}, "secret")
	if h.Get("X-Sig") != r.Header.Get("X-Sig") {
		t.Errorf("signature %q, want %q", h.Get("X-Sig"), r.Header.Get("X-Sig"))
	}
	signer := signerOf(t, s, "secret")
	if err := signer.Sign(http.Header{}, &verify.Outgoing{EventType: "ab", Body: []byte(`{"id":"1"}`)}); err == nil {
		t.Error("Sign accepts a body without the timestamp that is signed")
	}
}

func sha1url(body string) string {
	sum := sha1.Sum([]byte(body))
	return base64.URLEncoding.EncodeToString(sum[:])
}

// A timestamp in a body that is signed as a whole is read without parsing the body.
func TestTimestampInSignedBody(t *testing.T) {
	v := provider(t, "linear")
	for body, want := range map[string]verify.Reason{
		`{"webhookTimestamp":` + milliNow + `}`:                              "",
		`{"a":[{"webhookTimestamp":1}],"webhookTimestamp":` + milliNow + `}`: "",
		`{}`:                                 "",
		`{"webhookTimestamp":1600000000000}`: verify.ReasonStaleTimestamp,
		`{"webhookTimestamp":1700000061000}`: verify.ReasonFutureTimestamp,
		`{"webhookTimestamp":1700000000}`:    verify.ReasonMalformedTimestamp,
		`{"webhookTimestamp":{}}`:            verify.ReasonMalformedTimestamp,
		`{"webhookTimestamp":null}`:          verify.ReasonMalformedTimestamp,
		`{"webhookTimestamp":nul}`:           verify.ReasonMalformedTimestamp,
		`{"webhookTimestamp":"` + strings.Repeat("1", 5000) + `"}`:                  verify.ReasonMalformedTimestamp,
		`{"webhookTimestamp":` + milliNow + `,"webhookTimestamp":` + milliNow + `}`: verify.ReasonRepeatedField,
		`{"webhookTimestamp":`: verify.ReasonMalformedBody,
		`]`:                    verify.ReasonMalformedBody,
	} {
		r := post(in, "Linear-Signature", sha256hex("secret", body))
		judge(t, v, r, body, want)
	}
}

// A JSON document in a form is in the field of the scheme's JSONField.
func TestJSONField(t *testing.T) {
	v := provider(t, "dropbox-sign")
	document := `{"event":{"event_time":"` + unixNow + `","event_type":"x","event_hash":"` + sha256hex("secret", unixNow+"x") + `"}}`
	part := func(name, value string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	headed := func(header, value string) string { return "--b\r\n" + header + "\r\n\r\n" + value + "\r\n" }
	const multi = "multipart/form-data; boundary=b"
	const named = `Content-Disposition: form-data; name="json"`
	for _, tt := range []struct {
		kind, body string
		want       verify.Reason
	}{
		{multi, part("json", document) + "--b--\r\n", ""},
		{multi, part("other", "{}") + part("json", document) + "--b--\r\n", ""},
		{"application/x-www-form-urlencoded", "json=" + url.QueryEscape(document), ""},
		{"application/json", document, ""},
		{multi, part("json", document) + part("json", document) + "--b--\r\n", verify.ReasonRepeatedField},
		{multi, part("other", document) + "--b--\r\n", verify.ReasonMissingField},
		{multi, headed(named+"\r\nContent-Transfer-Encoding: 8bit", document) + "--b--\r\n", ""},
		{multi, headed(`Content-Disposition: form-data; name="json"; filename="a"`, "{}") + part("json", document) + "--b--\r\n", verify.ReasonRepeatedField},
		{multi, headed(`Content-Disposition: form-data; name="other"`+"\r\n"+named, "{}") + part("json", document) + "--b--\r\n", verify.ReasonMalformedBody},
		{multi, headed(`Content-Disposition: form-data; name="other"; name="json"`, "{}") + part("json", document) + "--b--\r\n", verify.ReasonMalformedBody},
		{multi, headed(named+"\r\nContent-Transfer-Encoding: quoted-printable", document) + "--b--\r\n", verify.ReasonMalformedBody},
		{multi, headed(`Content-Disposition: attachment; name="json"`, document) + "--b--\r\n", verify.ReasonMalformedBody},
		{multi, part("json", document), verify.ReasonMalformedBody},
		{multi, document, verify.ReasonMalformedBody},
		{multi, "", verify.ReasonMalformedBody},
		{"multipart/form-data", part("json", document) + "--b--\r\n", verify.ReasonUnsupportedContentType},
		{"application/x-www-form-urlencoded", "json=" + url.QueryEscape(document) + "&json=1", verify.ReasonRepeatedField},
		{"application/x-www-form-urlencoded", "other=1", verify.ReasonMalformedBody},
		{multi, strings.Repeat(part("x", ""), 1001) + part("json", document) + "--b--\r\n", verify.ReasonMalformedBody},
	} {
		r := post(in, "Content-Type", tt.kind)
		judge(t, v, r, tt.body, tt.want)
	}
}
