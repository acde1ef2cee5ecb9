package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestDashboard goes through the page as somebody does who is on call: what has
// failed, why, and once more.
func TestDashboard(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	r := downReceiver(t)
	s := startServer(t, withOptions("retry 20ms\negress {\nallow 127.0.0.1\n}\nsubscription main {\nurl http://"+r.addr+"/\nevent_types *\n}"))
	hostile := `"<img src=x onerror=document.title=1>"`
	id := s.publish(event{Type: "order.paid", Payload: json.RawMessage(`{"n":12345678901234567890,"note":` + hostile + `}`)})
	s.settled(id, "sub_main", "dead")

	b.open("http://" + s.addr + "/webhooks/")
	b.find("input[name=token]").write("wrong" + enter)
	b.sees("the server doesn't know this token")
	b.find("input[name=token]").write(readToken + enter)
	b.find("main table").has("sub_main", r.addr, "failing", "connection refused")

	b.link("Dead letters").click()
	b.find("main tbody tr").has("order.paid", id, "connection refused")
	b.link(id).click()
	b.find("pre").has("12345678901234567890", strings.Trim(hostile, `"`))
	b.find("main td a").click()
	b.find("main table").has("connection refused")
	b.button("Redeliver").click()
	b.sees("this token has the scope read")

	r.up()
	b.forget()
	b.find("input[name=token]").write(manageToken + enter)
	b.button("Redeliver").click()
	b.sees("is queued")
	s.settled(id, "sub_main", "delivered")
	b.reload()
	b.find("main table").has("delivered")

	r.down()
	s.settled(s.publish(event{Type: "order.paid"}), "sub_main", "dead")
	r.up()
	b.link("sub_main").click()
	b.button("Redeliver dead letters").click()
	b.accept()
	b.sees("1 dead letter is queued.")
	if title := b.get("/title"); title != "Webhooks" {
		t.Errorf("a payload has run: the title is %v", title)
	}
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
	port := freePort(t)
	cmd := exec.Command(driver, fmt.Sprintf("--port=%d", port))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &browser{t, fmt.Sprintf("http://127.0.0.1:%d", port)}
	b.until("the driver", func() error {
		return b.try("GET", "/status", nil, nil)
	})
	var made struct {
		ID string `json:"sessionId"`
	}
	b.do("POST", "/session", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"goog:chromeOptions": map[string]any{"args": []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"}},
	}}}, &made)
	b.session += "/session/" + made.ID
	t.Cleanup(func() {
		_ = b.try("DELETE", "", nil, nil)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
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
	if err := b.try(method, path, body, value); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) get(path string) (value any) {
	b.t.Helper()
	b.do("GET", path, nil, &value)
	return value
}

// until tries until it goes well.
func (b *browser) until(what string, f func() error) {
	b.t.Helper()
	err := f()
	for end := time.Now().Add(patience); err != nil; err = f() {
		if time.Now().After(end) {
			b.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (b *browser) open(url string) { b.do("POST", "/url", map[string]string{"url": url}, nil) }
func (b *browser) reload()         { b.do("POST", "/refresh", map[string]any{}, nil) }

// accept says yes to what the page asks.
func (b *browser) accept() {
	b.t.Helper()
	b.until("a question", func() error { return b.try("POST", "/alert/accept", map[string]any{}, nil) })
}

// forget has the page begin without a token.
func (b *browser) forget() {
	b.do("POST", "/execute/sync", map[string]any{"script": "sessionStorage.clear(); location.reload()", "args": []any{}}, nil)
}

// sees waits for words of the page's own.
func (b *browser) sees(words string) {
	b.t.Helper()
	b.find("#told").has(words)
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

// act does something with it as soon as it is there.
func (e element) act(method, what string, body, value any) {
	e.t.Helper()
	e.until(e.value, func() error {
		var found map[string]string
		if err := e.try("POST", "/element", map[string]string{"using": e.using, "value": e.value}, &found); err != nil {
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

// has waits until there are words in it.
func (e element) has(words ...string) {
	e.t.Helper()
	for _, w := range words {
		e.until(fmt.Sprintf("%q in %s", w, e.value), func() error {
			var text string
			if e.act("GET", "/text", nil, &text); !strings.Contains(text, w) {
				return fmt.Errorf("it is %q", text)
			}
			return nil
		})
	}
}
