package handler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestResolveSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		must.Do(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	t.Setenv("VERIFY_TEST_SET", "from-env")
	t.Setenv("VERIFY_TEST_EMPTY", "")
	t.Setenv("VERIFY_TEST_ECHOED", "from-env\r\n")
	t.Setenv("VERIFY_TEST_NEWLINE", "\n")
	file := write("secret", "from-file\n")
	empty := write("empty", "\n")
	huge := write("huge", strings.Repeat("x", maxSecret+1))

	tests := []struct {
		name, raw, want, errPart string
	}{
		{"literal", "s3cret", "s3cret", ""},
		{"environment", "{env.VERIFY_TEST_SET}", "from-env", ""},
		{"environment, its newline trimmed", "{env.VERIFY_TEST_ECHOED}", "from-env", ""},
		{"environment variable with a newline alone", "{env.VERIFY_TEST_NEWLINE}", "", "the secret is empty"},
		{"file, its newline trimmed", "{file." + file + "}", "from-file", ""},
		{"mixed with text", "whsec_{env.VERIFY_TEST_SET}", "whsec_from-env", ""},
		{"escaped brace", `a\{b\}c`, "a{b}c", ""},
		{"empty literal", "", "", "the secret is empty"},
		{"environment variable not set", "{env.VERIFY_TEST_UNSET}", "", "environment variable VERIFY_TEST_UNSET is empty or not set"},
		{"environment variable empty", "{env.VERIFY_TEST_EMPTY}", "", "environment variable VERIFY_TEST_EMPTY is empty or not set"},
		{"second placeholder not set", "{env.VERIFY_TEST_SET}{env.VERIFY_TEST_UNSET}", "", "environment variable VERIFY_TEST_UNSET"},
		{"file missing", "{file." + dir + "/none}", "", "the file " + dir + "/none is empty, missing or not readable"},
		{"file empty", "{file." + empty + "}", "", "is empty, missing or not readable"},
		{"file far too long", "{file." + huge + "}", "", "does its placeholder name the right file"},
		{"brace never closed", "{env.VERIFY_TEST_SET", "", "the brace of a placeholder is not closed: write {env.NAME} or {file./path}"},
		{"brace of a file never closed", "{env.VERIFY_TEST_SET}{file./hush", "", "is not closed"},
		{"brace of the secret itself never closed", "top{hush", "top{hush", ""},
		{"escaped brace never closed", `\{env.hush`, "{env.hush", ""},
		{"request placeholder", "{http.request.header.X-Secret}", "", "not a placeholder that is known when the config is loaded"},
		{"braces of the secret itself", "top{hush}secret", "", "put a backslash before"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := resolveSecret("webhook_verify github", tt.raw)
			if tt.errPart == "" {
				if err != nil || got != tt.want {
					t.Fatalf("got %q, %v; want %q", got, err, tt.want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.errPart) {
				t.Fatalf("got error %v; want one with %q", err, tt.errPart)
			}
			if !strings.HasPrefix(err.Error(), "webhook_verify github: ") {
				t.Errorf("the error doesn't begin with the directive: %v", err)
			}
			for _, leak := range []string{"hush", "from-env", "xxxx"} {
				if strings.Contains(err.Error(), leak) {
					t.Errorf("the error shows %q: %v", leak, err)
				}
			}
			if got != "" {
				t.Errorf("got a secret with the error: %q", got)
			}
		})
	}
}
