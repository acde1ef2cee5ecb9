package handler

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddytest"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

var update = flag.Bool("update", false, "update the golden files")

// Each golden file is a Caddyfile, followed by a line and the JSON that it is adapted
// to.
func TestAdapts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*/*.caddyfiletest")
	if len(files) == 0 {
		t.Fatal("no golden files")
	}
	const line = "----------\n"
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			content := must.Get(os.ReadFile(file))(t)
			source, want, ok := strings.Cut(string(content), line)
			if !ok {
				t.Fatalf("there is no line %q", line)
			}
			if *update {
				want = adapt(t, source)
				must.Do(t, os.WriteFile(file, []byte(source+line+want+"\n"), 0o644))
			}
			caddytest.AssertAdapt(t, source, "caddyfile", strings.TrimSpace(want))
		})
	}
}

// adapt returns the JSON that a Caddyfile is adapted to.
func adapt(t *testing.T, source string) string {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(source), nil)
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	must.Do(t, json.Indent(&indented, config, "", "\t"))
	return indented.String()
}

// The error for each mistake has the line, and says what to write.
func TestVerifyBlockErrors(t *testing.T) {
	tests := []struct{ name, directive, want string }{
		{"no provider", "webhook_verify", "name the provider"},
		{"no provider but a block", "webhook_verify {\nsecret s\n}", "name the provider"},
		{"unknown subdirective", "webhook_verify github s {\nsecrets s\n}", "unrecognized subdirective 'secrets'"},
		{"unknown subdirective of a signature", "webhook_verify hmac s {\nsignature header X {\nenc hex\n}\n}", "unrecognized subdirective 'enc'"},
		{"option of a signature outside of it", "webhook_verify hmac s {\nsignature header X\nprefix a\n}", "it belongs in the block of signature: signature … { prefix … }"},
		{"scalar twice", "webhook_verify github s {\nmax_body 1MiB\nmax_body 2MiB\n}", "max_body is given twice"},
		{"signature twice", "webhook_verify hmac s {\nsignature header X\nsignature header Y\n}", "signature is given twice"},
		{"prefix twice", "webhook_verify hmac s {\nsignature header X {\nprefix a\nprefix b\n}\n}", "prefix is given twice"},
		{"tag content twice", "webhook_verify hmac s {\nsignature header X {\ntag_content v1 a\ntag_content v0 a\ntag_content v1 b\n}\n}", "tag_content v1 is given twice"},
		{"secret without one", "webhook_verify github {\nsecret\n}", "secret takes one or more arguments"},
		{"too many arguments", "webhook_verify github s {\nmax_body 1MiB 2MiB\n}", "max_body takes one argument"},
		{"no argument", "webhook_verify github s {\nalgorithm\n}", "algorithm takes one argument"},
		{"empty argument", "webhook_verify github s {\nalgorithm \"\"\n}", "algorithm is empty"},
		{"size", "webhook_verify github s {\nmax_body much\n}", "write a size such as 1MiB"},
		{"size of nothing", "webhook_verify github s {\nmax_body 0\n}", "write a size such as 1MiB"},
		{"tolerance", "webhook_verify stripe s {\ntolerance 5 minutes\n}", "tolerance 5: write a duration such as 5m, or off"},
		{"tolerance of nothing", "webhook_verify stripe s {\ntolerance 0s\n}", "write a duration such as 5m, or off"},
		{"negative tolerance", "webhook_verify stripe s {\ntolerance 5m -1m\n}", "write a duration such as 5m, or off"},
		{"replay word", "webhook_verify stripe s {\nreplay on\n}", "replay on: write off, reject or ack"},
		{"replay life", "webhook_verify stripe s {\nreplay ack long\n}", "such as 24h"},
		{"empty pattern", "webhook_verify hmac s {\nid header X-Id \"\"\n}", "optionally, a pattern"},
		{"replay off with a life", "webhook_verify stripe s {\nreplay off 1h\n}", "remembers nothing"},
		{"enforce", "webhook_verify stripe s {\nenforce on\n}", "enforce on: write off, or leave the line out"},
		{"unbound body", "webhook_verify hmac s {\nunbound_body yes\n}", "unbound_body yes: write allow, or leave the line out"},
		{"signature without a name", "webhook_verify hmac s {\nsignature X-Signature\n}", "as in: signature header X-Signature"},
		{"timestamp without a name", "webhook_verify hmac s {\ntimestamp header\n}", "as in: timestamp header X-Timestamp unix"},
		{"timestamp with too much", "webhook_verify hmac s {\ntimestamp header X unix optional now\n}", "as in: timestamp header X-Timestamp unix"},
		{"timestamp with another word", "webhook_verify hmac s {\ntimestamp header X unix always\n}", "as in: timestamp header X-Timestamp unix"},
		{"timestamp alone", "webhook_verify hmac s {\ntimestamp\n}", "as in: timestamp header X-Timestamp unix"},
		{"tolerance with too much", "webhook_verify stripe s {\ntolerance 5m 1m 1m\n}", "as in: tolerance 5m 1m"},
		{"tolerance alone", "webhook_verify stripe s {\ntolerance\n}", "as in: tolerance 5m 1m"},
		{"replay with too much", "webhook_verify stripe s {\nreplay ack 1h 1h\n}", "as in: replay ack 24h"},
		{"replay life of nearly nothing", "webhook_verify stripe s {\nreplay ack 999ms\n}", "such as 24h"},
		{"replay alone", "webhook_verify stripe s {\nreplay\n}", "as in: replay ack 24h"},
		{"tag content alone", "webhook_verify hmac s {\nsignature header X {\ntag_content v1\n}\n}", "as in: tag_content v1 \"{body}\""},
		{"acknowledgement alone", "webhook_verify hmac s {\nacknowledge\n}", "as in: acknowledge 200 \"received\""},
		{"acknowledgement with too much", "webhook_verify hmac s {\nacknowledge 200 all is well\n}", "as in: acknowledge 200 \"received\""},
		{"acknowledgement too soon", "webhook_verify hmac s {\nacknowledge 199\n}", "write a status from 200 to 299"},
		{"id without a name", "webhook_verify hmac s {\nid header\n}", "as in: id json data.id"},
		{"status", "webhook_verify hmac s {\nstatus_code 200\n}", "write a status from 400 to 499"},
		{"status of ours", "webhook_verify hmac s {\nstatus_code 500\n}", "write a status from 400 to 499"},
		{"no acknowledgement", "webhook_verify hmac s {\nacknowledge 300\n}", "write a status from 200 to 299"},
		{"unknown provider", "webhook_verify githb s", "did you mean github?"},
		{"placeholder", "webhook_verify hmac s {\nsignature header X\ncontent \"{bdy}\"\n}", "{bdy} at column 1: no such placeholder; did you mean {body}?"},
		{"hash without a secret", "webhook_verify github s {\nconstruction hash\n}", "add {secret}"},
		{"numbered with an argument", "webhook_verify hmac s {\nsignature header X {\nnumbered yes\n}\n}", "numbered takes no arguments on its line"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source := ":80 {\n" + tt.directive + "\n}"
			_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(source), nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v; want an error with %q", err, tt.want)
			}
			if !strings.Contains(err.Error(), "Caddyfile:") {
				t.Errorf("the error doesn't name the line: %v", err)
			}
		})
	}
}

// What is wrong with a scheme is reported at the option that is wrong or, if the block
// doesn't have it, at the directive.
func TestSchemeErrorsNameTheLineOfTheOption(t *testing.T) {
	const start = "hmac s {\nid header algorithm\n" // an argument is not an option
	tests := []struct {
		name, block string
		line        int // 1 is that of the directive
	}{
		{"value", start + "signature header X\nalgorithm sha-256\n}", 4},
		{"content", start + "signature header X\ncontent {bdy}\n}", 4},
		{"in a nested block", start + "signature header X {\nprefix a\nencoding hexa\n}\n}", 5},
		{"after a nested block", start + "signature header X {\nprefix algorithm\n}\nalgorithm sha-256\n}", 6},
		{"tag content", start + "signature header X {\nseparator ,\ntag v1\ntag_content v0 a\n}\n}", 6},
		{"nested block as a whole", start + "construction hmac\nsignature header X {\nassign :\n}\n}", 4},
		{"tolerance", start + "signature header X\ntimestamp header T\ncontent {timestamp}.{body}\ntolerance 90000h\n}", 6},
		{"not in the block", "hmac s {\nsignature header X\nconstruction hash\n}", 1},
		{"of the provider", "github s {\nconstruction ed25519\n}", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scheme := strings.Replace(tt.block, " s ", " ", 1)
			for source, first := range map[string]int{
				"{\nwebhooks {\nscheme acme " + scheme + "\n}\n}": 3,
				":80 {\nwebhook_verify " + tt.block + "\n}":       2,
			} {
				_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(source), nil)
				if want := fmt.Sprintf("Caddyfile:%d", first+tt.line-1); err == nil || !regexp.MustCompile(want+`\b`).MatchString(err.Error()) {
					t.Errorf("got %v; want it to name %s in\n%s", err, want, source)
				}
			}
		})
	}
}

// The custom schemes of a Caddyfile are suggested too.
func TestCustomSchemesAreSuggested(t *testing.T) {
	const options = "{\nwebhooks {\nscheme acme-orders {\nsignature header X-Acme\n}\n%s}\n}\n"
	for name, source := range map[string]string{
		"by webhook_verify": fmt.Sprintf(options, "") + ":80 {\nwebhook_verify acme-order s\n}",
		"by a scheme":       fmt.Sprintf(options, "scheme b acme-order {\n}\n"),
	} {
		_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(source), nil)
		if err == nil || !strings.Contains(err.Error(), "did you mean acme-orders?") {
			t.Errorf("%s: got %v; want it to suggest acme-orders", name, err)
		}
	}
}

// Every field of a scheme can be set in the Caddyfile.
func TestVerifyBlockReachesEveryField(t *testing.T) {
	content := must.Get(os.ReadFile("testdata/verify/custom.caddyfiletest"))(t)
	_, block, _ := strings.Cut(string(content), "webhook_verify")
	block, _, _ = strings.Cut(block, "reverse_proxy")
	var h Verify
	must.Do(t, h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("webhook_verify"+block)))
	// The fields that can't be combined with most of the others.
	for _, signature := range []string{"json sig {\neach items\nrepeated\n}", "header Sig {\nseparator ,\nsingle\n}"} {
		must.Do(t, h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("webhook_verify hmac s {\nsignature "+signature+"\n}")))
	}
	descriptive := []string{"Aliases", "Title", "Source", "Unconfirmed", "Notes", "Signature.Names", "Sent"}
	var check func(path string, v reflect.Value)
	check = func(path string, v reflect.Value) {
		for i := range v.NumField() {
			name := path + v.Type().Field(i).Name
			switch {
			case slices.Contains(descriptive, name):
			case v.Field(i).Kind() == reflect.Struct:
				check(name+".", v.Field(i))
			case v.Field(i).IsZero() && name != "EventType.Pattern":
				t.Errorf("%s can't be set, or isn't in the golden file", name)
			}
		}
	}
	check("", reflect.ValueOf(h.Scheme))
}

// Durations are parsed in the same way in JSON as in the Caddyfile, where Caddy does it.
func TestDurationsInJSON(t *testing.T) {
	for _, text := range []string{"5m", "2d", "1d12h", "1.5d30m", "-1d", "d", "1..5d", "5", "day", ""} {
		var got verify.Duration
		want, wantErr := caddy.ParseDuration(text)
		if err := json.Unmarshal([]byte(strconv.Quote(text)), &got); time.Duration(got) != want || (err == nil) != (wantErr == nil) {
			t.Errorf("%q: got %v, %v, want Caddy's %v, %v", text, time.Duration(got), err, want, wantErr)
		}
	}
}

// Whatever is in the block, the parser returns, and its result is the same after a
// round trip through JSON.
func FuzzVerifyBlock(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.caddyfiletest")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		source, _, _ := strings.Cut(string(content), "----------")
		if _, block, ok := strings.Cut(source, "webhook_verify"); ok {
			f.Add("webhook_verify" + block)
		}
	}
	f.Add("webhook_verify hmac s {\n}\n}")
	f.Add("webhook_verify hmac {\nsignature header X {\ntag\n")
	f.Fuzz(func(t *testing.T, source string) {
		tokens, err := caddyfile.Tokenize([]byte(source), "") // the test dispenser would exit on an error here
		if err != nil {
			return
		}
		var h Verify
		if err := h.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
			return
		}
		first := must.Get(json.Marshal(h))(t)
		var again Verify
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatalf("%v in %s", err, first)
		}
		second, err := json.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("the JSON changed in a round trip: %v\n%s\n%s", err, first, second)
		}
		if h.MaxBody < 0 || h.ReplayFor < 0 {
			t.Fatalf("a size or duration is negative: %s", first)
		}
		if scheme, err := h.scheme(nil); err == nil {
			_ = scheme.Validate() // must not panic
		}
	})
}
