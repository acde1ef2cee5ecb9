package cli

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
)

// serve runs a handler in place of Caddy's admin endpoint, and returns its address.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func answer(status int, contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, text)
	}
}

// If there is no API at the address, the error says what is there and what to do.
func TestErrorsWithoutAnAPI(t *testing.T) {
	closed := freeport.Address()
	for name, c := range map[string]struct {
		address string
		code    int
		says    []string
	}{
		"nothing listens":       {closed, 1, []string{"can't be reached at " + closed, "connection refused", "--address", "--config", "admin off"}},
		"no socket":             {"unix/" + filepath.Join(t.TempDir(), "admin.sock"), 1, []string{"admin.sock", "no such file", "--address"}},
		"several ports":         {"localhost:1-3", 1, []string{"range of ports"}},
		"a URL":                 {"http://localhost:2019", 2, []string{"is not a URL", "localhost:2019", "--api"}},
		"an empty address":      {"", 2, []string{"--address is empty"}},
		"no address":            {"localhost:x", 1, []string{`"localhost:x"`}},
		"another server":        {serve(t, answer(200, "text/html", "<html>")), 1, []string{"admin endpoint"}},
		"another server's 404":  {serve(t, http.NotFound), 1, []string{"no webhooks API", "`webhooks` option"}},
		"another server's 500":  {serve(t, answer(500, "text/html", "<html>")), 1, []string{"500", "admin endpoint"}},
		"a redirect":            {serve(t, http.RedirectHandler("http://example.com/", 302).ServeHTTP), 1, []string{"302"}},
		"the admin's refusal":   {serve(t, answer(403, "application/json", `{"error":"host not allowed: x"}`)), 1, []string{"host not allowed: x: give the address as"}},
		"a problem":             {serve(t, answer(422, "application/problem+json", `{"title":"A field is not valid","detail":"url is refused","field":"url"}`)), 1, []string{"Error: url is refused\n"}},
		"a problem with escape": {serve(t, answer(422, "application/problem+json", `{"title":"x","detail":"a\u001b[2J"}`)), 1, []string{"a\uFFFD[2J"}},
		"a problem of nothing":  {serve(t, answer(404, "application/problem+json", `{}`)), 1, []string{"no webhooks API"}},
		"a public API":          {serve(t, answer(401, "application/problem+json", `{"title":"A token is needed","detail":"a token is needed"}`)), 1, []string{"a token is needed\n", "--address is for Caddy's admin endpoint", "--api"}},
		"not now":               {serve(t, answer(503, "application/problem+json", `{"title":"Not available","detail":"not running","code":"unavailable"}`)), 1, []string{"not running", "log", "`webhooks` option"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, "", "status", "--address", c.address)
			if r.code != c.code || r.out != "" {
				t.Errorf("got exit code %d, stdout %q", r.code, r.out)
			}
			r.says(t, c.says...)
		})
	}
}

// What is not available at the moment is explained by status; a full store needs no
// more than its own words.
func TestHintsWhileUnavailable(t *testing.T) {
	for code, want := range map[string]string{
		"unavailable": "Error: the detail\nIf this persists, `caddy webhooks status --address ADDRESS` and Caddy's log say why.\n",
		"store_full":  "Error: the detail\n",
	} {
		address := serve(t, answer(503, "application/problem+json", `{"title":"The title","detail":"the detail","code":"`+code+`"}`))
		want = strings.Replace(want, "ADDRESS", address, 1)
		if r := run(t, "", "events", "list", "--address", address); r.code != 1 || r.err != want {
			t.Errorf("%s: code %d, stderr %q, want %q", code, r.code, r.err, want)
		}
		if code == "unavailable" { // status can't refer to itself
			run(t, "", "status", "--address", address).want(t, 1).says(t, "Caddy's log says why: a database that can't be reached, for example, or a damaged store")
		}
	}
}

// The error for an id that doesn't exist says where to look for it, going by its prefix,
// with a command that reaches the same Caddy.
func TestHintsForIDs(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct{ command, says string }{
		"no delivery":                     {"deliveries show dlv_0000000000000001", "`caddy webhooks deliveries list` lists the existing ones.\n"},
		"no attempt":                      {"deliveries redeliver att_0000000000000001", "`caddy webhooks deliveries list` lists the existing ones.\n"},
		"an event for a delivery":         {"deliveries show evt_0000000000000001", "`caddy webhooks events show evt_0000000000000001` shows its deliveries"},
		"a subscription for a delivery":   {"deliveries redeliver sub_crm", "`caddy webhooks deliveries list --subscription-id sub_crm` lists its deliveries"},
		"a subscription for a type":       {"event-types show sub_crm", "`caddy webhooks event-types list` lists the existing ones.\n"},
		"a delivery for a dead letter":    {"dead-letters show dlv_0000000000000001", "`caddy webhooks deliveries show dlv_0000000000000001` works in any state"},
		"a delivery that is sent again":   {"dead-letters redeliver dlv_0000000000000001", "`caddy webhooks deliveries redeliver dlv_0000000000000001` works in any state"},
		"an event that may be a tenant's": {"events show order-7", "add --tenant"},
		"an event of a tenant":            {"events show order-7 --tenant acme", "lists the existing ones.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			says := strings.Replace(c.says, "` ", " --address "+s.address+"` ", 1)
			s.run("", strings.Fields(c.command)...).want(t, 1).says(t, says)
		})
	}
}

// The commands that hints name reach the same Caddy, by whichever flags were given.
func TestHintsRepeatTheFlags(t *testing.T) {
	s := start(t)
	sub := s.subscribe("*")
	tokens := file(t, manageToken)
	config := file(t, `{"admin":{"listen":"`+s.address+`"}}`)
	for _, flags := range [][]string{
		{"--address", s.address},
		{"--config", config},
		{"--api", s.public(), "--token-file", tokens},
		{"--api", s.public(), "--token-file", tokens, "--timeout", "20s"},
	} {
		r := run(t, "", append([]string{"subscriptions", "test", sub}, flags...)...).want(t, 0)
		_, hint, _ := strings.Cut(r.out, "`caddy webhooks ")
		hint, _, _ = strings.Cut(hint, "`")
		if !strings.HasSuffix(hint, strings.Join(flags[:min(len(flags), 4)], " ")) {
			t.Errorf("%q: got the hint %q", flags, hint)
		}
		run(t, "", strings.Fields(hint)...).want(t, 0)
	}
}

// For an unknown command, the error is about the command, not about the flags after it.
func TestUnknownCommands(t *testing.T) {
	for command, says := range map[string]string{
		"subs list":                            `"caddy webhooks" has no command "subs": did you mean subscriptions?`,
		"dead-letter list --subscription-id x": `"caddy webhooks" has no command "dead-letter": did you mean dead-letters?`,
		"deliveries redelivr --all --since 1h": `"caddy webhooks deliveries" has no command "redelivr": did you mean redeliver?`,
		"deliveries --all":                     "unknown flag: --all\n",
	} {
		run(t, "", strings.Fields(command)...).want(t, exitUsage).says(t, says)
	}
}

func TestUnknownFlags(t *testing.T) {
	for command, says := range map[string]string{
		"deliveries list --subscription x":  "did you mean --subscription-id?\n",
		"deliveries list --event_type x":    "did you mean --event-type?\n",
		"deliveries list --type x":          "did you mean --event-type?\n",
		"deliveries list --status x":        "did you mean --state or `caddy webhooks dead-letters list`?\n",
		"deliveries list --failed-since 1h": "did you mean `caddy webhooks dead-letters list`?\n",
		"deliveries list --nothing x":       "unknown flag: --nothing\n",
		"deliveries list --no x":            "unknown flag: --no\n",
		"deliveries list --since-1h-ago= x": "did you mean --since?\n",
		"subscriptions update s --secret x": "did you mean `caddy webhooks subscriptions rotate-secret` or --oauth2-client-secret-file?\n",
		"subscriptions update s --test":     "did you mean `caddy webhooks subscriptions test`?\n",
		"events publish --event-type x":     "did you mean `caddy webhooks events publish <event-type> [flags]`?\n",
	} {
		run(t, "", strings.Fields(command)...).want(t, exitUsage).says(t, says)
	}
}

func TestProblemAsJSON(t *testing.T) {
	document := `{"type":"urn:x","title":"Not found","detail":"there is no event","status":404,"more":1}`
	r := run(t, "", "events", "show", "x", "--json", "--address", serve(t, answer(404, "application/problem+json", document))).want(t, 1)
	if !strings.Contains(r.err, `"more": 1`) || r.out != "" {
		t.Errorf("got stdout %q, stderr %q", r.out, r.err)
	}
	golden(t, "usage-json", run(t, "", "events", "publish", "--json").want(t, 2).err)
}

// If Caddy doesn't respond in time, the error differs from that of a Caddy that isn't
// running. After publishing or creating, it says that this may have been done.
func TestNoAnswerInTime(t *testing.T) {
	done := make(chan struct{})
	address := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-done:
		}
	})
	t.Cleanup(func() { close(done) })
	r := run(t, "{}", "events", "publish", "a", "--address", address, "--timeout", "500ms").want(t, 1)
	r.says(t, "did not respond in time", "--timeout", "The event may have been stored", "--event-id")
	create := []string{"subscriptions", "create", "--url", "https://example.com", "--event-types", "a", "--address", address, "--timeout", "500ms"}
	run(t, "", create...).want(t, 1).says(t, "The subscription may have been created", "subscriptions list", "With --id")
	run(t, "", append(create, "--id", "sub_crm")...).want(t, 1).says(t, "with the same --id")
	run(t, "", "dead-letters", "export", "--address", address, "--timeout", "500ms").want(t, 1)
	run(t, "", "status", "--address", address, "--timeout", "0s").want(t, 2)
}

func TestNoResponseKeepsItsCause(t *testing.T) {
	cause := errors.New("cause")
	err := (&client{endpoint: admin{address: "x"}}).unreachable(cause, false)
	if !errors.Is(err, cause) {
		t.Errorf("got %v, which doesn't wrap its cause", err)
	}
}
