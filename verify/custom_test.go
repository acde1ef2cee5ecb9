package verify_test

import (
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func custom(name, provider string, over verify.Scheme) verify.Custom {
	over.Name = name
	return verify.Custom{Provider: provider, Scheme: over}
}

var signedByHeader = verify.Scheme{Signature: verify.Signature{In: "header", Name: "X-Acme-Signature"}}

// A custom scheme is found by its name. It starts from another scheme, and doesn't
// change that.
func TestTable(t *testing.T) {
	table, err := verify.NewTable([]verify.Custom{
		custom("acme", "", signedByHeader),
		custom("acme-512", "acme", verify.Scheme{Algorithm: "sha512"}),
		custom("relayed", "github", signedByHeader),
	})
	if err != nil {
		t.Fatal(err)
	}
	github, _ := verify.Lookup("github")
	for name, want := range map[string]struct{ header, algorithm, prefix string }{
		"acme":     {"X-Acme-Signature", "", ""},
		"acme-512": {"X-Acme-Signature", "sha512", ""},
		"relayed":  {"X-Acme-Signature", github.Algorithm, github.Signature.Prefix},
		"github":   {github.Signature.Name, github.Algorithm, github.Signature.Prefix},
	} {
		s, ok := table.Lookup(name)
		if !ok || s.Name != name || s.Signature.Name != want.header || s.Algorithm != want.algorithm || s.Signature.Prefix != want.prefix {
			t.Errorf("Lookup(%s) = %+v, want %+v", name, s, want)
		}
	}
	for _, unknown := range []string{"", "Acme", "acme-"} {
		if s, ok := table.Lookup(unknown); ok {
			t.Errorf("Lookup(%q) found %s", unknown, s.Name)
		}
	}
	if _, ok := verify.Lookup("acme"); ok {
		t.Error("the custom scheme is among the built-in ones")
	}
}

func TestTableErrors(t *testing.T) {
	for name, c := range map[string]struct {
		list []verify.Custom
		want string
	}{
		"no name":            {[]verify.Custom{custom("", "", signedByHeader)}, "it has no name"},
		"no such name":       {[]verify.Custom{custom("ac me", "", signedByHeader)}, "letters, digits, dashes"},
		"built in":           {[]verify.Custom{custom("github", "", signedByHeader)}, "scheme github: there is a built-in scheme of that name: choose another"},
		"alias":              {[]verify.Custom{custom("standard", "", signedByHeader)}, "scheme standard: there is a built-in scheme"},
		"twice":              {[]verify.Custom{custom("a", "", signedByHeader), custom("a", "github", signedByHeader)}, "scheme a: it is defined twice"},
		"no base":            {[]verify.Custom{custom("a", "s3cr3t", signedByHeader)}, "scheme a: there is no such provider to start from: `caddy webhooks providers`"},
		"misspelt base":      {[]verify.Custom{custom("a", "githb", signedByHeader)}, "did you mean github?"},
		"base defined later": {[]verify.Custom{custom("a", "b", signedByHeader), custom("b", "", signedByHeader)}, "scheme a: there is no such provider"},
		"itself":             {[]verify.Custom{custom("a", "a", signedByHeader)}, "scheme a: there is no such provider"},
		"not valid":          {[]verify.Custom{custom("a", "", verify.Scheme{})}, "scheme a: signature: no name"},
		"useless tolerance":  {[]verify.Custom{custom("a", "github", verify.Scheme{Timestamp: verify.Timestamp{Past: 1}})}, "scheme a: tolerance: it needs a signed time"},
	} {
		_, err := verify.NewTable(c.list)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: error %v, want %q in it, and no secret", name, err, c.want)
		}
	}
}
