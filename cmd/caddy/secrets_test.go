package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestSecrets uses all features of a server, with the debug log, and then looks for secrets
// in everything that somebody may read.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const (
		credential = "Bearer crm-credential-6e1f"             // a subscription's header
		sensitive  = "payload-4111-1111-1111-1111"            // in payloads
		path       = "path-token-a7c3"                        // in a subscription's URL
		answered   = "answer-of-a-receiver-0c4b"              // in a receiver's answer
		appSecret  = "whsec_YXBwLXNlY3JldC1vZi10aGUtYXBwISE=" // in the Caddyfile, by {env.*}
	)
	const (
		clientSecret = "client-secret-51f0" // by which the server asks for tokens
		accessToken  = "access-token-c02d"  // what it gets
	)
	collected, r, login := newTraces(t), newReceiver(t), newReceiver(t)
	caddyfile := `{` + head + `
	debug
	metrics
	webhooks {
		store sqlite {$DB}
		retry 50ms
		egress {
			allow 127.0.0.1
		}
		subscription app {
			url http://{$RECEIVER}/app
			event_types *
			secret {env.APP_SECRET}
			header Authorization {env.CREDENTIAL}
		}
		subscription gateway {
			url http://{$RECEIVER}/gateway
			event_types gateway.*
			oauth2 http://{$LOGIN}/token {
				client_id webhooks
				client_secret {env.CLIENT_SECRET}
			}
		}
	}
}

http://:{$PORT} {
	log
	tracing
	handle /github {
		webhook_verify github {env.GITHUB_WEBHOOK_SECRET} {env.GITHUB_OLD_SECRET}
		webhook_publish github.{http.webhook.event_type}
	}
	handle /stripe {
		webhook_verify stripe {env.STRIPE_SECRET}
		reverse_proxy {$RECEIVER}
	}
	handle_path /webhooks/* {
		webhook_api {
			token {env.PUBLISH_TOKEN} publish
			token {env.READ_TOKEN} read
			token {env.MANAGE_TOKEN} manage
		}
	}
	handle_errors {
		respond "{http.error.message} {http.webhook.error}"
	}
}
`
	s := startServer(t, caddyfile, append(collected.env(),
		"RECEIVER="+r.addr, "APP_SECRET="+appSecret, "CREDENTIAL="+credential, "LOGIN="+login.addr, "CLIENT_SECRET="+clientSecret,
		"GITHUB_WEBHOOK_SECRET="+githubSecret, "GITHUB_OLD_SECRET=github-old-secret-9d2e", "STRIPE_SECRET="+stripeSecret)...)
	var told strings.Builder // what was shown to somebody who asked

	sub, created := s.subscribe(object{"url": r.url("/" + path), "event_types": []string{"order.*"}, "headers": object{"Authorization": credential}})
	given := whsec("given-by-the-user")
	s.subscribe(object{"url": r.url("/given"), "event_types": []string{"*"}, "secret": given})
	rotated := s.manager().do("POST", "/subscriptions/"+sub+"/rotate-secret", nil).want(http.StatusOK).object().text("secret")

	login.answer(func(w http.ResponseWriter, asked *request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":"invalid_client","error_description":"%s %s"}`, asked.header, clientSecret)
	})
	s.settled(s.publish(event{Type: "gateway.shut"}), "sub_gateway", "dead")
	login.answer(func(w http.ResponseWriter, _ *request) {
		fmt.Fprintf(w, `{"access_token":"%s","token_type":"Bearer"}`, accessToken)
	})
	s.settled(s.publish(event{Type: "gateway.open"}), "sub_gateway", "delivered")
	for _, arrived := range r.all() {
		if got := arrived.header.Get("Authorization"); arrived.path == "/gateway" && got != "Bearer "+accessToken {
			t.Errorf("it arrived with %q", got)
		}
	}

	payload := json.RawMessage(`{"card":"` + sensitive + `"}`)
	id := s.publish(event{Type: "order.created", Payload: payload})
	r.waitID(id)
	s.settled(id, sub, "delivered")
	r.answer(func(w http.ResponseWriter, _ *request) {
		w.WriteHeader(http.StatusBadGateway)
		w.Write([]byte(answered))
	})
	dead := s.settled(s.publish(event{Type: "order.failed", Payload: payload}), sub, "dead")
	r.down()
	s.settled(s.publish(event{Type: "order.failed", Payload: payload}), sub, "dead")
	r.up()
	r.answer(nil)
	told.Write(s.publisher().do("POST", "/events", `{"event_type":"a","payload":{"card":"`+sensitive).body)
	client{s, "wrong"}.do("GET", "/events", nil).want(http.StatusUnauthorized)
	s.publisher().do("GET", "/events", nil).want(http.StatusForbidden)
	s.manager().do("POST", "/subscriptions/"+sub+"/test", nil).want(http.StatusAccepted)
	s.manager().do("POST", "/deliveries/"+dead.text("delivery_id")+"/redeliver", nil).want(http.StatusAccepted)

	body := []byte(`{"card":"` + sensitive + `"}`)
	s.post("/github", body, githubHeaders(githubSecret, "1", "push", body)).want(http.StatusAccepted)
	s.post("/github", body, githubHeaders("github-old-secret-9d2e", "1", "push", body)).want(http.StatusAccepted)
	s.post("/stripe", body, stripeHeaders(stripeSecret, time.Now(), body)).want(http.StatusOK)
	told.Write(s.post("/stripe", body, stripeHeaders("wrong", time.Now(), body)).want(http.StatusUnauthorized).body)
	told.Write(s.post("/github", body, githubHeaders("wrong", "1", "push", body)).want(http.StatusUnauthorized).body)

	told.WriteString(s.load(strings.Replace(caddyfile, "retry 50ms", "retry 50ms 1s\n\t\tsubscription bad {\n\t\t\turl http://10.0.0.1/\n\t\t\tevent_types *\n\t\t\tsecret {env.APP_SECRET}\n\t\t}", 1)))
	s.reload(strings.Replace(caddyfile, "retry 50ms", "retry 50ms 60ms", 1))

	for _, path := range []string{
		"/events", "/events/" + id, "/subscriptions", "/subscriptions/" + sub, "/deliveries", "/deliveries/" + dead.text("delivery_id"),
		"/deliveries/" + dead.text("delivery_id") + "/attempts", "/dead-letters", "/event-types", "/status", "/openapi.json",
	} {
		told.Write(s.reader().do("GET", path, nil).want(http.StatusOK).body)
	}
	listed := string(s.manager().do("GET", "/subscriptions", nil).want(http.StatusOK).body) +
		string(s.manager().do("GET", "/subscriptions/"+sub, nil).want(http.StatusOK).body) +
		s.adminGet("/webhooks/subscriptions")
	for _, args := range [][]string{
		{"events", "list"}, {"subscriptions", "list"}, {"subscriptions", "show", sub}, {"deliveries", "list"},
		{"deliveries", "show", dead.text("delivery_id")}, {"dead-letters", "list"}, {"status"},
	} {
		listed += s.webhooks(args...) + s.webhooks(append(args, "--json")...)
	}
	config := s.adminGet("/config/") + s.cli("adapt", "--config", s.file()).stdout + s.autosaved()
	metrics := s.adminGet("/metrics")
	if !strings.Contains(metrics, "caddy_webhooks_") {
		t.Error("there are no metrics of ours")
	}
	s.stop()

	signing := []string{created, rotated, given, appSecret}
	inbound := []string{githubSecret, "github-old-secret-9d2e", stripeSecret}
	tokens := []string{publishToken, readToken, manageToken, clientSecret, base64.StdEncoding.EncodeToString([]byte("webhooks:" + clientSecret)), accessToken}
	secrets := join(signing, bare(signing), inbound, tokens)
	for place, c := range map[string]struct {
		text  string
		never []string
	}{
		"the log":                      {s.log(), join(secrets, []string{credential, sensitive, path, answered})},
		"the spans":                    {collected.sent(), join(secrets, []string{credential, sensitive, path, answered})},
		"the metrics":                  {metrics, join(secrets, []string{credential, sensitive, path, answered, sub, "order.created"})},
		"what readers are shown":       {told.String(), join(secrets, []string{credential})},
		"what managers are shown":      {listed, secrets},
		"the config as it is shown":    {config, join(secrets, []string{credential})},
		"the views of the store":       {views(t, s.db), secrets},
		"the names of what was stored": {names(t, s.dir), secrets},
	} {
		for _, secret := range c.never {
			if i := strings.Index(c.text, secret); i >= 0 {
				t.Errorf("%s: there is %q, in …%q…", place, secret, c.text[max(0, i-200):min(len(c.text), i+200)])
			}
		}
	}
}

// TestTokenIsFilteredFromLogs has an app fail a request with a token in a header. Caddy's
// default log shows the request, so the filter of the site's access log isn't enough.
func TestTokenIsFilteredFromLogs(t *testing.T) {
	t.Parallel()
	const (
		token  = "acme-token-41c9d0"
		filter = `
	log {
		format filter {
			request>headers>X-Acme-Token delete
		}
	}
`
	)
	s := startServer(t, `{`+head+filter+`}

http://:{$PORT} {`+filter+`
	webhook_verify hmac {
		secret {env.ACME_TOKEN}
		construction token
		signature header X-Acme-Token
		unbound_body allow
	}
	reverse_proxy 127.0.0.1:1
}
`, "ACME_TOKEN="+token)
	s.post("/acme", nil, http.Header{"X-Acme-Token": {token}}).want(http.StatusBadGateway)
	s.stop()
	if log := s.log(); strings.Count(log, `"uri":"/acme"`) != 2 || strings.Contains(log, token) {
		t.Errorf("want the request in both logs, and no token:\n%s", log)
	}
}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// bare returns the secrets without their prefixes.
func bare(secrets []string) []string {
	var out []string
	for _, s := range secrets {
		out = append(out, strings.TrimPrefix(s, "whsec_"))
	}
	return out
}

// autosaved returns the config that Caddy saves for the next start.
func (s *server) autosaved() string {
	s.t.Helper()
	text := must.Get(os.ReadFile(filepath.Join(s.dir, "config", "caddy", "autosave.json")))(s.t)
	return string(text)
}

// views returns what the views of the store show.
func views(t *testing.T, file string) string {
	t.Helper()
	c := must.Get(sqlite.OpenConn(file, sqlite.OpenReadOnly))(t)
	defer c.Close()
	var out strings.Builder
	for _, view := range []string{"events", "subscriptions", "deliveries", "attempts", "dead_letters"} {
		rows := 0
		err := sqlitex.ExecuteTransient(c, "SELECT * FROM "+view, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
			rows++
			for i := range row.ColumnCount() {
				out.WriteString(row.ColumnText(i) + "|")
			}
			return nil
		}})
		if err != nil {
			t.Fatalf("reading the view %s: %v", view, err)
		}
		if rows == 0 {
			t.Errorf("the view %s is empty", view)
		}
	}
	return out.String()
}

// names returns the names of all files in a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		out.WriteString(path + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}
