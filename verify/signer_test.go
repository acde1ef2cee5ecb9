package verify_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// The signer sets the headers that the provider's own receivers expect.
func TestSign(t *testing.T) {
	stamped := unixNow + "." + testBody
	for _, tt := range []struct {
		scheme  string
		secrets []string
		want    map[string]string
	}{
		{"standard", []string{"whsec_" + key32}, map[string]string{
			"Webhook-Id": "msg_1", "Webhook-Timestamp": unixNow, "Webhook-Signature": "v1," + sha256b64(decode(key32), "msg_1."+stamped)}},
		{"standard", []string{"whsec_" + key32, "whsec_b2xk"}, map[string]string{
			"Webhook-Signature": "v1," + sha256b64(decode(key32), "msg_1."+stamped) + " v1," + sha256b64("old", "msg_1."+stamped)}},
		{"github", []string{"new", "old"}, map[string]string{
			"X-Hub-Signature-256": "sha256=" + sha256hex("new", testBody), "X-Github-Delivery": "msg_1", "X-Github-Event": "order.created"}},
		{"stripe", []string{"new", "old"}, map[string]string{
			"Stripe-Signature": "t=" + unixNow + ",v1=" + sha256hex("new", stamped) + ",v1=" + sha256hex("old", stamped)}},
		{"slack", []string{"s"}, map[string]string{
			"X-Slack-Request-Timestamp": unixNow, "X-Slack-Signature": "v0=" + sha256hex("s", "v0:"+unixNow+":"+testBody)}},
		{"paddle", []string{"s"}, map[string]string{"Paddle-Signature": "ts=" + unixNow + ";h1=" + sha256hex("s", unixNow+":"+testBody)}},
		{"square", []string{"s"}, map[string]string{"X-Square-Hmacsha256-Signature": sha256b64("s", testURL+testBody)}},
		{"twitch", []string{"s"}, map[string]string{
			"Twitch-Eventsub-Message-Timestamp": "2023-11-14T22:13:20Z", "Twitch-Eventsub-Message-Signature": "sha256=" + sha256hex("s", "msg_12023-11-14T22:13:20Z"+testBody)}},
		{"box", []string{"s"}, map[string]string{
			"Box-Signature-Primary": sha256b64("s", testBody+"2023-11-14T22:13:20Z"), "Box-Signature-Version": "1", "Box-Signature-Algorithm": "HmacSHA256"}},
		{"ghost", []string{"s"}, map[string]string{"X-Ghost-Signature": "sha256=" + sha256hex("s", testBody+milliNow) + ", t=" + milliNow}},
		{"infisical", []string{"s"}, map[string]string{"X-Infisical-Signature": "t=" + milliNow + ";" + sha256hex("s", testBody)}},
		{"recharge", []string{"s"}, map[string]string{"X-Recharge-Webhook-Timestamp": unixNow}},
		{"outpost", []string{"s"}, map[string]string{"X-Outpost-Timestamp": "2023-11-14T22:13:20Z"}},
	} {
		t.Run(tt.scheme, func(t *testing.T) {
			h := sign(t, rowOf(t, tt.scheme), outgoing(), tt.secrets...)
			for name, want := range tt.want {
				if got := h[name]; len(got) != 1 || got[0] != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

// A timestamp in the body is repeated in the header, where the provider does so. What changes
// the signature or moves the timestamp takes the provider's own format away.
func TestSignSent(t *testing.T) {
	m := outgoing()
	m.Body = []byte(`{"timestamp":1600000000000}`)
	row := rowOf(t, "infisical")
	if got, want := sign(t, row, m, "s").Get("X-Infisical-Signature"), "t=1600000000000;"+sha256hex("s", string(m.Body)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	m.Body = []byte(`{"timestamp":"1\r\nX-Other: 2"}`)
	if got, want := sign(t, row, m, "s").Get("X-Infisical-Signature"), "t="+milliNow+";"+sha256hex("s", string(m.Body)); got != want {
		t.Errorf("with a body that has no timestamp: got %q, want %q", got, want)
	}
	for name, over := range map[string]verify.Scheme{
		"signature": {Signature: verify.Signature{Encoding: "hex"}},
		"algorithm": {Algorithm: "sha512"},
		"timestamp": {Timestamp: verify.Timestamp{Name: "ts"}},
	} {
		if row.Merge(over).Sent != nil {
			t.Errorf("%s: the provider's own format is still there", name)
		}
	}
	if row.Merge(verify.Scheme{EventType: verify.Field{In: "json", Name: "a"}, Timestamp: verify.Timestamp{Past: 1}}).Sent == nil {
		t.Error("the provider's own format is lost")
	}
	if got := rowOf(t, "sumsub").FirstSet([]string{"X-Payload-Digest-Alg"}); got == "" {
		t.Error("the header of the algorithm isn't said to be set")
	}
}

// Every format of a list has room for several signatures. A receiver that knows only one
// of the secrets accepts it.
func TestSignWithSeveralSecrets(t *testing.T) {
	for name, change := range map[string]func(*verify.Scheme){
		"bare list": func(s *verify.Scheme) { s.Signature.Separator = "," },
		"first": func(s *verify.Scheme) {
			s.Signature.Separator, s.Timestamp.In, s.Content = ",", "first", "{timestamp}.{body}"
		},
		"groups": func(s *verify.Scheme) {
			s.Signature.Separator, s.Signature.Tags, s.Signature.Groups = ",", []string{"v1"}, " "
			s.Timestamp, s.Content = verify.Timestamp{In: "field", Name: "t"}, "{timestamp}.{body}"
		},
		"headers":  func(s *verify.Scheme) { s.Signature = verify.Signature{Names: []string{"X-One", "X-Two"}} },
		"numbered": func(s *verify.Scheme) { s.Signature = verify.Signature{Name: "X-Sig-", Numbered: true} },
		"prefix":   func(s *verify.Scheme) { s.Signature.Prefix, s.Signature.Separator = "sig ", ";" },
	} {
		t.Run(name, func(t *testing.T) {
			scheme := base(change)
			h := sign(t, scheme, outgoing(), "new", "old")
			for _, secret := range []string{"new", "old"} {
				v := verifierOf(t, scheme, secret)
				r := post(testURL)
				r.Header = h
				accept(t, v, r, testBody)
			}
		})
	}
}

// A list that receivers read only one signature of has only that of the first secret.
func TestSignSingle(t *testing.T) {
	scheme := base(func(s *verify.Scheme) { s.Signature.Separator, s.Signature.Single = ",", true })
	h := sign(t, scheme, outgoing(), "new", "old")
	if got, want := h.Get("X-Sig"), sha256hex("new", testBody); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if scheme.SignsWithAll() {
		t.Error("SignsWithAll is true")
	}
	h.Set("X-Sig", sha256hex("old", testBody)+","+h.Get("X-Sig"))
	r := post(testURL)
	r.Header = h
	accept(t, verifierOf(t, scheme, "new"), r, testBody)
}

// The providers' own receivers of these schemes read only one signature of a list. Deliveries
// that are signed with two secrets have that of the first, in the place where they look.
func TestSignForReceiversOfOne(t *testing.T) {
	last := func(separator, tag string) func(string) string {
		return func(header string) (signature string) {
			for item := range strings.SplitSeq(header, separator) {
				if name, value, _ := strings.Cut(item, "="); name == tag {
					signature = value
				}
			}
			return signature
		}
	}
	match := func(pattern string) func(string) string {
		return func(header string) string {
			if m := regexp.MustCompile(pattern).FindStringSubmatch(header); m != nil {
				return m[1]
			}
			return ""
		}
	}
	for name, read := range map[string]func(header string) string{
		"buildkite":    last(",", "signature"),
		"calendly":     last(",", "v1"),
		"circleci":     last(",", "v1"),
		"elevenlabs":   last(",", "v0"),
		"gitbook":      last(",", "v1"),
		"imagekit":     match(`^t=\d+,v1=([^,]+)`),
		"knock":        match(`^t=\d+,s=([^,]+)`),
		"mercado-pago": last(",", "v1"),
		"mercury":      match(`^t=\d+,v1=([^,]+)`),
		"openphone":    match(`^hmac;1;\d+;([^;]+)`),
		"paddle":       last(";", "h1"),
		"port":         match(`^v1,([^,]+)`),
		"retell":       match(`v=\d+,d=(.*)`),
		"rootly":       match(`^t=\d+,v1=([^,]+)`),
		"sanity":       match(`^t=\d+[, ]+v1=([^, ]+)$`),
		"terra":        match(`^t=\d+,v1=([^,]+)$`),
		"whereby":      match(`t=\d+,v1=(.*)`),
		"workos":       match(`^t=\d+, v1=([^,]+)$`), // as WorkOS's library for Python splits it

		"backblaze-b2":      match(`^v1=([^=]+)$`),
		"cloudflare-stream": last(",", "sig1"),
		"ghost":             match(`^sha256=([^,]+), t=\d+$`),
		"infisical":         match(`^t=\d+;([^;]+)$`),
		"paymongo":          match(`^t=\d+,te=,li=([^,]+)$`),
		"qonto":             match(`v1=([a-f0-9]+)`),
		"recharge":          last(",", "v1"),
		"revenuecat":        last(",", "v1"),
		"shippo":            last(",", "v1"),
		"tiktok":            last(",", "s"),
		"zoho-payments":     last(",", "v"),
	} {
		t.Run(name, func(t *testing.T) {
			row := rowOf(t, name)
			fresh, old := secretFor(t, row), secretFor(t, row)
			header := func(secrets ...string) string {
				return sign(t, row, outgoing(), secrets...).Get(row.Signature.Name)
			}
			want := read(header(fresh))
			if got := read(header(fresh, old)); got != want || want == "" {
				t.Errorf("%q: receivers read %q, want %q", header(fresh, old), got, want)
			}
			if row.SignsWithAll() {
				t.Error("SignsWithAll is true")
			}
		})
	}
}

// SignsWithAll is true for exactly the schemes with which a receiver that only knows the
// second secret accepts a message signed with two.
func TestSignsWithAll(t *testing.T) {
	all := 0
	for _, row := range verify.Schemes() {
		if row.CanSign() != nil {
			continue
		}
		fresh, old := secretFor(t, row), secretFor(t, row)
		r := post(testURL)
		r.Header = sign(t, row, &verify.Outgoing{URL: testURL, ID: "msg_1", EventType: "a", Timestamp: testNow, Body: []byte("{}")}, fresh, old)
		_, err := verifierOf(t, row, old).Verify(r, []byte("{}"))
		if (err == nil) != row.SignsWithAll() {
			t.Errorf("%s: SignsWithAll is %t, but with the second secret the error is %v", row.Name, row.SignsWithAll(), err)
		}
		if row.SignsWithAll() {
			all++
		}
	}
	if all < 20 {
		t.Errorf("SignsWithAll is true for only %d schemes", all)
	}
}

// Deliveries have a Content-Type, which a scheme may sign.
func TestCanSignTheContentType(t *testing.T) {
	scheme := base(func(s *verify.Scheme) { s.Content = `{header.Content-Type}\n{body}` })
	if err := scheme.CanSign(); err != nil {
		t.Error(err)
	}
}

// With the tag *, the receiver compares the tag with something that only it knows, such
// as Sinch's application key.
func TestCanSignWithAnyTag(t *testing.T) {
	row := rowOf(t, "sinch-voice")
	if err := row.CanSign(); err == nil || !strings.Contains(err.Error(), "tag") {
		t.Errorf("error %v, want one that says what to do", err)
	}
	row.Signature.Tags = []string{"key"}
	if err := row.CanSign(); err != nil {
		t.Error(err)
	}
}

// CanSign generates one RSA key pair for all schemes, since that takes long.
func TestCanSignGeneratesOneKeyPair(t *testing.T) {
	row := rowOf(t, "wise")
	try := func() {
		must.Do(t, row.CanSign())
	}
	if n := testing.AllocsPerRun(3, try); n > 1000 {
		t.Errorf("CanSign took %v allocations", n)
	}
}

// An error about an id says which form the scheme can send.
func TestSignWithBadID(t *testing.T) {
	for scheme, want := range map[string]string{"standard": "printable characters", "configcat": "[0-9a-f]{32}"} {
		row, m := rowOf(t, scheme), outgoing()
		m.ID = "an id"
		signer := must.Get(verify.NewSigner(row, []string{secretFor(t, row)}))(t)
		if err := signer.Sign(http.Header{}, m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s in it", scheme, err, want)
		}
	}
}

// An id or an event type in the body that receivers refuse isn't signed.
func TestSignWithBadValueInTheBody(t *testing.T) {
	for want, change := range map[string]func(*verify.Scheme){
		"the id has a form that the scheme can't send; use one that matches [0-9]+": func(s *verify.Scheme) {
			s.Content, s.ID = "{id}.{body}", verify.Field{In: "json", Name: "id", Pattern: "[0-9]+"}
		},
		"the event type has a form that the scheme can't send": func(s *verify.Scheme) {
			s.Content, s.EventType = "{event_type}:{body}", verify.Field{In: "json", Name: "type"}
		},
	} {
		m := outgoing()
		m.Body = []byte(`{"id":"evt_1","type":"caf\u00e9"}`)
		if err := signerOf(t, base(change), "secret").Sign(http.Header{}, m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

// The error of a scheme that can't sign says why.
func TestSchemesThatCannotSign(t *testing.T) {
	for name, word := range map[string]string{"okta": "token", "mailgun": "body", "braintree": "tag", "pandadoc": "URL", "twilio": "hash", "lark": "the header X-Lark-Request-Nonce", "mandrill": "a form", "contentful": "missing_field"} {
		err := rowOf(t, name).CanSign()
		if err == nil || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), "choose") {
			t.Errorf("%s: error %v, want %s in it, and what to do", name, err, word)
		}
	}
	if err := signerOf(t, rowOf(t, "plivo"), "secret").Sign(http.Header{"Content-Type": {"application/json"}}, outgoing()); err == nil {
		t.Error("Sign accepts JSON for a scheme that signs forms")
	}
	path := base(func(s *verify.Scheme) { s.Content = `{path}\n{body}` })
	for _, row := range []verify.Scheme{rowOf(t, "square"), rowOf(t, "trello"), rowOf(t, "hubspot"), rowOf(t, "contentful"), path} {
		for _, address := range []string{"", "/hooks"} {
			m := outgoing()
			m.URL = address
			err := signerOf(t, row, "secret").Sign(http.Header{"X-Contentful-Signed-Headers": {"x-contentful-signed-headers,x-contentful-timestamp"}}, m)
			if err == nil || !strings.Contains(err.Error(), "give an absolute one") {
				t.Errorf("%s, URL %q: error %v, want one about the URL", row.Name, address, err)
			}
		}
	}
	signer := signerOf(t, rowOf(t, "standard"), "whsec_c2VjcmV0")
	for _, id := range []string{"", "a.b", "a b", "a\r\nb", strings.Repeat("x", 300)} {
		m := outgoing()
		m.ID = id
		h := http.Header{}
		if err := signer.Sign(h, m); err == nil || strings.Contains(err.Error(), "another scheme") {
			t.Errorf("id %q: signed as %v, error %v, want one about the id", id, h, err)
		}
	}
}

// Values that receivers find in the body are signed as they are there, and those that they
// find in the URL can't be signed, since a delivery doesn't have them.
func TestSignValuesElsewhere(t *testing.T) {
	id := func(s *verify.Scheme) { s.Content = "{id}.{body}"; s.ID = verify.Field{In: "json", Name: "id"} }
	kind := func(s *verify.Scheme) {
		s.Content = "{event_type}:{body}"
		s.EventType = verify.Field{In: "json", Name: "type"}
	}
	for name, change := range map[string]func(*verify.Scheme){"id": id, "event type": kind} {
		s, m := base(change), outgoing()
		r := post(in)
		r.Header = sign(t, s, m, "secret")
		accept(t, verifierOf(t, s), r, testBody)
		m.Body = []byte("{}")
		if err := signerOf(t, s, "secret").Sign(http.Header{}, m); err == nil || !strings.Contains(err.Error(), "the body has no "+name) {
			t.Errorf("%s: error %v, want none in the body", name, err)
		}
	}
	for name, change := range map[string]func(*verify.Scheme){
		"id":         func(s *verify.Scheme) { id(s); s.ID.In = "query" },
		"event type": func(s *verify.Scheme) { kind(s); s.EventType.In = "query" },
		"timestamp": func(s *verify.Scheme) {
			s.Content, s.Timestamp = "{url}{body}", verify.Timestamp{In: "query", Name: "ts"}
		},
	} {
		if err := base(change).CanSign(); err == nil || !strings.Contains(err.Error(), "in the URL") {
			t.Errorf("%s in the query: error %v, want one about the URL", name, err)
		}
	}
}

// A row can be given a signed timestamp, such as for versions of Outpost before 0.12.
func TestTimestampAddedToARow(t *testing.T) {
	s := rowOf(t, "outpost").Merge(verify.Scheme{Content: "{timestamp}.{body}", Timestamp: verify.Timestamp{In: "header", Name: "X-Time"}})
	r := post(in, "X-Outpost-Signature", "v0="+sha256hex("secret", unixNow+"."+testBody), "X-Time", unixNow)
	accept(t, verifierOf(t, s), r, testBody)
}

func TestGenerateSecret(t *testing.T) {
	for _, kind := range []string{"", "text", "text_or_hex", "text_or_whsec", "whsec", "base64", "hex", "sha1", "sha256"} {
		s := base(func(s *verify.Scheme) { s.Key = kind })
		secret := secretFor(t, s)
		if secret == secretFor(t, s) {
			t.Errorf("key %q: the same secret twice", kind)
		}
		var raw []byte
		var err error
		switch kind {
		case "hex", "text_or_hex":
			raw, err = hex.DecodeString(secret)
		case "base64":
			raw, err = base64.StdEncoding.DecodeString(secret)
		default:
			rest, ok := strings.CutPrefix(secret, "whsec_")
			if !ok {
				t.Errorf("key %q: secret %q, want whsec_ in front", kind, secret)
			}
			raw, err = base64.StdEncoding.DecodeString(rest)
		}
		if err != nil || len(raw) != 32 {
			t.Errorf("key %q: secret %q has %d bytes, error %v, want 32", kind, secret, len(raw), err)
		}
		if _, err := verify.New(s, verify.Options{Secrets: []string{secret}}); err != nil {
			t.Errorf("key %q: error %v", kind, err)
		}
	}
	if _, err := verify.GenerateSecret(verify.Scheme{Key: "pgp"}); err == nil {
		t.Error("GenerateSecret accepts an unknown kind of key")
	}
}

// A verifier and a signer can be used by several goroutines at once.
func TestConcurrentUse(t *testing.T) {
	scheme := rowOf(t, "standard")
	signer := signerOf(t, scheme, "whsec_bmV3", "whsec_b2xk")
	v := verifierOf(t, scheme, "whsec_b2xk", "whsec_bmV3")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				m := outgoing()
				m.Body = []byte(strings.Repeat("x", i+1))
				r := post(testURL)
				if err := signer.Sign(r.Header, m); err != nil {
					t.Error(err)
				}
				if _, err := v.Verify(r, m.Body); err != nil {
					t.Error(err)
				}
				if _, err := v.Verify(r, append(m.Body, 'x')); err == nil {
					t.Error("a changed body is accepted")
				}
			}
		})
	}
	wg.Wait()
}
