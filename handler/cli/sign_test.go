package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

const body = `{"webhookTimestamp":1769871845000,"note":"it's – \"ünïcode\""}`

// signers returns the names of the schemes that the sign command can use.
func signers(t *testing.T) []string {
	var names []string
	for _, row := range verify.Schemes() {
		if _, err := verify.NewSigner(row, []string{secretOf(t, row.Name)}); err == nil {
			names = append(names, row.Name)
		}
	}
	if len(names) < 10 {
		t.Fatalf("got only %v that can sign", names)
	}
	return names
}

func secretOf(t *testing.T, provider string) string {
	row, _ := verify.Lookup(provider)
	secret := must.Get(verify.GenerateSecret(row))(t)
	return secret
}

// rawRequest returns a request as it is sent over the wire.
func rawRequest(headers, body string) string {
	return "POST /hooks HTTP/1.1\r\nHost: hooks.example.com\r\n" + strings.ReplaceAll(headers, "\n", "\r\n") + "\r\n" + body
}

const formBody = "From=%2B15551234&Body=it%27s+%E2%80%93+fine"

// peculiar has the providers that need more than a JSON body.
var peculiar = map[string]struct {
	body string
	args []string
}{
	"configcat":      {body, []string{"--id", strings.Repeat("0123456789abcdef", 2)}},
	"contentful":     {body, []string{"-H", "X-Contentful-Signed-Headers: x-contentful-signed-headers,x-contentful-timestamp"}},
	"klaviyo":        {body, []string{"-H", "Klaviyo-Timestamp: 2026-03-14T15:09:26Z"}},
	"lark":           {body, []string{"-H", "X-Lark-Request-Nonce: 1234"}},
	"tenderly":       {body, []string{"-H", "Date: 2026-03-14 15:09:26 +0000 UTC"}},
	"wechat-pay":     {body, []string{"-H", "Wechatpay-Nonce: 593BEC0C930BF1AF"}},
	"mandrill":       {formBody, []string{"--content-type", "application/x-www-form-urlencoded"}},
	"moov":           {body, []string{"-H", "X-Webhook-Id: dff0a709-f982-4475-81e8-214b435c74ab"}},
	"nextcloud-talk": {body, []string{"--id", strings.Repeat("0123456789abcdef", 4)}},
	"plivo":          {formBody, []string{"--content-type", "application/x-www-form-urlencoded"}},
	"twilio":         {formBody, []string{"--content-type", "application/x-www-form-urlencoded"}},
}

func TestWhatIsSignedVerifies(t *testing.T) {
	names := signers(t)
	for provider := range peculiar {
		if !slices.Contains(names, provider) {
			t.Errorf("got no %s among the schemes that can sign", provider)
		}
	}
	for _, provider := range names {
		t.Run(provider, func(t *testing.T) {
			special := peculiar[provider]
			body := cmp.Or(special.body, body)
			secret := file(t, secretOf(t, provider)+"\n")
			args := []string{"sign", provider, "--secret-file", secret, "--event-type", "push", "--url", "http://hooks.example.com/hooks"}
			signed := run(t, body, append(args, special.args...)...)
			headers := signed.want(t, 0).out
			judge := func(request string) result {
				return run(t, request, "verify", provider, "--secret-file", secret)
			}
			if r := judge(rawRequest(headers, body)).want(t, 0); !strings.HasPrefix(r.out, "valid\n") {
				t.Errorf("got stdout %q", r.out)
			}
			row, _ := verify.Lookup(provider)
			if row.UnboundBody {
				return
			}
			forged := []byte(body)
			forged[len(forged)/2] ^= 1
			if r := judge(rawRequest(headers, string(forged))); r.code != 1 || strings.HasPrefix(r.out, "valid") {
				t.Errorf("forged: got exit code %d, stdout %q", r.code, r.out)
			}
		})
	}
}

func TestSignAsJSON(t *testing.T) {
	r := run(t, "", "sign", "github", "--secret", "s3cret", "--body", "{}", "--json").want(t, 0)
	var h map[string]string
	must.Do(t, json.Unmarshal([]byte(r.out), &h))
	if !strings.HasPrefix(h["X-Hub-Signature-256"], "sha256=") {
		t.Errorf("got stdout %s", r.out)
	}
}

// A flag whose value the scheme can't carry is mentioned, so that nobody looks for
// it at the receiver.
func TestSignSaysWhichFlagsAreIgnored(t *testing.T) {
	const (
		id    = "--id is ignored: the scheme has no id.\n"
		event = "--event-type is ignored: the scheme has no event type.\n"
		at    = "--timestamp is ignored: the scheme has no timestamp.\n"
	)
	for name, c := range map[string]struct{ provider, says string }{
		"everything in headers":           {"gitlab", ""},
		"the timestamp in the signature":  {"stripe", "--id is ignored: the scheme has its id elsewhere (json id).\n--event-type is ignored: the scheme has its event type elsewhere (json type).\n"},
		"the timestamp before it":         {"recurly", "--event-type is ignored: the scheme has its event type elsewhere (json event_type).\n"},
		"no timestamp":                    {"github", at},
		"neither an id nor an event type": {"sendgrid", id + event},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"sign", c.provider, "--secret", secretOf(t, c.provider), "--body", "{}"}
			if r := run(t, "", args...).want(t, 0); r.err != "" {
				t.Errorf("without the flags: got stderr %q", r.err)
			}
			r := run(t, "", append(args, "--id", "a1", "--event-type", "push", "--timestamp", "1769871845")...).want(t, 0)
			if r.err != c.says {
				t.Errorf("got stderr %q, want %q", r.err, c.says)
			}
		})
	}
}

func TestSignWithAllFlags(t *testing.T) {
	r := run(t, "", "sign", "standard-webhooks", "--secret", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
		"--body", `{"a":1}`, "--id", "msg_1", "--timestamp", "1769871845", "-H", "X-Env: test", "--content-type", "text/plain").want(t, 0)
	golden(t, "sign", r.out)
}

// The line that --curl prints works in a real shell with a real curl.
func TestCurlLineArrivesSigned(t *testing.T) {
	for _, tool := range []string{"curl", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	secret := "it's $ecret"
	row, _ := verify.Lookup("stripe")
	v := must.Get(verify.New(row, verify.Options{Secrets: []string{secret}, Now: func() time.Time { return now }}))(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		_, err := v.Verify(r, got)
		fmt.Fprint(w, err, " ", string(got), " ", r.URL.RawQuery)
	}))
	defer server.Close()
	for name, input := range map[string][]string{
		"inline":     {"--body", body},
		"an at sign": {"--body", "@" + body},
		"lines":      {"--body", body + "\n\n"},
		"empty":      {"--body", ""},
		"a file":     {"--body-file", file(t, body+"\x00\n")},
	} {
		t.Run(name, func(t *testing.T) {
			line := run(t, "", append([]string{"sign", "stripe", "--secret", secret, "--curl", server.URL + "/?a=b&c='d'"}, input...)...).want(t, 0).out
			got, err := exec.CommandContext(t.Context(), "sh", "-c", strings.TrimSuffix(line, "\n")+" --silent").Output()
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			sent := input[1]
			if input[0] == "--body-file" {
				sent = body + "\x00\n"
			}
			if want := "<nil> " + sent + " a=b&c='d'"; string(got) != want {
				t.Errorf("got response %q, want %q", got, want)
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"an unknown provider":         {[]string{"acme", "--secret", "x"}, 2, "caddy webhooks providers"},
		"a misspelt provider":         {[]string{"githbu", "--secret", "x"}, 2, "did you mean github?"},
		"a part of a name":            {[]string{"strip", "--secret", "x"}, 2, "did you mean stripe?"},
		"no provider":                 {[]string{"--secret", "x"}, 2, "the provider is missing"},
		"no secret":                   {[]string{"github"}, 2, "--secret-file"},
		"an empty secret":             {[]string{"github", "--secret", ""}, 2, "a secret is empty"},
		"a secret file that is not":   {[]string{"github", "--secret-file", "/nonexistent"}, 1, "there is no file /nonexistent"},
		"a secret of the wrong form":  {[]string{"standard-webhooks", "--secret", "whsec_?"}, 1, "base64"},
		"two bodies":                  {[]string{"github", "--secret", "x", "--body", "a", "--body-file", "b"}, 2, "together"},
		"an empty config":             {[]string{"github", "--secret", "x", "--config", ""}, 2, "--config is empty"},
		"two things by stdin":         {[]string{"github", "--secret", "-"}, 2, "standard input"},
		"an id of the wrong form":     {[]string{"configcat", "--secret", "x"}, 1, "one that matches [0-9a-f]{32}"},
		"a hash that no header has":   {[]string{"twilio", "--secret", "x"}, 1, "except for forms"},
		"no URL":                      {[]string{"square", "--secret", "x"}, 1, "it signs the URL"},
		"a header of the wrong form":  {[]string{"github", "--secret", "x", "-H", "X Env: a"}, 2, "Name: value"},
		"a header with a line break":  {[]string{"github", "--secret", "x", "-H", "X-Env: a\r\nEvil: b"}, 2, "Name: value"},
		"a time of the wrong form":    {[]string{"github", "--secret", "x", "--timestamp", "soon"}, 2, "is not a time"},
		"curl with bytes for no word": {[]string{"github", "--secret", "x", "--body", "\x00", "--curl", "http://x"}, 2, "--body-file"},
		"hmac without a scheme":       {[]string{"hmac", "--secret", "x"}, 1, "signature"},
		"a scheme with unknown words": {[]string{"hmac", "--secret", "x", "--scheme-file", file(t, `{"colour":"red"}`)}, 1, "colour"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, "body", append([]string{"sign"}, c.args...)...)
			if r.code != c.code || !strings.Contains(r.err, c.says) || r.out != "" {
				t.Errorf("got exit code %d, stdout %q, stderr %q; want %d and %q", r.code, r.out, r.err, c.code, c.says)
			}
			if strings.Contains(r.err, "whsec_?") {
				t.Errorf("the error shows the secret: %s", r.err)
			}
		})
	}
}

func TestSecretComesByVariable(t *testing.T) {
	t.Setenv(secretVariable, "s3cret")
	byVariable := run(t, "x", "sign", "linear", "--id", "a").want(t, 0)
	byFlag := run(t, "x", "sign", "linear", "--id", "a", "--secret", "s3cret").want(t, 0)
	other := run(t, "x", "sign", "linear", "--id", "a", "--secret", "other").want(t, 0)
	if byVariable.out != byFlag.out || byFlag.out == other.out {
		t.Errorf("by variable %q, by flag %q, another one %q", byVariable.out, byFlag.out, other.out)
	}
}
