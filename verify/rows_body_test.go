package verify_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Every row refuses a good signature with any one change.
func TestBodyRowsRefuse(t *testing.T) {
	for _, e := range bodyExamples() {
		v := e.compute()
		try := func(what string, change func(http.Header), want verify.Reason) {
			t.Run(v.scheme+"/"+what, func(t *testing.T) {
				r := v.request()
				change(r.Header)
				_, err := v.verifier(t).Verify(r, []byte(v.body))
				if got := reason(err); got == "" || want != "" && got != want {
					t.Errorf("headers %q: reason %q, want %q", r.Header, got, want)
				}
			})
		}
		for name, template := range e.header {
			before, rest, signed := strings.Cut(template, "{")
			if !signed {
				continue
			}
			_, after, _ := strings.Cut(rest, "}")
			value := v.header[name]
			text := value[len(before) : len(value)-len(after)]
			for what, changed := range mangled(text) {
				try(what, func(h http.Header) { h.Set(name, before+changed+after) }, "")
			}
			item := strings.LastIndex(before, ",") + 1 // of a list
			for what, changed := range misprefixed(rowOf(t, v.scheme), before[item:]) {
				try(what, func(h http.Header) { h.Set(name, before[:item]+changed+text+after) }, "")
			}
			if !rowOf(t, v.scheme).Signature.Repeated {
				try("twice", func(h http.Header) { h.Add(name, value) }, verify.ReasonRepeatedHeader)
				try("twice, one of them wrong", func(h http.Header) { h.Add(name, before+after) }, verify.ReasonRepeatedHeader)
			}
			if len(e.header) == 1 {
				try("empty", func(h http.Header) { h.Set(name, "") }, verify.ReasonMissingSignature)
				try("none", func(h http.Header) { h.Del(name) }, verify.ReasonMissingSignature)
			}
		}
	}
}

// mangled returns texts that are similar to that of a MAC.
func mangled(text string) map[string]string {
	flipped := []byte(text)
	if flipped[10] = 'b'; text[10] == 'b' {
		flipped[10] = 'a'
	}
	list := map[string]string{
		"no text":         "",
		"a blank":         " ",
		"cut by one":      text[:len(text)-1],
		"half":            text[:len(text)/2],
		"half, filled up": text[:len(text)/2] + strings.Repeat("0", len(text)-len(text)/2),
		"longer":          text + "0",
		"twice in one":    text + text,
		"flipped":         string(flipped),
		"a blank inside":  text[:8] + " " + text[8:],
		"quoted":          `"` + text + `"`,
		"a colon":         ":" + text,
		"full width":      strings.Replace(text, text[4:5], string(rune(text[4])-'!'+'\uff01'), 1),
	}
	if raw, err := hex.DecodeString(text); err == nil {
		list["in base64"] = base64.StdEncoding.EncodeToString(raw)
		list["as raw bytes"] = string(raw)
		return list
	}
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(text)
	raw, err := base64.StdEncoding.DecodeString(standard)
	if err != nil {
		panic(err)
	}
	list["in hexadecimal"] = hex.EncodeToString(raw)
	list["without padding"] = strings.TrimRight(text, "=")
	list["loose bits"] = loosen(text)
	list["a line break inside"] = text[:8] + "\n" + text[8:]
	return list
}

// misprefixed returns prefixes that are similar to the right one.
func misprefixed(row verify.Scheme, prefix string) map[string]string {
	list := map[string]string{"another prefix": "v0=" + prefix, "a word in front": "x" + prefix}
	if prefix != "" {
		list["no prefix"] = ""
		list["prefix twice"] = prefix + prefix
		list["half a prefix"] = prefix[1:]
		if row.Signature.Name != "Authorization" { // the case of its first word doesn't matter
			list["prefix in capitals"] = strings.ToUpper(prefix)
		}
	}
	return list
}

// loosen sets a bit that is zero in strict base64. A lenient decoder gets the same MAC.
func loosen(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	bare := strings.TrimRight(text, "=")
	last := strings.IndexByte(alphabet, bare[len(bare)-1])
	return bare[:len(bare)-1] + alphabet[last|1:last|1+1] + text[len(bare):]
}

// Sinch's header has the application's key in front of the signature.
func TestSinchVoiceWithoutItsKey(t *testing.T) {
	v := published()[slices.IndexFunc(published(), func(v vector) bool { return v.scheme == "sinch-voice" })]
	_, signature, _ := strings.Cut(v.header["Authorization"], ":")
	for header, valid := range map[string]bool{
		"Application key:" + signature: true,
		"Application " + signature:     false,
		"Application key," + signature: false,
		"key:" + signature:             false,
	} {
		r := v.request()
		r.Header.Set("Authorization", header)
		if _, err := v.verifier(t).Verify(r, []byte(v.body)); (err == nil) != valid {
			t.Errorf("%s: error %v, want accepted: %t", header, err, valid)
		}
	}
}

// Framer signs the id right after the body. No byte can move between the two.
func TestFramerBoundary(t *testing.T) {
	e := bodyExamples()[slices.IndexFunc(bodyExamples(), func(v vector) bool { return v.scheme == "framer" })]
	v := e.compute()
	whole := v.body + v.id
	for cut := range len(whole) + 1 {
		if cut == len(v.body) {
			continue
		}
		r := v.request()
		r.Header.Set("Framer-Webhook-Submission-Id", whole[cut:])
		refuse(t, v.verifier(t), r, whole[:cut], "")
	}
}

// Only the payload of a form is signed, so other fields are refused.
func TestGiteaForm(t *testing.T) {
	for _, e := range bodyExamples() {
		v := e.compute()
		if v.header["Content-Type"] != "application/x-www-form-urlencoded" || !strings.HasPrefix(v.body, "payload=") {
			continue
		}
		for what, body := range map[string]string{
			"another field":      v.body + "&x=1",
			"payload twice":      v.body + "&" + v.body,
			"the payload itself": e.signed,
			"another name":       "x" + v.body,
		} {
			t.Run(v.scheme+"/"+what, func(t *testing.T) { refuse(t, v.verifier(t), v.request(), body, "") })
		}
	}
}

// The variant with a timestamp in the notes of Grafana's row works.
func TestGrafanaTimestamp(t *testing.T) {
	row := rowOf(t, "grafana").Merge(verify.Scheme{
		Content:   "{timestamp}:{body}",
		Timestamp: verify.Timestamp{In: "header", Name: "X-Grafana-Alerting-Timestamp"},
	})
	v := verifierOf(t, row)
	const body = `{"status":"firing"}`
	r := post(in, "X-Grafana-Alerting-Signature", sha256hex("secret", unixNow+":"+body), "X-Grafana-Alerting-Timestamp", unixNow)
	if m := accept(t, v, r, body); !m.Signed.Timestamp {
		t.Errorf("message %+v, want a signed timestamp", m)
	}
	r.Header.Set("X-Grafana-Alerting-Signature", sha256hex("secret", body)) // the body alone
	refuse(t, v, r, body, verify.ReasonBadSignature)
	r.Header.Del("X-Grafana-Alerting-Timestamp")
	refuse(t, v, r, body, verify.ReasonMissingTimestamp)
}

// GoCardless expects a status of its own for a bad signature.
func TestBodyRowsStatus(t *testing.T) {
	for scheme, want := range map[string]int{"gocardless": 498, "xero": http.StatusUnauthorized, "github": http.StatusUnauthorized} {
		v := vector{scheme: scheme, secret: "s3cret", at: testNow, body: "{}"}
		_, err := v.verifier(t).Verify(v.request(), []byte(v.body))
		if e, ok := errors.AsType[*verify.Error](err); !ok || e.Status != want {
			t.Errorf("%s: error %v, want status %d", scheme, err, want)
		}
	}
}
