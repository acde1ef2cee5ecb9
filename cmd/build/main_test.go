package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

const module = "github.com/caddy-webhooks/caddy-webhooks"

func TestOurRecipe(t *testing.T) {
	b := must.Get(readRecipe("../../xcaddy.json"))(t)
	if len(b.Plugins) != 1 || b.Plugins[0].PackagePath != module {
		t.Errorf("plugins are %v", b.Plugins)
	}
	root := must.Get(filepath.Abs("../.."))(t)
	if len(b.Replacements) != 1 || b.Replacements[0].Old.String() != module || b.Replacements[0].New.String() != root {
		t.Errorf("replacements are %v, want %s by %s", b.Replacements, module, root)
	}
	// The binary that the tests ran with and the one that is built are the same Caddy.
	mod := must.Get(os.ReadFile("../../go.mod"))(t)
	if !bytes.Contains(mod, []byte("github.com/caddyserver/caddy/v2 "+b.CaddyVersion+"\n")) {
		t.Errorf("go.mod requires another Caddy than %s", b.CaddyVersion)
	}
}

func TestRunErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must.Do(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no recipe", []string{"-recipe", filepath.Join(dir, "none.json")}, "run this at the top of the checkout"},
		{"recipe is a directory", []string{"-recipe", dir}, "is a directory"},
		{"not JSON", []string{"-recipe", write("broken.json", "caddy_version: v2")}, "not a valid xcaddy Builder"},
		{"unknown field", []string{"-recipe", write("field.json", `{"plugin":[]}`)}, `unknown field "plugin"`},
		{"trailing data", []string{"-recipe", write("trailing.json", `{"plugins":[{"module_path":"a.example/b"}]} {}`)}, "more after the JSON object"},
		{"no plugins", []string{"-recipe", write("plain.json", `{"caddy_version":"v2.11.9"}`)}, "has no plugins"},
		{"replacement is nowhere", []string{"-recipe", write("nowhere.json", `{"plugins":[{"module_path":"a.example/b"}],"replacements":[{"old":"a.example/b","new":"./nowhere"}]}`)}, "has no Go module"},
		{"stray argument", []string{"caddy"}, "use -o"},
		{"output is a directory", []string{"-o", dir}, "is a directory"},
		{"unknown flag", []string{"--output", "caddy"}, "not defined"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), tt.args, &out)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
		})
	}
}

func TestReadRecipeLeavesModulesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "xcaddy.json")
	recipe := `{"plugins":[{"module_path":"a.example/b"}],"replacements":[{"old":"a.example/b","new":"c.example/d@v1.0.0"}]}`
	must.Do(t, os.WriteFile(path, []byte(recipe), 0o600))
	b := must.Get(readRecipe(path))(t)
	if got := b.Replacements[0].New.String(); got != "c.example/d@v1.0.0" {
		t.Errorf("the replacement became %s", got)
	}
}
