package handler

import (
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func TestTokenLeaks(t *testing.T) {
	token := func(in string, names ...string) verify.Scheme {
		s := verify.Scheme{Construction: "token", Signature: verify.Signature{In: in}}
		if len(names) == 1 {
			s.Signature.Name = names[0]
		} else {
			s.Signature.Names = names
		}
		return s
	}
	tests := []struct {
		name      string
		scheme    verify.Scheme
		handshake bool
		want      []string
	}{
		{"a MAC isn't secret", verify.Scheme{Signature: verify.Signature{In: "query", Name: "signature"}}, true, nil},
		{"token in a header", token("header", "x-gitlab-token"), true, []string{"request>headers>X-Gitlab-Token delete"}},
		{"token in a header by default", token("", "X-Token"), true, []string{"request>headers>X-Token delete"}},
		{"token that the default log shows, too", token("header", "X-Token"), true, []string{"and in the global options"}},
		{"token in one of two headers", token("header", "X-A", "X-B"), true, []string{"request>headers>X-A delete", "request>headers>X-B delete"}},
		{"token in a header that Caddy hides", token("header", "authorization"), true, nil},
		{"token in the URL", token("query", "token"), true, []string{"request>uri query { delete token }"}},
		{"token in the body", token("json", "clientState"), true, nil},
		{"verify token", verify.Scheme{Handshake: "meta"}, true, []string{"request>uri query { delete hub.verify_token }"}},
		{"secret in a handshake", verify.Scheme{Handshake: "asana"}, true, []string{"request>headers>X-Hook-Secret delete", " resp_headers>X-Hook-Secret delete"}},
		{"secret in a handshake that is off", verify.Scheme{Handshake: "asana"}, false, nil},
		{"verify token without a handshake", verify.Scheme{Handshake: "meta"}, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tokenLeaks(tt.scheme, tt.handshake)
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.Contains(got[i], tt.want[i]) {
					t.Errorf("got %q, want %q", got[i], tt.want[i])
				}
			}
		})
	}
}
