package verify_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func TestSuggest(t *testing.T) {
	for name, want := range map[string][]string{
		"githb":                         {"github"},
		"gihtub":                        {"github"},
		"GitHub":                        {"github"},
		"strip":                         {"stripe"},
		"standard-webhoks":              {"standard-webhooks"},
		"hashicorp-terafom":             {"hcp-terraform"},
		"acme":                          nil,
		"":                              nil,
		"gi":                            nil,
		strings.Repeat("github", 1<<20): nil,
	} {
		got := verify.Suggest(name)
		if len(want) == 0 && len(got) > 0 || len(want) > 0 && !slices.Equal(got[:min(1, len(got))], want) {
			t.Errorf("%.20s: got %v, want %v first", name, got, want)
		}
		if len(got) > 5 {
			t.Errorf("%.20s: got %d names, want at most five", name, len(got))
		}
		for _, n := range got {
			if _, ok := verify.Lookup(n); !ok {
				t.Errorf("%.20s: got %s, which isn't a scheme", name, n)
			}
		}
	}
	if got := verify.Suggest("git"); len(got) < 2 || !slices.Contains(got, "github") || !slices.Contains(got, "gitlab") {
		t.Errorf("a part of several names: got %v, want several", got)
	}
}

// A table of custom schemes suggests these too, but not by the names of the schemes that
// they start from.
func TestSuggestCustom(t *testing.T) {
	table := must.Get(verify.NewTable([]verify.Custom{{Provider: "github", Scheme: verify.Scheme{Name: "acme-orders"}}}))(t)
	for name, want := range map[string]string{"acme-order": "acme-orders", "acme": "acme-orders", "githb": "github"} {
		if got := table.Suggest(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %v, want %s", name, got, want)
		}
	}
	if got := verify.Suggest("acme-order"); got != nil {
		t.Errorf("got %v without the table, want none", got)
	}
}
