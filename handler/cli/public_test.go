package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

const (
	publishToken = "publish-0123456789"
	readToken    = "read-0123456789"
	manageToken  = "manage-0123456789-0123456789"
)

// public serves the API with a token of each scope, and returns its URL.
func (s *server) public() string {
	s.t.Helper()
	h := s.api(api.Token{Value: publishToken, Scope: api.ScopePublish}, api.Token{Value: readToken, Scope: api.ScopeRead}, api.Token{Value: manageToken, Scope: api.ScopeManage})
	return "http://" + serve(s.t, h.ServeHTTP) + mount
}

func TestPublicAPI(t *testing.T) {
	s := start(t)
	s.subscribe("*")
	t.Setenv(apiVariable, s.public())
	t.Setenv(tokenVariable, readToken)
	manage := file(t, manageToken+"\n\n")

	run(t, "{}", "events", "publish", "a", "--event-id", "one", "--token-file", file(t, publishToken)).want(t, 0)
	s.attempted()
	run(t, "", "events", "list", "--api", os.Getenv(apiVariable)+"/").want(t, 0).shows(t, "one")
	run(t, "", "deliveries", "list", "--subscription-id", "sub_none", "--token-file", named(t, manageToken)).want(t, 0).says(t, "There is no subscription sub_none")
	run(t, manageToken, "subscriptions", "create", "--url", s.receiver.URL, "--event-types", "b", "--token-file", "-").want(t, 0)
	run(t, manageToken, "events", "publish", "a", "--token-file", "-").want(t, 2).says(t, "standard input")
	run(t, "", "tail", "--token-file", file(t, publishToken)).want(t, 1).says(t, "this token has the scope publish")

	// Flags take precedence over variables.
	t.Setenv(tokenVariable, "wrong")
	run(t, "", "status", "--token-file", manage).want(t, 0)
	run(t, "", "status", "--address", s.address).want(t, 0)
	t.Setenv(apiVariable, "http://"+serve(t, http.NotFound))
	run(t, "", "status", "--config", file(t, `{"admin":{"listen":"`+s.address+`"}}`)).want(t, 0)
}

// named writes a text to a pipe, and returns the name of a file from which it can be read
// once.
func named(t *testing.T, text string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	must.Get(w.WriteString(text))(t)
	w.Close()
	return filepath.Join("/dev/fd", strconv.Itoa(int(r.Fd())))
}

func TestErrorsOfAPublicAPI(t *testing.T) {
	s := start(t)
	other := "http://" + freeport.Address()
	private := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(private.Close)
	url := s.public()
	for name, c := range map[string]struct {
		api, token string
		args       []string
		code       int
		says       []string
	}{
		"no token":            {url, "", nil, 1, []string{"a token is needed", tokenVariable, "--token-file"}},
		"a wrong token":       {url, "wrong", nil, 1, []string{"doesn't know this token", "comes from " + tokenVariable}},
		"a narrow token":      {url, publishToken, nil, 1, []string{"GET /subscriptions needs read or manage", "comes from " + tokenVariable, "scope"}},
		"a broken token":      {url, "adm in", nil, 2, []string{"the token from " + tokenVariable + " contains a blank"}},
		"a narrow file":       {url, "", []string{"--token-file", file(t, readToken+"\nx")}, 2, []string{"a line break"}},
		"an empty file":       {url, "", []string{"--token-file", file(t, "\n")}, 2, []string{"there is no token in"}},
		"no file":             {url, "", []string{"--token-file", "/nonexistent"}, 1, []string{"there is no file /nonexistent"}},
		"a file without API":  {"", "", []string{"--token-file", "x", "--address", s.address}, 2, []string{"--token-file is for a webhook_api"}},
		"an address as well":  {url, "", []string{"--address", s.address}, 2, []string{"--api can't be given together with --address or --config"}},
		"a config as well":    {url, "", []string{"--config", "x"}, 2, []string{"--api can't be given together with --address or --config"}},
		"an empty variable":   {"", "", []string{"--api", ""}, 2, []string{"--api"}},
		"no token in one":     {url, "", []string{"--token-file", ""}, 2, []string{"--token-file"}},
		"no URL":              {"hooks.example.com/webhooks", "", nil, 2, []string{exampleAPI}},
		"no web URL":          {"ftp://hooks.example.com/webhooks", "", nil, 2, []string{exampleAPI}},
		"a query":             {url + "?a=b", "", nil, 2, []string{exampleAPI}},
		"a user":              {"https://bob:s3cret@hooks.example.com/webhooks", "", nil, 2, []string{"user name", tokenVariable}},
		"in the clear":        {"http://192.0.2.1/webhooks", manageToken, nil, 2, []string{"https://"}},
		"almost this machine": {"http://localhost.example.com/webhooks", manageToken, nil, 2, []string{"https://"}},
		"nothing listens":     {other, manageToken, nil, 1, []string{"can't be reached at " + other, "URL"}},
		"no TLS":              {strings.Replace(url, "http:", "https:", 1), manageToken, nil, 1, []string{"HTTPS"}},
		"a private CA":        {private.URL, manageToken, nil, 1, []string{"the certificate of " + private.URL + " is not trusted (x509: ", "SSL_CERT_FILE"}},
		"a route's URL":       {url + "/events", manageToken, nil, 1, []string{"the one that webhook_api is mounted at"}},
		"an empty site":       {"http://" + serve(t, answer(200, "", "")), manageToken, nil, 1, []string{"is not a webhook_api", exampleAPI}},
		"basic_auth in front": {"http://" + serve(t, answer(401, "", "")), manageToken, nil, 1, []string{"401", "is not a webhook_api"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(tokenVariable, c.token)
			args := append([]string{"subscriptions", "list"}, c.args...)
			if c.api != "" {
				args = append(args, "--api", c.api)
			}
			r := run(t, "", args...)
			if r.code != c.code || r.out != "" {
				t.Errorf("got exit code %d, stdout %q", r.code, r.out)
			}
			r.says(t, c.says...)
			if c.token != "" && strings.Contains(r.err, c.token) || strings.Contains(r.err, "s3cret") {
				t.Errorf("got a secret in %q", r.err)
			}
		})
	}
}

// An API for one tenant doesn't show the store. If it refuses another tenant, there is no
// hint about the token.
func TestAPIOfATenant(t *testing.T) {
	s := start(t)
	s.tenant = "acme"
	t.Setenv(apiVariable, s.public())
	t.Setenv(tokenVariable, manageToken)
	if r := run(t, "", "status").want(t, 0); strings.Contains(r.out, "Store") {
		t.Errorf("got stdout %q", r.out)
	}
	if r := run(t, "{}", "events", "publish", "a", "--tenant", "other").want(t, 1); !strings.HasSuffix(r.err, "leave it out\n") {
		t.Errorf("got stdout %q", r.err)
	}
}

// The API's own error about a prefix is printed without a hint.
func TestAPIMountedElsewhere(t *testing.T) {
	t.Setenv(tokenVariable, manageToken)
	if r := run(t, "", "subscriptions", "list", "--api", start(t).public()+mount).want(t, 1); !strings.HasSuffix(r.err, "which strips the prefix\n") {
		t.Errorf("got stdout %q", r.err)
	}
}

// A 200 from anything but the API is an error: the change wasn't made.
func TestResponseOfAnotherServer(t *testing.T) {
	r := run(t, "", "subscriptions", "delete", "sub_crm", "--api", "http://"+serve(t, answer(200, "", ""))).want(t, 1)
	if r.out != "" {
		t.Errorf("it says %q", r.out)
	}
}

func TestTokenFollowsNoRedirect(t *testing.T) {
	reached := make(chan http.Header, 10)
	other := serve(t, func(_ http.ResponseWriter, r *http.Request) { reached <- r.Header })
	t.Setenv(tokenVariable, manageToken)
	for _, status := range []int{301, 302, 303, 307, 308} {
		api := "http://" + serve(t, http.RedirectHandler("http://"+other+"/x", status).ServeHTTP)
		for _, args := range [][]string{{"status"}, {"tail"}, {"events", "publish", "a", "--payload", "1"}} {
			run(t, "", append(args, "--api", api)...).want(t, 1).says(t, "redirects to http://"+other+"/x")
		}
	}
	select {
	case h := <-reached:
		t.Errorf("got in the other server: %v", h)
	default:
	}
}

func TestStoreIsNotReachedByAPI(t *testing.T) {
	s := start(t)
	url := s.public()
	for _, verb := range [][]string{{"check"}, {"backup", "x"}, {"compact"}, {"check", "--store", "x"}} {
		run(t, "", slices.Concat([]string{"store"}, verb, []string{"--api", url})...).want(t, 2).says(t, "on the machine that Caddy runs on")
	}
	// The variable doesn't count: the file is that of the Caddy on this machine.
	t.Setenv(apiVariable, start(t).public())
	old := caddy.DefaultAdminListen
	t.Cleanup(func() { caddy.DefaultAdminListen = old })
	caddy.DefaultAdminListen = s.address
	run(t, "", "store", "check").want(t, 0)
	run(t, "", "store", "check", "--store", "").want(t, 2).says(t, "--store is empty")
	// Nor does an error suggest --api.
	off := filepath.Join(t.TempDir(), "caddy.json")
	must.Do(t, os.WriteFile(off, []byte(`{"admin":{"disabled":true}}`), 0o600))
	for _, at := range [][]string{{"--address", "127.0.0.1:1"}, {"--config", off}} {
		if r := run(t, "", append([]string{"store", "check"}, at...)...).want(t, 1).says(t, "give the store's file with --store"); strings.Contains(r.err, "--api") {
			t.Errorf("%v: got %s", at, r.err)
		}
	}
}
