package cli

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

const (
	githubBody      = "Hello, World!"
	githubSecret    = "It's a Secret to Everybody"
	githubSignature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" // GitHub's own example
)

func TestVerifyRequest(t *testing.T) {
	github := "X-Hub-Signature-256: " + githubSignature + "\nX-GitHub-Event: ping\nX-GitHub-Delivery: 72d3162e\n"
	for name, c := range map[string]struct {
		request string
		args    []string
		code    int
		out     string // its first line
		says    string // on standard error
	}{
		"whole":                       {request: rawRequest(github, githubBody), out: "valid"},
		"with its length":             {request: rawRequest(github+"Content-Length: 13\n", githubBody), out: "valid"},
		"with more than its length":   {request: rawRequest(github+"Content-Length: 13\n", githubBody+"\n"), out: "valid"},
		"with bare line feeds":        {request: strings.ReplaceAll(rawRequest(github, githubBody), "\r\n", "\n"), out: "valid"},
		"in chunks":                   {request: rawRequest(github+"Transfer-Encoding: chunked\n", "d\r\n"+githubBody+"\r\n0\r\n\r\n"), out: "valid"},
		"with a newline at its end":   {request: rawRequest(github, githubBody+"\n"), code: 1, out: "bad_signature", says: "byte for byte"},
		"forged by a byte":            {request: rawRequest(github, "Hello, World?"), code: 1, out: "bad_signature"},
		"without a signature":         {request: rawRequest("", githubBody), code: 1, out: "missing_signature", says: "providers"},
		"with two signatures":         {request: rawRequest(github+github, githubBody), code: 1, out: "repeated_header"},
		"that is cut":                 {request: rawRequest(github+"Content-Length: 14\n", githubBody), code: 1, says: "13 bytes, but 14"},
		"whose headers don't end":     {request: "POST / HTTP/1.1\r\nHost: x\r\n", code: 1, says: "empty line"},
		"that is nothing":             {request: "", code: 1, says: "empty line"},
		"that is no request":          {request: "{}\n\n", code: 1, says: "POST /path HTTP/1.1"},
		"with the second secret":      {request: rawRequest(github, githubBody), args: []string{"--secret", "other"}, out: "valid"},
		"by another provider's rules": {request: rawRequest("Stripe-Signature: t=1,v1=00\n", githubBody), code: 1, out: "missing_signature"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"verify", "github"}, c.args...)
			r := run(t, c.request, append(args, "--secret", githubSecret)...)
			first, _, _ := strings.Cut(r.out, "\n")
			if r.code != c.code || first != c.out || !strings.Contains(r.err, c.says) {
				t.Errorf("got exit code %d, stdout %q, stderr %q", r.code, r.out, r.err)
			}
		})
	}
}

// --url is the URL that the provider called, and --public-url overrides its scheme and
// host.
func TestVerifySignedURL(t *testing.T) {
	for url, args := range map[string][]string{
		"https://hooks.example.com/in?x=1&y=a%20b": {"--url", "https://hooks.example.com/in?x=1&y=a%20b"},
		"http://hooks.example.com/in":              {"--url", "http://hooks.example.com/in"},
		"https://hooks.example.com/in?x=1":         {"--url", "http://127.0.0.1:8080/in?x=1", "--public-url", "https://hooks.example.com"},
	} {
		m := hmac.New(sha256.New, []byte("s3cret"))
		m.Write([]byte(url + `{"a":1}`))
		signature := base64.StdEncoding.EncodeToString(m.Sum(nil))
		r := run(t, "", append(args, "verify", "square", "--secret", "s3cret", "-H", "X-Square-HmacSha256-Signature: "+signature, "--body", `{"a":1}`)...)
		if first, _, _ := strings.Cut(r.want(t, 0).out, "\n"); first != "valid" {
			t.Errorf("%s: %q", url, r.out)
		}
	}
}

func TestVerifyPrints(t *testing.T) {
	args := []string{"verify", "github", "--secret", "old", "--secret", githubSecret, "--body", githubBody,
		"-H", "X-Hub-Signature-256: " + githubSignature, "-H", "X-GitHub-Event: ping", "-H", "X-GitHub-Delivery: 72d3162e"}
	golden(t, "verify", run(t, "", args...).want(t, 0).out)
	golden(t, "verify-json", run(t, "", append(args, "--json")...).want(t, 0).out)
	refused := run(t, "", "verify", "github", "--secret", "x", "--body", githubBody, "-H", "X-Hub-Signature-256: "+githubSignature, "--json").want(t, 1)
	golden(t, "verify-refused-json", refused.out)
	if refused.err != "" {
		t.Errorf("with --json: got stderr %q", refused.err)
	}
}

func TestVerifyAtAnotherTime(t *testing.T) {
	headers := run(t, body, "sign", "stripe", "--secret", "x", "--timestamp", "2026-01-30T12:00:00Z").want(t, 0).out
	request := rawRequest(headers, body)
	run(t, request, "verify", "stripe", "--secret", "x").want(t, 1).prints(t, "stale_timestamp\n").says(t, "--at")
	at := []string{"verify", "stripe", "--secret", "x", "--at", "2026-01-30 12:01"}
	run(t, request, at...).want(t, 0).shows(t, "2026-01-30 12:00:00")
	run(t, request, append(at, "--json")...).want(t, 0).shows(t, `"timestamp": "2026-01-30T12:00:00Z"`)
	run(t, request, "verify", "stripe", "--secret", "x", "--tolerance", "48h").want(t, 0)
	run(t, request, "verify", "stripe", "--secret", "x", "--at", "3d").want(t, 1).prints(t, "future_timestamp\n")
}

func TestVerifyAHandshake(t *testing.T) {
	challenge := `{"token":"t","challenge":"3eZbrw1a","type":"url_verification"}`
	headers := run(t, challenge, "sign", "slack", "--secret", "x").want(t, 0).out
	r := run(t, rawRequest(headers, challenge), "verify", "slack", "--secret", "x", "--json").want(t, 0)
	var j verifyResult
	must.Do(t, json.Unmarshal([]byte(r.out), &j))
	if !j.Valid || j.Handshake == nil || !strings.Contains(j.Handshake.Body, "3eZbrw1a") {
		t.Errorf("got stdout %s", r.out)
	}
	request := "GET /hooks?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock HTTP/1.1\r\nHost: hooks.example.com\r\n\r\n"
	for token, code := range map[string]int{"meatyhamhock": 0, "other": 1} {
		r := run(t, request, "verify", "meta", "--secret", "x", "--verify-token", token).want(t, code)
		if answered := strings.Contains(r.out, "answered with 200 1158201444"); answered != (code == 0) {
			t.Errorf("%s: got stdout %q", token, r.out)
		}
	}
}

func TestVerifyACustomScheme(t *testing.T) {
	scheme := file(t, `{"signature":{"name":"X-Acme-Signature","prefix":"sha512="},"algorithm":"sha512",
		"content":"{timestamp}.{body}","timestamp":{"in":"header","name":"X-Acme-Timestamp"}}`)
	headers := run(t, body, "sign", "hmac", "--scheme-file", scheme, "--secret", "x").want(t, 0).out
	if !strings.Contains(headers, "X-Acme-Signature: sha512=") {
		t.Fatalf("got headers %s", headers)
	}
	run(t, rawRequest(headers, body), "verify", "hmac", "--scheme-file", scheme, "--secret", "x").want(t, 0)
	run(t, rawRequest(headers, body+" "), "verify", "hmac", "--scheme-file", scheme, "--secret", "x").want(t, 1)
}

func TestVerifyPrintsNothingThatMovesTheCursor(t *testing.T) {
	headers := "X-GitHub-Delivery: a\x1b[2Jb\n" + run(t, body, "sign", "github", "--secret", "x", "--id", "c").want(t, 0).out
	r := run(t, rawRequest(strings.ReplaceAll(headers, "X-Github-Delivery: c\n", ""), body), "verify", "github", "--secret", "x")
	if strings.Contains(r.out+r.err, "\x1b") {
		t.Errorf("got stdout %q", r.out+r.err)
	}
}

func TestVerifyRefusesMixedInput(t *testing.T) {
	for name, args := range map[string][]string{
		"a request and headers": {"--request", "r", "-H", "A: b"},
		"a request and a body":  {"--request", "r", "--body-file", "y"},
		"a URL without a host":  {"-H", "A: b", "--body", "x", "--url", "/path"},
		"two bodies":            {"--body", "x", "--body-file", "y"},
		"what is no header":     {"--body", "x", "-H", "A"},
		"a time":                {"--at", "noon"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, "", append([]string{"verify", "github", "--secret", "x"}, args...)...).want(t, 2)
		})
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(rawRequest("Content-Length: 2\n", "{}")))
	f.Add([]byte(rawRequest("Transfer-Encoding: chunked\n", "2\r\n{}\r\n0\r\n\r\n")))
	f.Add([]byte("POST / HTTP/1.1\n\nx"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, body, err := parseRequest(text)
		if err == nil && (r.ContentLength != int64(len(body)) || len(body) > len(text)) {
			t.Errorf("got %d bytes of body, Content-Length %d, of %d bytes", len(body), r.ContentLength, len(text))
		}
	})
}
