package verify_test

import (
	"strings"
	"testing"
)

// A key is short if it has less bytes than Standard Webhooks asks for, or than the
// provider issues. Tokens have no signature by which they could be guessed.
func TestShortKey(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n) }
	const whsec23, whsec24 = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	for name, tt := range map[string]struct {
		scheme        string
		secrets       []string
		size, atLeast int
		short         bool
	}{
		"a byte too short":            {"github", []string{text(23)}, 23, 24, true},
		"long enough":                 {"github", []string{text(24)}, 24, 24, false},
		"the second of two":           {"github", []string{text(40), text(5)}, 5, 24, true},
		"bytes after decoding":        {"standard-webhooks", []string{whsec23}, 23, 24, true},
		"enough after decoding":       {"standard-webhooks", []string{whsec24}, 24, 24, false},
		"invalid":                     {"standard-webhooks", []string{"whsec_*"}, 24, 24, false},
		"as the provider issues it":   {"dropbox", []string{text(15)}, 15, 15, false},
		"shorter than issued":         {"dropbox", []string{text(14)}, 14, 15, true},
		"a token that nothing signed": {"okta", []string{text(3)}, 24, 24, false},
	} {
		t.Run(name, func(t *testing.T) {
			size, atLeast, short := rowOf(t, tt.scheme).ShortKey(tt.secrets)
			if size != tt.size || atLeast != tt.atLeast || short != tt.short {
				t.Errorf("got %d of at least %d, short %t; want %d of %d, %t", size, atLeast, short, tt.size, tt.atLeast, tt.short)
			}
		})
	}
}

// The rows of providers that issue short secrets are in the table under these names.
func TestIssuedKeysNameRows(t *testing.T) {
	for _, name := range []string{"dropbox", "sinch-voice", "zoom"} {
		if _, atLeast, _ := rowOf(t, name).ShortKey(nil); atLeast >= 24 {
			t.Errorf("%s: got at least %d bytes, want less than 24", name, atLeast)
		}
	}
}
