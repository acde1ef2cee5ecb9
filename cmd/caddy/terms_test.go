package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// The secrets of terms.
const (
	termsOld   = "terms-old-secret"
	termsNew   = "terms-new-secret"
	termsShop  = "terms-shop-secret"
	termsOther = "terms-other-secret"
	termsCalls = "terms-calls-secret"
)

// terms has schemes of several kinds, one of them twice.
const terms = `{` + head + `}

http://:{$PORT} {
	handle /acme {
		webhook_verify hmac {
			name acme
			secret {env.TERMS_OLD} {env.TERMS_NEW}
			signature header X-Acme-Signature {
				prefix "sha256="
			}
			content "{timestamp}.{path}.{body}"
			timestamp header X-Acme-Timestamp
			tolerance 1h
		}
		respond "taken {http.webhook.secret_index}"
	}
	handle_path /shop/* {
		webhook_verify github ` + termsShop + `
		respond "taken"
	}
	handle /calls {
		webhook_verify square {
			secret ` + termsCalls + `
			public_url https://known.example.com
		}
		respond "taken"
	}
}
http://other.example.com:{$PORT} {
	@a header X-From a
	webhook_verify @a github ` + termsOther + `
	webhook_verify github ` + termsOther + `2
}
`

const termsBody = `{"note":"it's fine"}`

// wire returns a request with these headers as it is sent.
func wire(headers, body string) string {
	return "POST /acme HTTP/1.1\nHost: 127.0.0.1\n" + headers + "\n" + body
}

// TestSchemeOfACaddyfile checks that a scheme in a Caddyfile can be tried with commands, with
// and without a running server.
func TestSchemeOfACaddyfile(t *testing.T) {
	t.Parallel()
	s := startServer(t, terms, "TERMS_OLD="+termsOld, "TERMS_NEW="+termsNew)
	webhooks := func(code int, stdin string, args ...string) string {
		t.Helper()
		r := s.cliWith(stdin, append([]string{"webhooks"}, args...)...)
		if r.code != code {
			t.Fatalf("%q: exit code %d, want %d\n%s%s", args, r.code, code, r.stdout, r.stderr)
		}
		return r.stdout
	}
	config := []string{"--config", s.file()}
	sign := func(args ...string) string {
		t.Helper()
		return webhooks(0, termsBody, append(args, "--url", "http://127.0.0.1/acme")...)
	}
	for _, name := range []string{"acme", "hmac", s.addr + "/acme"} {
		headers := sign("sign", name, config[0], config[1])
		shows(t, webhooks(0, wire(headers, termsBody), "verify", name, config[0], config[1]), "acme", "1 of 2")
		webhooks(1, wire(headers, termsBody+" "), "verify", name, config[0], config[1])
	}

	for path, sh := range map[string]string{
		"/acme":      webhooks(0, termsBody, "sign", "acme", config[0], config[1], "--curl", s.url("/acme")),
		"/shop/*":    webhooks(0, termsBody, "sign", s.addr+"/shop/*", config[0], config[1], "--curl", s.url("/shop/a")),
		"public_url": webhooks(0, termsBody, "sign", "square", config[0], config[1], "--curl", s.url("/calls?a=%64%2Fb")),
	} {
		sent, err := exec.CommandContext(t.Context(), "sh", "-c", sh).Output()
		if err != nil || !strings.HasPrefix(string(sent), "taken") {
			t.Errorf("%s: %s answered %q: %v", path, sh, sent, err)
		}
	}

	// Secrets that are given take precedence over those in the configuration.
	headers := sign("sign", "acme", config[0], config[1], "--secret", "x", "--timestamp", "30m")
	webhooks(1, wire(headers, termsBody), "verify", "acme", config[0], config[1])
	webhooks(0, wire(headers, termsBody), "verify", "acme", config[0], config[1], "--secret", "x")
	webhooks(1, wire(headers, termsBody), "verify", "acme", config[0], config[1], "--secret", "x", "--tolerance", "1m")
}

// TestChoosingAScheme checks that the error lists the schemes, and contains no secret.
func TestChoosingAScheme(t *testing.T) {
	t.Parallel()
	s := newServer(t, terms+"https.example.com {\n\twebhook_verify github "+termsOther+"\n}\n", "TERMS_OLD="+termsOld)
	_, port, _ := strings.Cut(s.addr, ":")
	other := "other.example.com:" + port
	all := []string{s.addr + "/acme (acme)", s.addr + "/shop/* (github)", s.addr + "/calls (square)", other + " (github)", other + "#2 (github)", "https.example.com (github)"}
	none, one := s.dir+"/none.json", s.dir+"/one.json"
	for file, handlers := range map[string]string{none: "", one: `{"handler":"webhook_verify","provider":"github","secrets":["` + termsShop + `"]}`} {
		text := fmt.Sprintf(`{"apps":{"http":{"servers":{"s":{"listen":[":1"],"routes":[{"handle":[%s]}]}}}}}`, handlers)
		must.Do(t, os.WriteFile(file, []byte(text), 0o600))
	}
	for name, c := range map[string]struct {
		args  []string
		code  int
		words []string
	}{
		"none is named":          {[]string{"--config", s.file()}, 2, all},
		"one that isn't there":   {[]string{"stripe", "--config", s.file()}, 2, append(all, `"stripe"`)},
		"one of several":         {[]string{"github", "--config", s.file()}, 2, all[3:]},
		"no webhook_verify":      {[]string{"--config", none}, 2, []string{"no webhook_verify"}},
		"no such file":           {[]string{"--config", "nothing.json"}, 1, []string{"nothing.json"}},
		"a secret that is unset": {[]string{"acme", "--config", s.file()}, 1, []string{s.addr + "/acme", "secret 2", "TERMS_NEW", "not set"}},
		"a scheme file as well":  {[]string{"acme", "--config", s.file(), "--scheme-file", "s"}, 2, []string{"--scheme-file"}},
		"all by standard input":  {[]string{"--config", "-", "--secret", "-"}, 2, []string{"the configuration and the secret can't both come from standard input"}},
		"an adapter alone":       {[]string{"acme", "--adapter", "caddyfile"}, 2, []string{"--config"}},
		"nothing":                {nil, 2, []string{"caddy webhooks providers", "--config"}},
	} {
		for _, command := range []string{"sign", "verify"} {
			r := s.cliWith(termsBody, append([]string{"webhooks", command}, c.args...)...)
			if r.code != c.code || r.stdout != "" {
				t.Errorf("%s: %s: exit code %d, want %d; standard output %q", name, command, r.code, c.code, r.stdout)
			}
			shows(t, r.stderr, c.words...)
			for _, secret := range []string{termsOld, termsShop, termsOther, termsCalls} {
				if strings.Contains(r.stderr, secret) {
					t.Errorf("%s: %s: the secret is in %q", name, command, r.stderr)
				}
			}
		}
	}
	by := func(args ...string) string {
		r := s.cliWith(termsBody, append([]string{"webhooks", "sign"}, args...)...)
		if r.code != 0 || r.stderr != "" {
			t.Errorf("%q: exit code %d, stderr %q", args, r.code, r.stderr)
		}
		return r.stdout
	}
	want := http.CanonicalHeaderKey("X-Hub-Signature-256") + ": sha256="
	shows(t, by("--config", one), want+hexSHA256(termsShop, termsBody))
	shows(t, by("--config", s.file(), other), want+hexSHA256(termsOther, termsBody))
	shows(t, by("--config", s.file(), "--adapter", "caddyfile", other+"#2"), want+hexSHA256(termsOther+"2", termsBody))
}

// TestNamedSchemesOfACaddyfile checks that a name means the route that uses the scheme or, if
// there is none, the scheme, with a secret that is given.
func TestNamedSchemesOfACaddyfile(t *testing.T) {
	t.Parallel()
	s := newServer(t, `{`+head+`
	webhooks {
		scheme acme {
			signature header X-Acme-Signature
		}
		scheme outward acme {
			signature header X-Outward-Signature
		}
	}
}
http://:{$PORT} {
	webhook_verify acme `+termsShop+`
}
`)
	sign := func(args ...string) result {
		return s.cliWith(termsBody, append([]string{"webhooks", "sign", "--config", s.file()}, args...)...)
	}
	shows(t, sign().stdout, "X-Acme-Signature: "+hexSHA256(termsShop, termsBody))
	shows(t, sign("acme").stdout, "X-Acme-Signature: "+hexSHA256(termsShop, termsBody))
	shows(t, sign("acme", "--secret", "x").stdout, "X-Acme-Signature: "+hexSHA256("x", termsBody))
	shows(t, sign("outward", "--secret", "x").stdout, "X-Outward-Signature: "+hexSHA256("x", termsBody))
	shows(t, sign("outward").stderr, "a secret is missing")
	request := wire("X-Outward-Signature: "+hexSHA256("x", termsBody)+"\n", termsBody)
	for secret, code := range map[string]int{"x": 0, "y": 1} {
		if r := s.cliWith(request, "webhooks", "verify", "outward", "--config", s.file(), "--secret", secret); r.code != code {
			t.Errorf("exit code %d, want %d: %s%s", r.code, code, r.stdout, r.stderr)
		}
	}
}
