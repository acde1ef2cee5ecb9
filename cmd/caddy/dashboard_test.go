package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestDashboard goes through the page as somebody does who is on call: what has
// failed, why, and once more.
func TestDashboard(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	r := downReceiver(t)
	s := startServer(t, withOptions("retry 20ms\negress {\nallow 127.0.0.1\n}\nsubscription idle {\nurl http://"+r.addr+"/\nevent_types none\n}\nsubscription main {\nurl http://"+r.addr+"/\nevent_types *\n}"))
	hostile := `"<img src=x onerror=document.title=1>"`
	id := s.publish(event{Type: "order.paid", Payload: json.RawMessage(`{"n":12345678901234567890,"note":` + hostile + `}`)})
	dead := s.settled(id, "sub_main", "dead").text("delivery_id")

	b.open("http://" + s.addr + "/webhooks/")
	b.find("input[name=token]").write("wrong" + enter)
	b.sees("the server doesn't know this token")
	b.find("input[name=token]").write(readToken + enter)
	b.find("main tbody tr").has("sub_main", r.addr, "failing", "since", "connection refused") // before the one that was there first

	b.link("sub_main").click()
	b.find("dl").has("failing", "Failing since", "connection refused", "Dead letters\n1", "the server's configuration")
	b.lacks("main button:not([hidden]), main details") // who may only read
	b.link("Dead letters").click()
	b.find("main[aria-label='Dead letters']:focus").has("connection refused")
	b.find("input[name=failed_until]").write("1h" + enter)
	b.find("main").has("There are none.")
	b.find("input[name=failed_until]").replace("0s" + enter)
	b.find("main tbody tr").has(id)
	b.find("input[name=status]").write("5xx" + enter)
	b.sees("status must be a status code")
	b.find("input[name=status]:focus").has("") // where it is mended
	b.find("input[name=status]").replace(enter)
	b.find("main tbody tr").has("order.paid", id, "every attempt failed", "connection refused")
	b.link(id).click()
	b.find("pre").has("12345678901234567890", strings.Trim(hostile, `"`))
	b.link("Deliveries").click()
	b.find("main tbody tr").has("dead", "every attempt failed", "connection refused")
	b.find("input[name=until]").write("1h" + enter)
	b.find("main").has("There are none.")
	b.find("input[name=id]").write(dead + enter)
	b.find("main table").has("connection refused")
	b.lacks("main button")
	b.find("input[name=id]").replace(id + enter)
	b.find("main tbody").has(id)

	r.up()
	b.button("Use another token").click()
	b.find("input[name=token]").write(manageToken + enter)
	b.link("Dead letters").click()
	b.button("Redeliver").click()
	b.find("main td a:focus").has("queued")
	b.find("main tbody tr").has(dead) // stays where it was
	b.link("queued").click()
	b.find("main table").has("delivered")
	b.button("Redeliver").click()
	b.sees("is queued")

	r.down()
	s.settled(s.publish(event{Type: "order.paid"}), "sub_main", "dead")
	r.up()
	b.link("sub_main").click()
	b.button("Redeliver dead letters").click()
	b.accept()
	b.sees("1 dead letter is queued.")
	b.summary("Signing secret").click()
	b.find("code").has("whsec_")
	b.lacks("details form") // what the configuration says is changed there
	if title := b.get("/title"); title != "Subscription sub_main – Webhooks" {
		t.Errorf("a payload may have run: the title is %v", title)
	}
}

// TestPortal goes through the page as a customer does, who sees no one else's and
// whom a password lets in: from a new subscription to its end.
func TestPortal(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	r := newReceiver(t)
	s := startServer(t, "{"+head+"\twebhooks {\nstore sqlite {$DB}\n"+local+`
		timeout 10m
		event_type order.created "Fired when a new order is placed"
		event_type order.paid
	}
}
http://:{$PORT} {
	handle_path /webhooks/* {
		webhook_api {
			token {env.PUBLISH_TOKEN} publish
			token {env.MANAGE_TOKEN} manage
		}
	}
	handle /form {
		webhook_publish form.received {
			tenant acme
		}
	}
	handle_path /portal/* {
		basic_auth {
			acme $2a$04$PITeWJ4c4TVMR9kHvGts2uotZ22WJz.wqnOGKl5ZSCub5HaVSaoeK
		}
		webhook_api {
			auth none
			tenant {http.auth.user.id}
		}
	}
}
`)
	s.subscribe(object{"url": r.url("/globex"), "event_types": []string{"*"}, "tenant": "globex"})
	past := s.publish(event{Type: "order.created", Tenant: "acme"})
	form := s.post("/form", []byte("a=1&b=%20"), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}).want(http.StatusAccepted).object().text("event_id")

	// Whoever runs the server has used its own API in the same tab before.
	b.open("http://" + s.addr + "/webhooks/")
	b.sees("This API needs a token")
	b.find("input[name=token]").write(manageToken + enter)
	b.find("main table").has("Tenant", r.url("/globex"))
	b.open("http://acme:secret@" + s.addr + "/portal/")
	b.find("main").has("There are no subscriptions.")
	b.summary("Create a subscription").click()
	b.find("input[name=url]").write("ftp://" + r.addr)
	b.lacks("input[name=tenant]")
	b.find("input[value='order.created']").click()
	b.find("input[type=text][name=event_types]").write("invoice.*")
	b.find("textarea[name=headers]").write("X-Env: test\nX-More: a: b")
	b.button("Create").click()
	b.sees("url is refused")
	b.find("input[name=url]:focus").has("") // where it is mended
	b.find("input[name=url]").replace(r.url("/one"))
	b.button("Create").click()
	b.sees("It is created.")
	b.find("dl").has(r.url("/one"), "order.created, invoice.*", "X-Env: test", "X-More: a: b")
	id := s.manager().list("/subscriptions?tenant=acme")[0].text("subscription_id")
	secret := s.manager().get("/subscriptions/" + id + "/secret").text("secret")
	if strings.Contains(b.get("/source").(string), secret) {
		t.Error("the secret is shown to whoever looks at the subscription")
	}
	b.summary("Signing secret").click()
	b.find("code").has(secret)
	b.summary("Signing secret").click()
	b.lacks("code")

	answer := make(chan struct{})
	r.answer(func(http.ResponseWriter, *request) { <-answer })
	b.button("Send a test").click()
	b.find("dl").has("webhook.test", "pending")
	close(answer)
	b.find("main table").has("delivered") // by itself
	test := r.one()
	test.signed(t, secret)
	if test.header.Get("X-Env") != "test" || !strings.Contains(string(test.body), "webhook.test") {
		t.Errorf("%v with %s", test.header, test.body)
	}

	b.link(id).click()
	b.summary("Change").click()
	b.find("input[name=url]").replace(r.url("/two"))
	b.find("input[value='order.created']").click()
	b.find("input[value='order.paid']").click()
	b.find("textarea[name=headers]").replace("X-More: c")
	b.button("Save").click()
	b.sees("It is changed.")
	b.find("dl").has(r.url("/two"), "order.paid, invoice.*", "X-More: c")
	if h := s.manager().get("/subscriptions/" + id).object("headers"); len(h) != 1 {
		t.Errorf("a header that was taken away is still there: %v", h)
	}

	b.summary("Change").click()
	b.find("input[value='order.created']").click()
	b.button("Save").click()
	b.find("dl").has("order.created, order.paid, invoice.*")
	b.summary("Replay past events").click()
	b.button("Replay").click()
	b.sees("1 event was replayed.")
	if got := r.waitID(past); got.path != "/two" {
		t.Errorf("it came to %s", got.path)
	}

	b.summary("Signing secret").click()
	b.button("Rotate").click()
	b.accept()
	b.sees("The previous one signs too")
	b.find("details dl").has("Previous secret", "signs too until", "in 24 h")
	fresh := s.manager().get("/subscriptions/" + id + "/secret").text("secret")
	b.find("code").has(fresh)
	r.waitID(s.publish(event{Type: "order.paid", Tenant: "acme"})).signed(t, fresh, secret)

	b.summary("Send a test of a type").click()
	b.find("input[name=event_type]").write("order.sent")
	b.find("textarea[name=payload]").write("{oops")
	b.button("Send").click()
	b.sees("It isn't JSON")
	b.find("textarea[name=payload]").replace(`{"id": 7}`)
	b.button("Send").click()
	b.find("pre").has(`"id": 7`)
	b.link(id).click()
	b.button("Deactivate").click()
	b.accept()
	b.find("dl").has("inactive", "deactivated by hand")
	s.publish(event{Type: "order.paid", Tenant: "acme"})
	b.link("Find a delivery").click()
	b.find("main table").has("pending", "held")
	b.find("input[name=id]").write(form + enter)
	b.link(form).click()
	b.find("pre").has("a=1&b=%20")
	b.find("input[name=id]").replace(id + enter)
	b.button("Activate").click()
	b.sees("It is active.")
	b.button("Delete").click()
	b.accept()
	b.sees(id + " is deleted.")
	b.find("main").has("There are no subscriptions.")
}

// TestPortalByToken goes through the page as a customer does who comes from a link with
// a token, until the token expires.
func TestPortalByToken(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	s := startServer(t, withOptions(local))
	s.subscribe(object{"url": "https://globex.example/", "event_types": []string{"*"}, "tenant": "globex"})
	id := s.publish(event{Type: "order.paid", Tenant: "globex"})
	link := func(tenant string, body object) string {
		t.Helper()
		return s.url("/webhooks/#token=" + s.manager().do("POST", "/tenants/"+tenant+"/tokens", body).want(http.StatusCreated).object().text("token"))
	}
	without := func() {
		t.Helper()
		if at := b.get("/url"); at != s.url("/webhooks/") {
			t.Errorf("the address is %v", at)
		}
	}

	b.open(link("acme", object{}))
	b.find("main").has("There are no subscriptions.")
	without()
	b.summary("Create a subscription").click()
	b.lacks("input[name=tenant]")
	b.find("input[name=url]").write("https://acme.example/")
	b.find("input[name=event_types]").write("*")
	b.button("Create").click()
	b.sees("It is created.")
	if own := s.manager().list("/subscriptions?tenant=acme"); len(own) != 1 {
		t.Errorf("acme has %v", own)
	}
	b.do("POST", "/refresh", map[string]any{}, nil) // the tab still has the token
	b.find("dl").has("https://acme.example/")

	b.open(link("globex", object{"scope": "read"})) // in the page that is open already
	b.find("main table").has("https://globex.example/")
	without()
	b.lacks("main details")
	b.open(link("globex", object{"expires_in": "1s"}))
	b.sees("this token expired at ") // by itself, if it was still valid
	without()
	b.find("input[name=token]").write(manageToken + enter)
	b.find("main table").has("https://acme.example/", "https://globex.example/")
	b.link("Deliveries").click()
	b.find("main tbody tr").has(id, "globex") // whose it is
	if strings.Contains(s.log(), "wht_") {
		t.Error("a token is in the log")
	}
}

// TestSubscriptionForm changes a subscription that somebody else changes meanwhile, and
// of which nothing else may be touched.
func TestSubscriptionForm(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	s := startServer(t, withOptions(local))
	id, _ := s.subscribe(object{
		"url": "https://example.com/one", "event_types": []string{"order.*"}, "description": "the first\nof two", "filter": "payload.n > 1 ||\npayload.n < 0",
		"headers": object{"X-Env": "test", "__proto__": "a"}, "rate_limit": "50/s", "ordered": true,
	})
	want := s.manager().get("/subscriptions/" + id)
	check := func(changes object) {
		t.Helper()
		b.sees("It is changed.")
		b.lacks("details[open]")
		maps.Copy(want, changes)
		got := s.manager().get("/subscriptions/" + id)
		for name, value := range got {
			if name != "updated_at" && fmt.Sprint(value) != fmt.Sprint(want[name]) {
				t.Errorf("%s is %v, want %v", name, value, want[name])
			}
		}
	}

	b.open(s.url("/webhooks/#subscription?id=" + id))
	b.find("input[name=token]").write(manageToken + enter)
	b.summary("Change").click()
	b.find("input[name=url]").replace("https://example.com/two")
	b.find("textarea[name=headers]").replace("x-env: test\n__proto__: b")
	s.manager().do("PATCH", "/subscriptions/"+id, object{"description": "by another", "headers": object{"X-Other": "1"}}).want(http.StatusOK)
	b.button("Save").click()
	check(object{"url": "https://example.com/two", "description": "by another", "headers": object{"x-env": "test", "__proto__": "b", "X-Other": "1"}})

	b.summary("Change").click()
	b.find("textarea[name=description]").write("\nand me")
	b.find("textarea[name=filter]").write("\n|| payload.n == 0")
	b.button("Save").click()
	check(object{"description": "by another\nand me", "filter": "payload.n > 1 ||\npayload.n < 0\n|| payload.n == 0"})

	b.summary("Change").click()
	b.find("input[name=retry]").write("5s 1h")
	b.find("input[name=timeout]").write("1m")
	b.find("textarea[name=metadata]").write("customer: 42")
	b.button("Save").click()
	check(object{"retry": []string{"5s", "1h"}, "timeout": "1m", "metadata": object{"customer": "42"}})
	b.summary("Change").click()
	b.find("input[name=retry]").replace("off")
	b.find("input[name=timeout]").replace("")
	b.button("Save").click()
	check(object{"retry": []string{}, "timeout": nil})

	r := newReceiver(t)
	r.answer(func(w http.ResponseWriter, d *request) {
		if d.path == "/token" {
			fmt.Fprint(w, `{"access_token":"pass","token_type":"Bearer","expires_in":3600}`)
		}
	})
	asks := func(form string) {
		t.Helper()
		r.forget()
		b.button("Send a test").click()
		got := r.wait(2)
		asked := http.Request{Header: got[0].header}
		if id, secret, _ := asked.BasicAuth(); id != "acme" || secret != "s3cret" || string(got[0].body) != form {
			t.Errorf("%s asks for a token with %q and %q", got[0].body, id, secret)
		}
		if bearer := got[1].header.Get("Authorization"); got[1].path != "/two" || bearer != "Bearer pass" {
			t.Errorf("%s gets %q", got[1].path, bearer)
		}
		b.link(id).click()
		b.summary("Change").click()
	}
	b.summary("Change").click()
	b.find("input[name=url]").replace(r.url("/two"))
	b.summary("Access tokens (OAuth2)").click()
	b.find("input[name='oauth2.client_id']").write("acme")
	b.find("input[name='oauth2.client_secret']").write("s3cret")
	b.find("input[name='oauth2.scopes']").write("read write")
	b.find("textarea[name='oauth2.params']").write("audience: crm")
	b.summary("Access tokens (OAuth2)").click()
	b.find("input[name=scheme]").write("github")
	b.button("Save").click()
	b.sees("oauth2.token_url is missing")
	b.find("input[name='oauth2.token_url']:focus").write(r.url("/token"))
	b.button("Save").click()
	oauth2 := object{"token_url": r.url("/token"), "client_id": "acme", "scopes": []string{"read", "write"}, "params": object{"audience": "crm"}, "auth_style": "header"}
	check(object{"url": r.url("/two"), "scheme": "github", "oauth2": oauth2})
	asks("audience=crm&grant_type=client_credentials&scope=read+write")

	b.find("textarea[name='oauth2.params']").replace("audience: erp")
	b.button("Save").click()
	oauth2["params"] = object{"audience": "erp"}
	check(nil)
	asks("audience=erp&grant_type=client_credentials&scope=read+write")

	b.find("input[name='oauth2.token_url']").replace("")
	b.button("Save").click()
	check(object{"oauth2": nil})

	b.summary("Change").click()
	b.find("input[name=handshake]").write("hooks.example.com")
	b.button("Save").click()
	check(object{"handshake": "hooks.example.com"})
}

// TestDashboardBehindAGuard goes through the page where something else knows who is
// there, is slow about it, and then no longer does.
func TestDashboardBehindAGuard(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	guard := newReceiver(t)
	s := startServer(t, "{"+head+"\twebhooks {\nstore sqlite {$DB}\n}\n}"+`
http://:{$PORT} {
	forward_auth `+guard.addr+` {
		uri /
	}
	handle_path /webhooks/* {
		webhook_api {
			auth none
		}
	}
}
`)
	// What is drawn when a subscription was made waits.
	let := make(chan struct{})
	next := func(d *request) bool {
		return d.header.Get("X-Forwarded-Method") == "GET" && strings.HasPrefix(d.header.Get("X-Forwarded-Uri"), "/webhooks/subscriptions/sub_")
	}
	guard.answer(func(_ http.ResponseWriter, d *request) {
		if next(d) {
			<-let
		}
	})
	b.open(s.url("/webhooks/"))
	b.summary("Create a subscription").click()
	b.find("input[name=url]").write("https://example.com/")
	b.find("input[name=event_types]").write("*")
	b.button("Create").click()
	guard.waitFor("the new page", func(got []*request) bool { return slices.ContainsFunc(got, next) })
	b.button("Create").click()
	close(let)
	b.sees("It is created.")
	if made := s.manager().list("/subscriptions"); len(made) != 1 {
		t.Errorf("there are %d subscriptions", len(made))
	}
	b.do("POST", "/back", map[string]any{}, nil)
	b.find("main").has("Dead letters")

	guard.answerStatus(http.StatusUnauthorized)
	b.link("Events").click()
	b.sees("reload the page")
	b.lacks("input[name=token]") // which the guard wouldn't know
}

// enter is the key in WebDriver's terms.
const enter = "\uE007"

// browser is a headless Chromium, driven by WebDriver
// (https://www.w3.org/TR/webdriver2/).
type browser struct {
	t       *testing.T
	session string // its URL
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	driver, err := exec.LookPath("chromedriver")
	if err != nil {
		t.Skip("chromedriver is not installed: .ci/run installs it and runs this")
	}
	port, dir := freeport.Get(), must.Get(os.MkdirTemp("", "browser-"))(t)
	cmd := exec.Command(driver, fmt.Sprintf("--port=%d", port))
	cmd.Env = append(os.Environ(), "TMPDIR="+dir) // Chromium leaves its folders behind
	must.Do(t, cmd.Start())
	b := &browser{t, fmt.Sprintf("http://127.0.0.1:%d", port)}
	must.Succeed(b.t, "the driver", func() error {
		return b.try("GET", "/status", nil, nil)
	})
	var made struct {
		ID string `json:"sessionId"`
	}
	must.Succeed(b.t, "the browser", func() error { // which the driver gives up on a slow machine
		return b.try("POST", "/session", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
			"goog:chromeOptions": map[string]any{"args": []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"}},
		}}}, &made)
	})
	b.session += "/session/" + made.ID
	t.Cleanup(func() {
		_ = b.try("DELETE", "", nil, nil)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir) // not t.TempDir, which fails if Chromium is still writing
	})
	return b
}

// try sends a command and reads its value.
func (b *browser) try(method, path string, body, value any) error {
	var sent []byte
	if method == "POST" {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequest(method, b.session+path, bytes.NewReader(sent)) // also when the test is over
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %.300s", method, path, answer.Value)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, value)
}

func (b *browser) do(method, path string, body, value any) {
	b.t.Helper()
	must.Do(b.t, b.try(method, path, body, value))
}

func (b *browser) get(path string) (value any) {
	b.t.Helper()
	b.do("GET", path, nil, &value)
	return value
}

func (b *browser) open(url string) { b.do("POST", "/url", map[string]string{"url": url}, nil) }

// accept says yes to what the page asks.
func (b *browser) accept() {
	b.t.Helper()
	must.Succeed(b.t, "a question", func() error { return b.try("POST", "/alert/accept", map[string]any{}, nil) })
}

// lacks waits until there is no such element.
func (b *browser) lacks(css string) {
	b.t.Helper()
	must.Succeed(b.t, "no "+css, func() error {
		var found []any
		if b.do("POST", "/elements", map[string]string{"using": "css selector", "value": css}, &found); len(found) > 0 {
			return fmt.Errorf("there are %d", len(found))
		}
		return nil
	})
}

// sees waits for words of the page's own.
func (b *browser) sees(words string) {
	b.t.Helper()
	b.find("#notice").has(words)
}

// element is one of the page, found anew whenever it is used, since the page may
// have been drawn again.
type element struct {
	*browser
	using, value string
}

func (b *browser) find(css string) element  { return element{b, "css selector", css} }
func (b *browser) link(text string) element { return element{b, "link text", text} }
func (b *browser) button(text string) element {
	return element{b, "xpath", "//button[text()='" + text + "']"}
}
func (b *browser) summary(text string) element {
	return element{b, "xpath", "//summary[text()='" + text + "']"}
}

// act scrolls to the element, and does something with it, as soon as it is there.
func (e element) act(method, what string, body, value any) {
	e.t.Helper()
	must.Succeed(e.t, e.value, func() error {
		var found map[string]string
		if err := e.try("POST", "/element", map[string]string{"using": e.using, "value": e.value}, &found); err != nil {
			return err
		}
		// As its user would, since it could be behind the notice, which stays at the top.
		center := map[string]any{"script": "arguments[0].scrollIntoView({block: 'center'})", "args": []any{found}}
		if err := e.try("POST", "/execute/sync", center, nil); err != nil {
			return err
		}
		for _, id := range found {
			return e.try(method, "/element/"+id+what, body, value)
		}
		return nil
	})
}

func (e element) click()            { e.act("POST", "/click", map[string]any{}, nil) }
func (e element) write(text string) { e.act("POST", "/value", map[string]string{"text": text}, nil) }

// replace writes over what is written there.
func (e element) replace(text string) {
	e.act("POST", "/clear", map[string]any{}, nil)
	e.write(text)
}

// has waits until there are words in it.
func (e element) has(words ...string) {
	e.t.Helper()
	for _, w := range words {
		must.Succeed(e.t, fmt.Sprintf("%q in %s", w, e.value), func() error {
			var text string
			if e.act("GET", "/text", nil, &text); !strings.Contains(text, w) {
				return fmt.Errorf("it is %q", text)
			}
			return nil
		})
	}
}
