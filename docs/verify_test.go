package docs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// TestVerifyPageIsWhole: every option, reason and placeholder that the code
// knows stands in verify.md.
func TestVerifyPageIsWhole(t *testing.T) {
	page := read(t, "verify.md")
	for _, test := range []struct {
		what, file, pattern string
	}{
		{"option", "../handler/caddyfile_verify.go", `(?m)^\t"(\w+)": +`},
		{"reason", "../verify/reason.go", `Reason = "(\w+)"`},
		{"reason", "../handler/refusal.go", `Reason = "(\w+)"`},
		{"metric", "../handler/metrics_verify.go", `Name: +"(\w+)"`},
	} {
		words := regexp.MustCompile(test.pattern).FindAllStringSubmatch(read(t, test.file), -1)
		if len(words) < 3 {
			t.Errorf("%s has %d words like %s; where have they gone?", test.file, len(words), test.pattern)
		}
		for _, word := range words {
			if !regexp.MustCompile("[`_\t ]" + word[1] + "\\b").MatchString(page) {
				t.Errorf("verify.md says nothing of the %s %s", test.what, word[1])
			}
		}
	}
	for _, word := range verify.Placeholders() {
		if !strings.Contains(page, "{"+word+"}") && word != "body_<hash>_<encoding>" {
			t.Errorf("verify.md says nothing of the placeholder {%s}", word)
		}
	}
}

// TestLinks: links within the pages and to the README lead somewhere.
func TestLinks(t *testing.T) {
	anchors := make(map[string][]string)
	pages := []string{"providers.md", "verify.md", "../README.md"}
	for _, page := range pages {
		for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(read(t, page), -1) {
			at := anchor(heading[1])
			if page == "providers.md" && slices.Contains(anchors[page], at) {
				t.Errorf("%s has the heading %q twice", page, heading[1])
			}
			anchors[page] = append(anchors[page], at)
		}
	}
	for _, page := range pages[:2] {
		for _, link := range regexp.MustCompile(`\]\(([^)#:]*)#([^)]*)\)`).FindAllStringSubmatch(read(t, page), -1) {
			target := link[1]
			if target == "" {
				target = page
			}
			if !slices.Contains(anchors[target], link[2]) {
				t.Errorf("%s: %s leads nowhere", page, link[0])
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
