package verify_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// A message with the signatures of two schemes verifies by both, whichever signs first.
func TestSignBeside(t *testing.T) {
	const secret = "5f7c5d3e9b1a2046880e1c9d7f3b6a5248c1e0d9b7a6f3524160897a5b4c3d2e" // also hexadecimal and base64
	m := &verify.Outgoing{URL: testURL, ID: "msg_1", EventType: "a", Timestamp: testNow, Body: []byte("{}")}
	standard, github := rowOf(t, "standard-webhooks"), rowOf(t, "github")
	pairs := 0
	for _, row := range verify.Schemes() {
		if row.CanSign() != nil {
			continue
		}
		for _, pair := range [][2]verify.Scheme{{row, standard}, {standard, row}, {row, github}, {github, row}} {
			if pair[0].CanSignBeside(pair[1]) != nil {
				continue
			}
			pairs++
			r := post(testURL)
			r.Header = http.Header{"Content-Type": {"application/json"}}
			for _, s := range pair {
				must.Do(t, signerOf(t, s, secret).Sign(r.Header, m))
			}
			for _, s := range pair {
				if _, err := verifierOf(t, s, secret).Verify(r, m.Body); err != nil {
					t.Errorf("signed by %s, then %s: %s refuses it: %v", pair[0].Name, pair[1].Name, s.Name, err)
				}
			}
		}
	}
	if pairs < 500 {
		t.Errorf("only %d pairs can sign beside each other", pairs)
	}
}

// Schemes that would overwrite, or change, what the other has signed can't be combined,
// nor can those that no secret fits.
func TestCanNotSignBeside(t *testing.T) {
	named := func(change func(*verify.Scheme)) verify.Scheme { s := base(change); s.Name = "other"; return s }
	for name, c := range map[string]struct {
		a, b verify.Scheme
		want string
	}{
		"alias":             {rowOf(t, "standard"), rowOf(t, "standard-webhooks"), "same scheme"},
		"signature":         {base(nil), named(func(s *verify.Scheme) { s.Signature.Name = "x-sig" }), "both set the header X-Sig"},
		"one of several":    {base(nil), named(func(s *verify.Scheme) { s.Signature = verify.Signature{Names: []string{"X-A", "X-SIG"}} }), "both set the header X-Sig"},
		"numbered":          {named(func(s *verify.Scheme) { s.Signature = verify.Signature{Name: "X-Sig", Numbered: true} }), base(func(s *verify.Scheme) { s.Signature.Name = "X-Sig7" }), "both set the header X-Sig7"},
		"id":                {rowOf(t, "standard"), base(func(s *verify.Scheme) { s.ID = verify.Field{In: "header", Name: "webhook-id"} }), "both set the header Webhook-Id"},
		"event type and id": {rowOf(t, "github"), base(func(s *verify.Scheme) { s.EventType = verify.Field{In: "header", Name: "X-GitHub-Delivery"} }), "both set the header X-Github-Delivery"},
		"timestamp": {rowOf(t, "standard"), base(func(s *verify.Scheme) {
			s.Timestamp, s.Content = verify.Timestamp{In: "header", Name: "Webhook-Timestamp"}, "{timestamp}.{body}"
		}), "both set the header Webhook-Timestamp"},
		"signed header":          {rowOf(t, "standard"), base(func(s *verify.Scheme) { s.Content = "{header.Webhook-Id?}\n{body}" }), "one sets the header Webhook-Id"},
		"signed in a form":       {rowOf(t, "github"), base(func(s *verify.Scheme) { s.FormContent = "{header.X-Hub-Signature-256?}\n{body}" }), "one sets the header X-Hub-Signature-256"},
		"key pair and secret":    {rowOf(t, "github"), rowOf(t, "standard-webhooks-ed25519"), "key pair"},
		"different key pairs":    {rowOf(t, "wise"), rowOf(t, "standard-webhooks-ed25519"), "key pair"},
		"key pairs in two forms": {rowOf(t, "standard-webhooks-ed25519"), base(func(s *verify.Scheme) { s.Construction, s.Key = "ed25519", "hex" }), "key pair"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pair := range [][2]verify.Scheme{{c.a, c.b}, {c.b, c.a}} {
				if err := pair[0].CanSignBeside(pair[1]); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want an error with %q", err, c.want)
				}
			}
		})
	}
	if err := base(func(s *verify.Scheme) { s.Construction, s.Key = "ed25519", "ed25519" }).CanSignBeside(rowOf(t, "standard-webhooks-ed25519")); err != nil {
		t.Errorf("with keys of the same kind: %v", err)
	}
}
