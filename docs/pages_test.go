package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// TestPagesAreWhole checks that the pages mention every option, reason, placeholder, metric
// and class in the code.
func TestPagesAreWhole(t *testing.T) {
	for _, test := range []struct {
		page, what, file, pattern string
	}{
		{"verify.md", "option", "../handler/caddyfile_verify.go", `(?m)^\t"(\w+)": +`},
		{"verify.md", "reason", "../verify/reason.go", `Reason = "(\w+)"`},
		{"verify.md", "reason", "../handler/refusal.go", `Reason = "(\w+)"`},
		{"verify.md", "metric", "../handler/metrics_verify.go", `Name: +"(\w+)"`},
		{"deliver.md", "option", "../handler/caddyfile_app.go", `(?m)^\t+"(\w+)": +`},
		{"operate.md", "metric", "../handler/metrics.go", `Name: +"(\w+)"`},
		{"operate.md", "metric", "../handler/metrics_queue.go", `NewDesc\("caddy_webhooks_(\w+)"`},
		{"operate.md", "class", "../outbound/outcome.go", `Class\w+ += "(\w+)"`},
	} {
		page := read(t, test.page)
		words := regexp.MustCompile(test.pattern).FindAllStringSubmatch(read(t, test.file), -1)
		if len(words) < 3 {
			t.Errorf("%s has only %d matches of %s; has the code moved?", test.file, len(words), test.pattern)
		}
		for _, word := range words {
			if !regexp.MustCompile("[`_\t ]" + word[1] + "\\b").MatchString(page) {
				t.Errorf("%s doesn't mention the %s %s", test.page, test.what, word[1])
			}
		}
	}
	page := read(t, "verify.md")
	for _, word := range verify.Placeholders() {
		if !strings.Contains(page, "{"+word+"}") && word != "body_<hash>_<encoding>" {
			t.Errorf("verify.md doesn't mention the placeholder {%s}", word)
		}
	}
}

// TestLinks checks that the links in the pages have a target.
func TestLinks(t *testing.T) {
	anchors := make(map[string][]string)
	pages := must.Get(filepath.Glob("*.md"))(t)
	pages = append(pages, "../README.md")
	for _, page := range pages {
		for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(read(t, page), -1) {
			at := anchor(heading[1])
			if page == "providers.md" && slices.Contains(anchors[page], at) {
				t.Errorf("%s has the heading %q twice", page, heading[1])
			}
			anchors[page] = append(anchors[page], at)
		}
	}
	for _, page := range pages {
		for _, link := range regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`).FindAllStringSubmatch(read(t, page), -1) {
			target := page
			if link[1] != "" {
				target = strings.TrimPrefix(filepath.Join(filepath.Dir(page), link[1]), "../docs/")
			}
			_, err := os.Stat(target)
			if err != nil || link[2] != "" && !slices.Contains(anchors[target], link[2]) {
				t.Errorf("%s: the link %s has no target", page, link[0])
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text := must.Get(os.ReadFile(file))(t)
	return string(text)
}
