package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func TestSubscriptionsLife(t *testing.T) {
	s := start(t)
	created := s.run("", "subscriptions", "create", "--url", s.receiver.URL+"/hooks", "--event-types", "order.*,customer.created",
		"--event-types", "webhook.*", "--description", "the CRM", "-H", "X-Env: production", "-H", "X-Old: 1", "--rate-limit", "50/s", "--tenant", "acme",
		"--retry", "5s,90m", "--attempt-timeout", "30s", "--transform", `{"text": payload.title}`, "--metadata", "customer=42", "--metadata", "plan=gold",
		"--oauth2-token-url", s.receiver.URL+"/token", "--oauth2-client-id", "webhooks", "--oauth2-client-secret-file", file(t, "hunter2\n"), "--oauth2-scope", "a,b", "--handshake", "hooks.example.com").want(t, 0)
	golden(t, "subscriptions-create", steady(created.out))
	id, secret := field(t, created.out, "Subscription"), field(t, created.out, "Secret")

	golden(t, "subscriptions-list", steady(s.run("", "subscriptions", "list").want(t, 0).out))
	golden(t, "subscriptions-show", steady(s.run("", "subscriptions", "show", id).want(t, 0).out))
	s.run("", "subscriptions", "show", id, "--show-secret").want(t, 0).prints(t, secret+"\n")
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"show", id}, {"show", id, "--json"}} {
		if r := s.run("", append([]string{"subscriptions"}, args...)...).want(t, 0); strings.Contains(r.out, "whsec_") {
			t.Errorf("%v shows the secret", args)
		}
	}

	golden(t, "subscriptions-update", steady(s.run("", "subscriptions", "update", id, "--event-types", "*", "--rate-limit", "off",
		"--ordered", "--filter", "payload.total > 100", "-H", "X-New: 2", "--remove-header", "X-Old", "--description", "", "--oauth2-token-url", "off",
		"--retry", "off", "--attempt-timeout=", "--transform=", "--handshake=", "--metadata", "plan=").want(t, 0).out))

	s.run("", "subscriptions", "deactivate", id, "--reason", "moving").want(t, 0).prints(t, id+" deactivated\n")
	if r := s.run("", "subscriptions", "show", id).want(t, 0); field(t, r.out, "State") != "inactive: deactivated by hand: moving" {
		t.Errorf("got stdout %q", r.out)
	}
	s.run("", "subscriptions", "activate", id).want(t, 0)
	tested := s.run("", "subscriptions", "test", id).want(t, 0)
	if delivery := s.attempted(); !strings.HasPrefix(tested.out, delivery+" queued") {
		t.Errorf("got stdout %q, and %s delivered", tested.out, delivery)
	}
	s.run("", "subscriptions", "test", id, "--event-type", "order.created", "--payload", `{"order":  7}`).want(t, 0)
	if r := s.run("", "deliveries", "show", s.attempted()).want(t, 0); field(t, r.out, "Event type") != "order.created" {
		t.Errorf("got stdout %q", r.out)
	}
	s.run("", "subscriptions", "test", id, "--event-type=").want(t, 2)

	golden(t, "subscriptions-preview", steady(s.run("", "subscriptions", "preview", id, "--event-type", "order.created",
		"--payload", `{"total":  101}`, "-H", "X-Shop: a").want(t, 0).out))
	golden(t, "subscriptions-preview-left-out", steady(s.run("", "subscriptions", "preview", id, "--event-type", "order.created", "--payload", `{"total": 100}`).want(t, 0).out))
	s.run("", "subscriptions", "preview", id, "--event-type", "order.created").want(t, 1) // there is no example

	other := s.subscribe("other")
	s.run("", "subscriptions", "activate", id, "sub_none", other).want(t, 1).prints(t, id+" activated\n"+other+" activated\n").says(t, "1 of 3 were not activated")
	s.run("", "subscriptions", "delete", id, other).want(t, 0).prints(t, id+" deleted\n"+other+" deleted\n")
	s.run("", "subscriptions", "delete", id, "--json").want(t, 1).says(t, `"code": "not_found"`)
}

// With --id, creating a subscription again prints the one that exists, and differences
// are an error.
func TestCreateSubscriptionAgain(t *testing.T) {
	s := start(t)
	create := func(id string, flags ...string) result {
		return s.run("", append([]string{"subscriptions", "create", "--id", id, "--url", s.receiver.URL, "--event-types", "a"}, flags...)...)
	}
	first := create("sub_crm").want(t, 0)
	if first.err != "" || field(t, first.out, "Subscription") != "sub_crm" {
		t.Errorf("got stdout %q, stderr %q", first.out, first.err)
	}
	create("sub_crm").want(t, 0).prints(t, first.out).says(t, "It was created before, and is active")
	create("sub_crm", "--ordered").want(t, 1).says(t, "differs in ordered")
	create("sub_crm", "--tenant", "acme").want(t, 1).says(t, `as in "sub_acme.crm"`)
	create("sub_acme.crm", "--tenant", "acme").want(t, 0)
	s.run("", "subscriptions", "show", "sub_acme.crm").want(t, 0)
	create("").want(t, 2).says(t, "--id is empty")
}

func TestRotateSecret(t *testing.T) {
	s := start(t)
	id := s.subscribe("*")
	old := strings.TrimSpace(s.run("", "subscriptions", "show", id, "--show-secret").want(t, 0).out)
	rotated := s.run("", "subscriptions", "rotate-secret", id).want(t, 0)
	if field(t, rotated.out, "Previous secret expires") != "2026-02-01 15:04:05 (in 24h)" {
		t.Errorf("got stdout %q", rotated.out)
	}
	fresh := field(t, rotated.out, "Secret")
	s.publish("a", `{"a":1}`)
	request, body := <-s.received, <-s.bodies
	for name, secret := range map[string]string{"old": old, "new": fresh} {
		row, _ := verify.Lookup("standard-webhooks")
		v := must.Get(verify.New(row, verify.Options{Secrets: []string{secret}, Now: func() time.Time { return now }}))(t)
		if _, err := v.Verify(request, []byte(body)); err != nil {
			t.Errorf("with the %s secret: got %v", name, err)
		}
	}
	given := file(t, secretOf(t, "standard-webhooks")+"\n")
	s.run("", "subscriptions", "rotate-secret", id, "--secret-file", given).want(t, 0)
	s.run("", "subscriptions", "rotate-secret", id, "--secret-file", given).want(t, 1).says(t, "already")
}

// If the scheme only has room for one signature, rotating says that the old secret is no
// longer used.
func TestRotateSecretWithOneSignature(t *testing.T) {
	s := start(t)
	created := s.run("", "subscriptions", "create", "--url", s.receiver.URL, "--event-types", "*", "--scheme", "github").want(t, 0)
	rotated := s.run("", "subscriptions", "rotate-secret", field(t, created.out, "Subscription")).want(t, 0)
	if said := field(t, rotated.out, "Previous secret"); said != "no longer used where a scheme only has room for one signature" {
		t.Errorf("got stdout %q", rotated.out)
	}
}

// If the scheme has key pairs, the public key is printed for the receiver.
func TestPublicKey(t *testing.T) {
	s := start(t)
	created := s.run("", "subscriptions", "create", "--url", s.receiver.URL, "--event-types", "*", "--scheme", "standard-webhooks-ed25519").want(t, 0)
	id, first := field(t, created.out, "Subscription"), field(t, created.out, "Public key")
	s.run("", "subscriptions", "show", id, "--show-public-key").want(t, 0).prints(t, first+"\n")
	second := field(t, s.run("", "subscriptions", "rotate-secret", id).want(t, 0).out, "Public key")
	s.publish("a", `{"a":1}`)
	request, body := <-s.received, <-s.bodies
	row, _ := verify.Lookup("standard-webhooks-ed25519")
	for _, key := range []string{first, second} {
		v := must.Get(verify.New(row, verify.Options{Secrets: []string{key}, Now: func() time.Time { return now }}))(t)
		if _, err := v.Verify(request, []byte(body)); err != nil || !strings.HasPrefix(key, "whpk_") {
			t.Errorf("with %s: %v", key, err)
		}
	}
	s.run("", "subscriptions", "show", s.subscribe("*"), "--show-public-key").want(t, 1).says(t, "--show-secret")
}

func TestSubscriptionWithASecretOfItsOwn(t *testing.T) {
	s := start(t)
	secret := "s3cret-of-the-crm-system"
	s.subscribe("*", "--scheme", "github", "--secret-file", file(t, secret+"\n"))
	s.publish("a", "{}")
	request, body := <-s.received, <-s.bodies
	// The verify command accepts what the receiver got.
	raw := new(strings.Builder)
	request.Body = io.NopCloser(strings.NewReader(body))
	request.URL.Host = request.Host
	must.Do(t, request.Write(raw))
	r := run(t, raw.String(), "verify", "github", "--secret", secret).want(t, 0)
	if field(t, r.out, "Event type") != "a" {
		t.Errorf("got stdout %q", r.out)
	}
}

func TestSubscriptionsRefuse(t *testing.T) {
	s := start(t)
	id := s.subscribe("*")
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no URL":                    {[]string{"create", "--event-types", "*"}, 2, "--url and --event-types are required"},
		"no event types":            {[]string{"create", "--url", "https://example.com"}, 2, "--url and --event-types are required"},
		"an address that is denied": {[]string{"create", "--url", "http://10.0.0.1/", "--event-types", "*"}, 1, "url is refused"},
		"a pattern":                 {[]string{"create", "--url", s.receiver.URL, "--event-types", "order*"}, 1, `"order*"`},
		"a scheme":                  {[]string{"create", "--url", s.receiver.URL, "--event-types", "*", "--scheme", "no-such-scheme"}, 1, "caddy webhooks providers"},
		"a filter":                  {[]string{"create", "--url", s.receiver.URL, "--event-types", "*", "--filter", "paylod"}, 1, "undeclared reference to 'paylod'"},
		"a rate":                    {[]string{"create", "--url", s.receiver.URL, "--event-types", "*", "--rate-limit", "fast"}, 1, "rate_limit"},
		"a header for injection":    {[]string{"create", "--url", s.receiver.URL, "--event-types", "*", "-H", "A: b\nC: d"}, 2, "Name: value"},
		"a reserved header":         {[]string{"create", "--url", s.receiver.URL, "--event-types", "*", "-H", "Host: x"}, 1, "headers"},
		"a parameter":               {[]string{"update", id, "--oauth2-param", "audience"}, 2, `write it as name=value, not "audience"`},
		"no client":                 {[]string{"update", id, "--oauth2-token-url", "https://login.example.com", "--oauth2-client-id", "x"}, 1, "oauth2.client_secret is missing"},
		"two secrets":               {[]string{"create", "--url", s.receiver.URL, "--event-types", "*", "--secret", "a", "--secret", "b"}, 2, "one secret"},
		"a secret and a key":        {[]string{"show", id, "--show-secret", "--show-public-key"}, 2, "can't be given together"},
		"no change":                 {[]string{"update", id}, 2, "nothing to change"},
		"an unknown id":             {[]string{"update", "sub_0000000000000000", "--ordered"}, 1, "`caddy webhooks subscriptions list --address " + s.address + "`"},
		"an id with a path in it":   {[]string{"show", "../status"}, 1, "subscription"},
		"no id":                     {[]string{"delete"}, 2, "an argument is missing"},
		"an empty id":               {[]string{"delete", id, ""}, 2, "an argument is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.run("", append([]string{"subscriptions"}, c.args...)...)
			if r.code != c.code || !strings.Contains(r.err, c.says) || r.out != "" {
				t.Errorf("got exit code %d, stdout %q, stderr %q", r.code, r.out, r.err)
			}
		})
	}
	if r := s.run("", "subscriptions", "list", "--json").want(t, 0); strings.Count(r.out, "subscription_id") != 1 {
		t.Errorf("a refused subscription was created: %s", r.out)
	}
}

func TestUpdateSendsOnlyWhatIsNamed(t *testing.T) {
	var sent map[string]any
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent = nil
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		answer(200, "application/json", "{}")(w, r)
	})
	secret := file(t, "hunter2\n")
	for flags, want := range map[string]string{
		"--oauth2-token-url=https://a.example --oauth2-client-id=id --oauth2-client-secret-file=" + secret: `{"oauth2":{"client_id":"id","client_secret":"hunter2","token_url":"https://a.example"}}`,
		"--ordered=false":                  `{"ordered":false}`,
		"--rate-limit=off":                 `{"rate_limit":null}`,
		"--retry=5s,5m":                    `{"retry":["5s","5m"]}`,
		"--retry=off":                      `{"retry":[]}`,
		"--retry=":                         `{"retry":null}`,
		"--attempt-timeout=30s":            `{"timeout":"30s"}`,
		"--attempt-timeout=":               `{"timeout":null}`,
		"--metadata=a=b=c --metadata=d=":   `{"metadata":{"a":"b=c","d":null}}`,
		"--remove-header=X-A":              `{"headers":{"X-A":null}}`,
		"--handshake=hooks.example.com":    `{"handshake":"hooks.example.com"}`,
		"--handshake=":                     `{"handshake":""}`,
		"--scheme=":                        `{"scheme":""}`,
		"--scheme=a,b --scheme=c,":         `{"scheme":"a b c"}`,
		"--oauth2-token-url=off":           `{"oauth2":null}`,
		"--oauth2-scope=a --oauth2-scope=": `{"oauth2":{"scopes":["a"]}}`,
		"--oauth2-scope=":                  `{"oauth2":{"scopes":[]}}`,
		"--oauth2-param=a=b=c --oauth2-param=d= --oauth2-auth-style=body": `{"oauth2":{"auth_style":"body","params":{"a":"b=c","d":null}}}`,
		"--event-types=a,b.* --url=http:x":                                `{"event_types":["a","b.*"],"url":"http:x"}`,
	} {
		run(t, "", append([]string{"subscriptions", "update", "sub_1", "--address", address}, strings.Fields(flags)...)...).want(t, 0)
		if got, _ := json.Marshal(sent); string(got) != want {
			t.Errorf("%s: got body %s, want %s", flags, got, want)
		}
	}
}
