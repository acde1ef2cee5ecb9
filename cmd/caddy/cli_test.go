package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestCommands controls a running server with an operator's commands.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	r.answerStatus(http.StatusInternalServerError)

	made := decode(t, []byte(s.webhooks("subscriptions", "create", "--url", r.url("/"), "--event-types", "order.*", "--json")))
	sub, secret := made.text("subscription_id"), made.text("secret")
	if !strings.HasPrefix(sub, "sub_") || !strings.HasPrefix(secret, "whsec_") {
		t.Fatalf("subscriptions create printed %v", made)
	}
	shows(t, s.webhooks("subscriptions", "list"), sub, r.url("/"), "order.*", "active")
	shows(t, s.webhooks("subscriptions", "show", sub), sub, r.url("/"))

	published := s.webhooks("events", "publish", "order.created", "--payload", `{"order": 7}`, "--event-id", "order-7")
	shows(t, published, "order-7", "1 subscription")
	shows(t, s.webhooks("events", "publish", "order.created", "--payload", `{"order": 7}`, "--event-id", "order-7"), "before")
	dead := s.settled("order-7", sub, "dead").text("delivery_id")
	for _, d := range r.all() {
		d.signed(t, secret)
		if string(d.body) != `{"order": 7}` {
			t.Errorf("what was published by the command arrived as %q", d.body)
		}
	}
	shows(t, s.webhooks("events", "list"), "order-7", "order.created")
	shows(t, s.webhooks("events", "show", "order-7"), "order-7", dead, "dead")
	shows(t, s.webhooks("deliveries", "list", "--state", "dead"), dead, "dead", "order-7", "500")
	shows(t, s.webhooks("deliveries", "show", dead), dead, r.url("/"), "500")
	shows(t, s.webhooks("dead-letters", "list"), dead, r.url("/"), "order.created", "500")
	shows(t, s.webhooks("dead-letters", "show", dead), dead, "order", "500")
	shows(t, s.webhooks("status"), sub)

	if r := s.cli("webhooks", "status", "--config", s.file(), "--adapter", "caddyfile"); r.code != 0 || r.stderr != "" {
		t.Errorf("by its configuration: exit code %d, stderr %q", r.code, r.stderr)
	}
	for _, args := range [][]string{
		{"events", "list"}, {"subscriptions", "list"}, {"deliveries", "list"}, {"dead-letters", "list"},
	} {
		o := decode(t, []byte(s.webhooks(append(args, "--json")...)))
		if n := len(o.list("data")); n != 1 {
			t.Errorf("%v --json has %d rows, want 1", args, n)
		}
		if _, ok := o["next_cursor"]; !ok {
			t.Errorf("%v --json has no next_cursor", args)
		}
	}
	if o := decode(t, []byte(s.webhooks("status", "--json"))); o.num("dead_letters") != 1 {
		t.Errorf("status --json is %v", o)
	}
	if d := decode(t, []byte(s.webhooks("dead-letters", "export"))); d.text("delivery_id") != dead || d.object("payload").num("order") != 7 {
		t.Errorf("dead-letters export printed %v", d)
	}

	r.answer(nil)
	s.webhooks("dead-letters", "redeliver", dead)
	s.settled("order-7", sub, "delivered")
	if o := decode(t, []byte(s.webhooks("dead-letters", "list", "--json"))); len(o.list("data")) != 0 {
		t.Errorf("after the redelivery, dead-letters list --json printed %v", o)
	}
	r.forget()
	s.webhooks("deliveries", "redeliver", dead)
	r.waitID("order-7")

	rotated := decode(t, []byte(s.webhooks("subscriptions", "rotate-secret", sub, "--json")))
	r.forget()
	s.webhooks("subscriptions", "test", sub)
	test := r.wait(1)[0]
	test.signed(t, rotated.text("secret"), secret)
	if o := decode(t, test.body); o.text("type") != "webhook.test" {
		t.Errorf("the test event is %s", test.body)
	}

	shows(t, s.webhooks("subscriptions", "deactivate", sub), sub)
	shows(t, s.webhooks("subscriptions", "show", sub), "inactive", "deactivated by hand")
	shows(t, s.webhooks("subscriptions", "activate", sub), sub)
	shows(t, s.webhooks("subscriptions", "delete", sub), sub)
	if o := decode(t, []byte(s.webhooks("subscriptions", "list", "--json"))); len(o.list("data")) != 0 {
		t.Errorf("after the delete, subscriptions list --json printed %v", o)
	}
}

// shows fails the test unless the output of a command contains all words.
func shows(t *testing.T, printed string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(printed, w) {
			t.Errorf("%q is not in:\n%s", w, printed)
		}
	}
}

// TestCommandErrors checks that errors say what to do, and set the exit status.
func TestCommandErrors(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	for name, c := range map[string]struct {
		args  []string
		code  int
		words []string
	}{
		"an unknown id":        {[]string{"deliveries", "show", "dlv_0199d3c2a4e00001"}, 1, []string{"dlv_0199d3c2a4e00001", "deliveries list"}},
		"an unknown command":   {[]string{"deliverie", "list"}, 2, []string{"deliverie", "did you mean deliveries"}},
		"an unknown verb":      {[]string{"deliveries", "lst"}, 2, []string{"lst", "list"}},
		"an unknown flag":      {[]string{"deliveries", "list", "--nope"}, 2, []string{"nope", "--help"}},
		"an argument too few":  {[]string{"deliveries", "show"}, 2, []string{"missing"}},
		"a payload no JSON":    {[]string{"events", "publish", "a.b", "--payload", "{"}, 1, []string{"JSON"}},
		"a wrong event type":   {[]string{"events", "publish", "a b", "--payload", "{}"}, 1, []string{"event_type", "order.created"}},
		"a denied address":     {[]string{"subscriptions", "create", "--url", "http://10.0.0.1/", "--event-types", "*"}, 1, []string{"url", "egress"}},
		"redeliver everything": {[]string{"dead-letters", "redeliver"}, 2, []string{"--all"}},
	} {
		args := c.args
		if c.code != 2 {
			args = append(args, "--address", s.admin)
		}
		r := s.cli(append([]string{"webhooks"}, args...)...)
		if r.code != c.code || r.stdout != "" {
			t.Errorf("%s: exit code %d, want %d; standard output %q", name, r.code, c.code, r.stdout)
		}
		shows(t, r.stderr, c.words...)
		r = s.cli(append([]string{"webhooks", "--json"}, args...)...)
		var o map[string]any
		if err := json.Unmarshal([]byte(r.stderr), &o); err != nil || o["title"] == nil {
			t.Errorf("%s: with --json the error is %q", name, r.stderr)
		}
	}
	s.stop()
	r := s.cli("webhooks", "status", "--address", s.admin)
	if r.code != 1 {
		t.Errorf("without a server: exit code %d", r.code)
	}
	shows(t, r.stderr, "admin.sock", "Caddy is running")
}

// TestCommandsByToken controls a server like from another machine: over TLS, with a token,
// and without the admin endpoint.
func TestCommandsByToken(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	site := freeport.Address()
	s := startServer(t, strings.Replace(withOptions(local), "{", "{\n\tskip_install_trust\n\tauto_https disable_redirects", 1)+`
https://`+site+` {
	tls internal
	handle_path /api/* {
		webhook_api {
			token {env.PUBLISH_TOKEN} publish
			token {env.MANAGE_TOKEN} manage
		}
	}
	redir /moved/* `+r.url("/")+` 308
}
`)
	by := func(token string, args ...string) result {
		t.Helper()
		s.env = append(s.env, "WEBHOOKS_TOKEN="+token)
		return s.cli(append([]string{"webhooks"}, args...)...)
	}
	api := "https://" + site + "/api"
	s.env = append(s.env, "WEBHOOKS_API="+api)
	unknown := by(publishToken, "events", "publish", "order.created", "--payload", "{}")
	if unknown.code != 1 || strings.Contains(unknown.stderr, "may have been stored") {
		t.Errorf("of a server that it can't trust: exit code %d, %q", unknown.code, unknown.stderr)
	}
	shows(t, unknown.stderr, "certificate")

	s.env = append(s.env, "SSL_CERT_FILE="+filepath.Join(s.dir, "data/caddy/pki/authorities/local/root.crt"))
	made := by(manageToken, "subscriptions", "create", "--url", r.url("/"), "--event-types", "order.*", "--json")
	sub := decode(t, []byte(made.stdout)).text("subscription_id")
	tail := s.command(t.Context(), "webhooks", "tail", "--json")
	lines := must.Get(tail.StdoutPipe())(t)
	must.Do(t, tail.Start())
	t.Cleanup(func() {
		tail.Process.Kill()
		_ = tail.Wait()
	})
	shown := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(lines).ReadString('\n')
		shown <- line
	}()
	must.Eventually(t, "an attempt that tail shows", func() bool {
		if p := by(publishToken, "events", "publish", "order.created", "--payload", "{}", "-H", "X-Env: test"); p.code != 0 {
			t.Fatalf("exit code %d, %q", p.code, p.stderr)
		}
		select {
		case line := <-shown:
			shows(t, line, sub, "delivered")
			return true
		default:
			return false
		}
	})
	if got := r.all()[0].header.Get("X-Env"); got != "test" {
		t.Errorf("X-Env is %q", got)
	}

	for _, c := range []struct {
		token, api string
		words      []string
	}{
		{publishToken, api, []string{"has the scope publish", "needs read or manage", "WEBHOOKS_TOKEN"}},
		{"wrong-token", api, []string{"doesn't know this token", "WEBHOOKS_TOKEN"}},
		{"", api, []string{"a token is needed", "WEBHOOKS_TOKEN"}},
		{manageToken, "https://" + site, []string{"200 OK", "is not a webhook_api"}},
		{manageToken, "https://" + site + "/moved", []string{"redirects to " + r.url("/")}},
	} {
		got := by(c.token, "status", "--api", c.api)
		if got.code != 1 || got.stdout != "" {
			t.Errorf("%s by %q: exit code %d, %q", c.api, c.token, got.code, got.stdout)
		}
		shows(t, got.stderr, c.words...)
		if c.token != "" && strings.Contains(got.stderr, c.token) {
			t.Errorf("the token is in %q", got.stderr)
		}
	}
	for _, d := range r.all() {
		if d.header.Get("Authorization") != "" {
			t.Error("the token was sent elsewhere")
		}
	}
}

// TestStoreCommands maintains the store's file, with and without a running server.
func TestStoreCommands(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	s.webhooks("events", "publish", "order.created", "--payload", "{}", "--event-id", "order-1")
	path := decode(t, []byte(s.webhooks("status", "--json"))).object("store").text("path")
	shows(t, s.webhooks("store", "check"), path+" is sound: 1 event was read.")
	copied := filepath.Join(t.TempDir(), "backup.db")
	shows(t, s.webhooks("store", "backup", copied), "Copied to "+copied)
	s.webhooks("events", "publish", "order.created", "--payload", "{}", "--event-id", "order-2")

	r := s.cli("webhooks", "store", "compact", "--address", s.admin)
	if r.code != 1 {
		t.Errorf("compacting beside the server: exit code %d: %s", r.code, r.stdout)
	}
	shows(t, r.stderr, "in use", "stop it")
	r = s.cli("webhooks", "store", "backup", copied, "--address", s.admin)
	if r.code != 1 {
		t.Errorf("a backup over another: exit code %d", r.code)
	}
	shows(t, r.stderr, "file exists")

	s.stop()
	r = s.cli("webhooks", "store", "check", "--address", s.admin)
	if r.code != 1 {
		t.Errorf("without a server: exit code %d", r.code)
	}
	shows(t, r.stderr, "give the store's file with --store", "Caddy runs")
	for _, file := range []struct {
		path   string
		events float64
	}{{path, 2}, {copied, 1}} {
		o := decode(t, []byte(s.cli("webhooks", "store", "check", "--json", "--store", file.path).stdout))
		if o["sound"] != true || o.num("events") != file.events {
			t.Errorf("%s: %v", file.path, o)
		}
	}
	shows(t, s.cli("webhooks", "store", "compact", "--store", path).stdout, "Compacted", path)

	b := must.Get(os.ReadFile(copied))(t)
	must.Do(t, os.WriteFile(copied, b[:len(b)-4096], 0o600))
	if r = s.cli("webhooks", "store", "check", "--store", copied); r.code != 1 {
		t.Errorf("a file that was cut: exit code %d", r.code)
	}
	shows(t, r.stdout, copied+" is damaged", "or is restarted")
	for _, verb := range [][]string{{"compact"}, {"backup", copied + ".again"}} {
		r = s.cli(append([]string{"webhooks", "store", "--store", copied}, verb...)...)
		if r.code != 1 {
			t.Errorf("%s of a file that was cut: exit code %d", verb[0], r.code)
		}
		shows(t, r.stderr, "the store is damaged", "store check")
	}

	must.Do(t, os.WriteFile(path, b[:len(b)-4096], 0o600))
	s.start()
	lost := path + ".damaged-"
	shows(t, s.webhooks("status"), "Damaged:", lost, "was set aside", "Lost:")
	shows(t, s.webhooks("store", "check"), path+" is sound", "Damaged:", lost, "was set aside", "Lost:")
	o := decode(t, []byte(s.webhooks("store", "check", "--json")))
	if aside := o.list("set_aside"); len(aside) != 1 || !strings.HasPrefix(aside[0].text("path"), lost) {
		t.Errorf("got %v that were set aside", aside)
	}
}

// TestOfflineCommands runs commands without a server: what one signs, the other verifies,
// and so does this package's own implementation.
func TestOfflineCommands(t *testing.T) {
	t.Parallel()
	s := newServer(t, withOptions(local))
	shows(t, s.cli("webhooks", "providers").stdout, "github", "stripe", "slack", "standard-webhooks", "zoom", "shopify", "linear", "paddle", "svix", "gitlab")

	const body = `{"ref":"refs/heads/main"}`
	signed := s.cliWith(body, "webhooks", "sign", "github", "--secret", githubSecret)
	if signed.code != 0 {
		t.Fatalf("sign: exit code %d: %s", signed.code, signed.stderr)
	}
	header := strings.TrimSpace(signed.stdout)
	shows(t, header, "X-Hub-Signature-256: sha256="+hexSHA256(githubSecret, body))

	captured := "POST /github HTTP/1.1\r\nHost: hooks.example.com\r\nX-Hub-Signature-256: sha256=" +
		hexSHA256(githubSecret, body) + "\r\nX-GitHub-Event: push\r\n\r\n" + body
	valid := s.cliWith(captured, "webhooks", "verify", "github", "--secret", githubSecret)
	if valid.code != 0 {
		t.Errorf("verify: exit code %d: %s%s", valid.code, valid.stdout, valid.stderr)
	}
	shows(t, valid.stdout, "valid", "push")
	forged := s.cliWith(strings.Replace(captured, "main", "mail", 1), "webhooks", "verify", "github", "--secret", githubSecret)
	if forged.code != 1 {
		t.Errorf("verify of a forged request: exit code %d", forged.code)
	}
	shows(t, forged.stdout, "bad_signature")
}
