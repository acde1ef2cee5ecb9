package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-webhooks/caddy-webhooks"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// TestMain keeps what Caddy writes out of the user's directories.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "caddy-webhooks-docs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("XDG_DATA_HOME", dir)
	os.Setenv("XDG_CONFIG_HOME", dir)
	caddy.DefaultStorage.Path = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// fence is a Caddyfile in a page.
var fence = regexp.MustCompile("(?ms)^ *```caddyfile\n(.*?)^ *```$")

// TestCaddyfiles checks that the Caddyfiles in the pages load as they are.
func TestCaddyfiles(t *testing.T) {
	pages := must.Get(filepath.Glob("*.md"))(t)
	for _, page := range append(pages, "../README.md") {
		t.Run(filepath.Base(page), func(t *testing.T) {
			text := read(t, page)
			for _, at := range fence.FindAllStringSubmatchIndex(text, -1) {
				line := 2 + strings.Count(text[:at[0]], "\n")
				t.Run(fmt.Sprintf("line %d", line), func(t *testing.T) { load(t, text[at[2]:at[3]]) })
			}
		})
	}
}

// whole matches the beginning of a Caddyfile with a site's address or global options.
// Other Caddyfiles are the inside of a site.
var whole = regexp.MustCompile(`^(\{|[^\s/]*[.:]\S* \{)`)

// load loads a Caddyfile like Caddy, without starting anything.
func load(t *testing.T, source string) {
	t.Helper()
	if !whole.MatchString(source) {
		source = "hooks.example.com {\n" + source + "}\n"
	}
	if api := "handle_path /webhooks/* {"; strings.Contains(source, api) && !strings.Contains(source, "redir /webhooks /webhooks/\n\t"+api) {
		t.Errorf("/webhooks without the slash gets an empty page with\n%s", source)
	}
	source = secrets(t, source)
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(source), nil)
	if err != nil {
		t.Fatalf("got error %v for\n%s", err, source)
	}
	for _, warning := range warnings {
		if !strings.Contains(warning.Message, "not formatted") {
			t.Errorf("got the warning %s for\n%s", warning, source)
		}
	}
	config := new(caddy.Config)
	must.Do(t, json.Unmarshal(adapted, config))
	if err := caddy.Validate(config); err != nil {
		t.Errorf("got error %v for\n%s", err, source)
	}
}

var (
	directive    = regexp.MustCompile(`webhook_verify ([a-z0-9-]+)[^\n]*(?:\n\s*(?:name|secret|construction|key) [^\n]*)*`)
	construction = regexp.MustCompile(`\n\s*construction (\w+)`)
	keyOption    = regexp.MustCompile(`\n\s*key (\w+)`)
	variable     = regexp.MustCompile(`\{env\.(\w+)\}`)
	file         = regexp.MustCompile(`\{file\.[^}]*/(\w+)\}`)
	directory    = regexp.MustCompile(`/(?:run/secrets|var/lib/webhooks)/`)
)

// secrets provides what a Caddyfile expects on its server: environment variables with
// values of the right kind, and files.
func secrets(t *testing.T, source string) string {
	t.Helper()
	for _, name := range variable.FindAllStringSubmatch(source, -1) {
		t.Setenv(name[1], secret(t, verify.Scheme{}))
	}
	for _, block := range directive.FindAllStringSubmatch(source, -1) {
		row, _ := verify.Lookup(block[1]) // or a custom scheme, which has the default key
		if named := construction.FindStringSubmatch(block[0]); named != nil {
			row.Construction = named[1]
		}
		if key := keyOption.FindStringSubmatch(block[0]); key != nil {
			row.Key = key[1]
		}
		for _, name := range variable.FindAllStringSubmatch(block[0], -1) {
			t.Setenv(name[1], secret(t, row))
		}
	}
	dir := t.TempDir() + "/"
	for _, name := range file.FindAllStringSubmatch(source, -1) {
		must.Do(t, os.WriteFile(dir+name[1], []byte(secret(t, verify.Scheme{})), 0o600))
	}
	return directory.ReplaceAllLiteralString(source, dir)
}

func secret(t *testing.T, row verify.Scheme) string {
	t.Helper()
	return must.Get(verify.GenerateSecret(row))(t)
}
