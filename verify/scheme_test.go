package verify_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func TestMerge(t *testing.T) {
	github := rowOf(t, "github")
	merged := github.Merge(verify.Scheme{
		Signature: verify.Signature{Prefix: "v1="},
		Content:   "{timestamp}.{body}",
		Timestamp: verify.Timestamp{In: "header", Name: "X-Time", Past: verify.Duration(time.Minute)},
	})
	want := github
	want.Signature.Prefix = "v1="
	want.Content = "{timestamp}.{body}"
	want.Timestamp = verify.Timestamp{In: "header", Name: "X-Time", Past: verify.Duration(time.Minute)}
	if !reflect.DeepEqual(merged, want) {
		t.Errorf("got %+v, want %+v", merged, want)
	}
	if !reflect.DeepEqual(github, rowOf(t, "github")) {
		t.Error("Merge changed the scheme")
	}
	if !reflect.DeepEqual(github.Merge(verify.Scheme{}), github) {
		t.Error("Merge with the zero value changed something")
	}
	// Name and Names replace each other.
	plivo := rowOf(t, "plivo")
	if one := plivo.Merge(verify.Scheme{Signature: verify.Signature{Name: "X-One"}}); one.Signature.Names != nil || one.Validate() != nil {
		t.Errorf("one name instead of several: %+v, %v", one.Signature, one.Validate())
	}
	if several := github.Merge(verify.Scheme{Signature: verify.Signature{Names: []string{"A", "B"}}}); several.Signature.Name != "" || several.Validate() != nil {
		t.Errorf("several names instead of one: %+v, %v", several.Signature, several.Validate())
	}
}

// Every error names the field and says what to do.
func TestValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*verify.Scheme)
		want   []string
	}{
		"tolerance of no time": {func(s *verify.Scheme) { s.Timestamp = verify.Timestamp{Future: verify.Duration(time.Minute)} }, []string{"timestamp", "leave it out"}},
		"tolerance in JSON without a unit": {func(s *verify.Scheme) {
			s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time", Future: 300}
		}, []string{"tolerance", "300ns", `"5m"`, "nanoseconds"}},
		"endless tolerance": {func(s *verify.Scheme) { s.Timestamp.Past = verify.Duration(60000 * 24 * time.Hour) }, []string{"tolerance", "3650 days", "off"}},
		"no signature":      {func(s *verify.Scheme) { s.Signature.Name = "" }, []string{"signature", "say where"}},
		"bad header":        {func(s *verify.Scheme) { s.Signature.Name = "X Sig" }, []string{"signature", `"X Sig"`}},
		"bad source":        {func(s *verify.Scheme) { s.Signature.In = "cookie" }, []string{"signature", `"cookie"`, "header, query, json, form"}},
		"bad algorithm":     {func(s *verify.Scheme) { s.Algorithm = "md5" }, []string{"algorithm", `"md5"`, "sha256"}},
		"bad key":           {func(s *verify.Scheme) { s.Key = "rot13" }, []string{"key", `"rot13"`, "whsec"}},
		"bad encoding":      {func(s *verify.Scheme) { s.Signature.Encoding = "base32" }, []string{"signature", "encoding", "base64url"}},
		"bad construction":  {func(s *verify.Scheme) { s.Construction = "dsa" }, []string{"construction", "hmac, hash, token, ecdsa, ed25519, rsa"}},
		"bad handshake":     {func(s *verify.Scheme) { s.Handshake = "shake" }, []string{"handshake", `"shake"`, "slack"}},
		"bad port":          {func(s *verify.Scheme) { s.DefaultPort = "80" }, []string{"default_port", "either"}},
		"handshake of a key pair": {func(s *verify.Scheme) {
			s.Handshake, s.Construction, s.Key = "x", "ed25519", "hex"
		}, []string{"handshake", "HMAC", "ed25519"}},
		"handshake of a hash": {func(s *verify.Scheme) {
			s.Handshake, s.Construction, s.Content = "zoom", "hash", "{secret}{body}"
		}, []string{"handshake", "HMAC", "hash"}},
		"rsa without pem":       {func(s *verify.Scheme) { s.Construction = "rsa" }, []string{"key", "nothing is set; use one of pem"}},
		"ecdsa in base64":       {func(s *verify.Scheme) { s.Construction, s.Key = "ecdsa", "base64" }, []string{"key", `"base64"`, "pem"}},
		"hmac of pem":           {func(s *verify.Scheme) { s.Key = "pem" }, []string{"key", "key pairs", "hmac has none"}},
		"hash of pem":           {func(s *verify.Scheme) { s.Construction, s.Key = "hash", "pem" }, []string{"key", "key pairs", "hash has none"}},
		"rsa with sha1":         {func(s *verify.Scheme) { s.Construction, s.Key, s.Algorithm = "rsa", "pem", "sha1" }, []string{"algorithm", "forged"}},
		"secret of a key pair":  {func(s *verify.Scheme) { s.Construction, s.Key, s.Content = "ecdsa", "pem", "{secret}{body}" }, []string{"content", "construction hash"}},
		"ed25519 without a key": {func(s *verify.Scheme) { s.Construction = "ed25519" }, []string{"key", "nothing is set; use one of ed25519"}},
		"ed25519 of text":       {func(s *verify.Scheme) { s.Construction, s.Key = "ed25519", "text" }, []string{"key", `"text"`, "hex"}},
		"hmac of ed25519":       {func(s *verify.Scheme) { s.Key = "ed25519" }, []string{"key", "key pairs", "hmac has none"}},
		"ed25519 with a hash":   {func(s *verify.Scheme) { s.Construction, s.Key, s.Algorithm = "ed25519", "hex", "sha256" }, []string{"algorithm", "drop it"}},
		"secret of ed25519":     {func(s *verify.Scheme) { s.Construction, s.Key, s.Content = "ed25519", "hex", "{secret}{body}" }, []string{"content", "construction hash"}},
		"status 410":            {func(s *verify.Scheme) { s.StatusCode = 410 }, []string{"status_code", "stop for good", "401"}},
		"no acknowledgement":    {func(s *verify.Scheme) { s.Acknowledge = verify.Acknowledge{Status: 301} }, []string{"acknowledge", "301", "299"}},
		"body without status":   {func(s *verify.Scheme) { s.Acknowledge = verify.Acknowledge{Body: "ok"} }, []string{"acknowledge", "200"}},
		"both names":            {func(s *verify.Scheme) { s.Signature.Names = []string{"A"} }, []string{"signature", "either"}},
		"tags without list":     {func(s *verify.Scheme) { s.Signature.Tags = []string{"v1"} }, []string{"signature", "separator"}},
		"groups without list":   {func(s *verify.Scheme) { s.Signature.Groups = " " }, []string{"signature", "separator"}},
		"each without json":     {func(s *verify.Scheme) { s.Signature.Each = "items" }, []string{"signature", "json"}},
		"numbered in query":     {func(s *verify.Scheme) { s.Signature.In, s.Signature.Numbered = "query", true }, []string{"signature", "numbered"}},
		"unknown word":          {func(s *verify.Scheme) { s.Content = "{timestamp}.{bdy}" }, []string{"content", "{bdy}", "column 13", "did you mean {body}?"}},
		"part of a word":        {func(s *verify.Scheme) { s.Content = "{time}.{body}" }, []string{"did you mean {timestamp}?"}},
		"short unknown word":    {func(s *verify.Scheme) { s.Content = "{ts}.{body}" }, []string{"no such placeholder; there are"}},
		"unknown kind":          {func(s *verify.Scheme) { s.Content = "{cookie.x}{body}" }, []string{"content", "{cookie.x}", "column 1", "header.<name>"}},
		"unknown hash":          {func(s *verify.Scheme) { s.Content = "{body_crc32_hex}" }, []string{"content", "{body_crc32_hex}", "sha256"}},
		"unknown hash format":   {func(s *verify.Scheme) { s.Content = "{body_sha256_dec}" }, []string{"content", "hex"}},
		"unknown function":      {func(s *verify.Scheme) { s.Content = "{func.x}{body}" }, []string{"content", "{func.x}", "plivo_v3"}},
		"nameless":              {func(s *verify.Scheme) { s.Content = "{header.}{body}" }, []string{"content", "column 1", "name"}},
		"open brace":            {func(s *verify.Scheme) { s.Content = "a{body" }, []string{"content", "column 2", "never closed", "{{"}},
		"closing brace":         {func(s *verify.Scheme) { s.Content = "{body}}" }, []string{"content", "column 7", "}}"}},
		"bad escape":            {func(s *verify.Scheme) { s.Content = `{body}\x` }, []string{"content", "column 7", `\n`}},
		"trailing backslash":    {func(s *verify.Scheme) { s.Content = `{body}\` }, []string{"content", "column 7"}},
		"body twice":            {func(s *verify.Scheme) { s.Content = "{body}{body}" }, []string{"content", "column 7", "once"}},
		"no body":               {func(s *verify.Scheme) { s.Content = "{url}" }, []string{"content", "unsigned", "unbound_body"}},
		"no timestamp":          {func(s *verify.Scheme) { s.Content = "{timestamp}.{body}" }, []string{"content", "{timestamp}", "set timestamp"}},
		"no id":                 {func(s *verify.Scheme) { s.Content = "{id}.{body}" }, []string{"content", "{id}", "set id"}},
		"no event type":         {func(s *verify.Scheme) { s.Content = "{event_type}.{body}" }, []string{"content", "{event_type}", "set event_type"}},
		"no list":               {func(s *verify.Scheme) { s.Content = "{field.t}.{body}" }, []string{"content", "separator"}},
		"no tags": {func(s *verify.Scheme) {
			s.Signature.Separator, s.Content = ",", "{field.t}.{body}"
		}, []string{"content", "tags"}},
		"no list of names":     {func(s *verify.Scheme) { s.Content = "{func.hook0_values}.{body}" }, []string{"content", "separator and tags"}},
		"secret in an HMAC":    {func(s *verify.Scheme) { s.Content = "{secret}{body}" }, []string{"content", "construction hash"}},
		"a *, and a path":      {func(s *verify.Scheme) { s.Content = "{path}.{json.a*}:{body_sha256}" }, []string{"content", "*"}},
		"two *":                {func(s *verify.Scheme) { s.Content = "{json.a*}:{json.b*}:{body}" }, []string{"content", "*"}},
		"bad JSON path":        {func(s *verify.Scheme) { s.Content = "{json.a..b}{body}" }, []string{"content", "a..b", "data.0.id"}},
		"bad header word":      {func(s *verify.Scheme) { s.Content = "{header.a b}{body}" }, []string{"content", "header"}},
		"form leaves the body": {func(s *verify.Scheme) { s.FormContent = "{url}" }, []string{"form_content", "unbound_body"}},
		"token":                {func(s *verify.Scheme) { s.Construction = "token" }, []string{"content", "signs nothing", "unbound_body"}},
		"timestamp unsigned":   {func(s *verify.Scheme) { s.Timestamp = verify.Timestamp{In: "header", Name: "X-T"} }, []string{"timestamp", "does not cover"}},
		"timestamp placeless":  {func(s *verify.Scheme) { s.Timestamp.Name = "X-T" }, []string{"timestamp", "place"}},
		"timestamp nameless":   {func(s *verify.Scheme) { s.Timestamp.In = "header" }, []string{"timestamp", "name"}},
		"timestamp, no list":   {func(s *verify.Scheme) { s.Timestamp = verify.Timestamp{In: "field", Name: "t"} }, []string{"timestamp", "separator"}},
		"timestamp first":      {func(s *verify.Scheme) { s.Timestamp.In = "first" }, []string{"timestamp", "separator"}},
		"bad timestamp format": {func(s *verify.Scheme) { s.Timestamp = verify.Timestamp{In: "header", Name: "X-T", Format: "iso"} }, []string{"timestamp", `"iso"`, "rfc3339"}},
		"id placeless":         {func(s *verify.Scheme) { s.ID.Name = "X-Id" }, []string{"id", "header, query, json, form"}},
		"id nameless":          {func(s *verify.Scheme) { s.ID.In = "json" }, []string{"id", "name"}},
		"bad id pattern":       {func(s *verify.Scheme) { s.ID = verify.Field{In: "header", Name: "X-Id", Pattern: "("} }, []string{"id", "pattern"}},
		"unbalanced pattern":   {func(s *verify.Scheme) { s.ID = verify.Field{In: "header", Name: "X-Id", Pattern: "[0-9]+)|(.*"} }, []string{"id", "pattern"}},
		"event type in cookie": {func(s *verify.Scheme) { s.EventType = verify.Field{In: "cookie", Name: "x"} }, []string{"event_type", `"cookie"`}},
		"signs its own body":   {func(s *verify.Scheme) { s.Signature.In = "json" }, []string{"content", "signature itself"}},
		"digest without URL":   {func(s *verify.Scheme) { s.BodyDigest = "sum" }, []string{"body_digest", "{url}"}},
		"content of a token": {func(s *verify.Scheme) {
			s.Construction, s.Content, s.UnboundBody = "token", "{body}", true
		}, []string{"content", "signs nothing"}},
		"id of two names":     {func(s *verify.Scheme) { s.ID = verify.Field{In: "header", Name: "X-Id", Pattern: "X-Request-Id"} }, []string{"id", "one name"}},
		"assign without list": {func(s *verify.Scheme) { s.Signature.Assign = ":" }, []string{"signature", "separator"}},
		"single without list": {func(s *verify.Scheme) { s.Signature.Single = true }, []string{"signature", "separator"}},
		"single of groups": {func(s *verify.Scheme) {
			s.Signature.Single, s.Signature.Separator, s.Signature.Groups = true, ",", " "
		}, []string{"signature", "drop single"}},
		"single of headers": {func(s *verify.Scheme) {
			s.Signature = verify.Signature{Names: []string{"X-One", "X-Two"}, Separator: ",", Single: true}
		}, []string{"signature", "drop single"}},
		"list of lists alike": {func(s *verify.Scheme) { s.Signature.Separator, s.Signature.Groups = " ", " " }, []string{"signature", "separator"}},
		"signs itself":        {func(s *verify.Scheme) { s.Content = "{header.x-sig}.{body}" }, []string{"content", "itself"}},
		"signs itself as id": {func(s *verify.Scheme) {
			s.ID, s.Content = verify.Field{In: "header", Name: "X-Sig"}, "{id}.{body}"
		}, []string{"content", "itself"}},
		"signs its own form": {func(s *verify.Scheme) { s.Signature.In, s.Content = "form", "{func.twilio_form}" }, []string{"content", "signature itself"}},
		"signs its own URL":  {func(s *verify.Scheme) { s.Signature.In, s.Content = "query", "{url}{body}" }, []string{"content", "itself"}},
		"signs its own field": {func(s *verify.Scheme) {
			s.Signature.In, s.Content, s.UnboundBody = "json", "{json.X-Sig}", true
		}, []string{"content", "itself"}},
		"id of an element": {func(s *verify.Scheme) {
			s.Signature = verify.Signature{In: "json", Each: "items", Name: "sig"}
			s.ID, s.Content, s.UnboundBody = verify.Field{In: "json", Name: "id"}, "{id}:{json.a}", true
		}, []string{"content", "{json.id}"}},
		"event type of an element": {func(s *verify.Scheme) {
			s.Signature = verify.Signature{In: "json", Each: "items", Name: "sig"}
			s.EventType, s.Content, s.UnboundBody = verify.Field{In: "json", Name: "type"}, "{event_type}:{json.a}", true
		}, []string{"content", "whole body"}},
		"content of no tag": {func(s *verify.Scheme) {
			s.Signature.Separator, s.Signature.Tags, s.Signature.TagContents = ",", []string{"v1"}, map[string]string{"v0": "{body}"}
		}, []string{"signature.tag_contents", `"v0"`}},
	} {
		t.Run(name, func(t *testing.T) {
			s := base(tt.change)
			err := s.Validate()
			if err == nil {
				t.Fatalf("Validate accepts %+v", s)
			}
			for _, want := range append(tt.want, "scheme acme: ") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if _, err := verify.New(s, verify.Options{Secrets: []string{"secret"}}); err == nil {
				t.Error("New accepts it")
			}
			if _, err := verify.NewSigner(s, []string{"secret"}); err == nil {
				t.Error("NewSigner accepts it")
			}
			if s.Bounds() != (verify.Bounds{}) {
				t.Errorf("bounds %+v, want none", s.Bounds())
			}
		})
	}
}

// A name must be safe in a header and as a metric label.
func TestNames(t *testing.T) {
	for name, want := range map[string]bool{"acme": true, "Acme_2.x-y": true, "": true, "a\r\nX-Evil: 1": false, "a b": false, "ä": false, strings.Repeat("a", 65): false} {
		s := base(func(s *verify.Scheme) { s.Name = name })
		if err := s.Validate(); (err == nil) != want || err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("name %q: error %v, want accepted: %t", name, err, want)
		}
	}
}

// A plain hash without a secret is an error, since anyone can make it.
func TestHashNeedsSecret(t *testing.T) {
	for name, change := range map[string]func(*verify.Scheme){
		"content":      content(""),
		"body":         content("{body}"),
		"form content": func(s *verify.Scheme) { s.Content, s.FormContent = "{secret}{body}", "{form_sorted}" },
		"tag": func(s *verify.Scheme) {
			s.Content, s.Signature.Separator, s.Signature.Tags = "{secret}{body}", ",", []string{"v1"}
			s.Signature.TagContents = map[string]string{"v1": "{body}"}
		},
	} {
		s := base(change)
		s.Construction = "hash"
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "add {secret}") {
			t.Errorf("%s: error %v, want one about {secret}", name, err)
		}
	}
	github := rowOf(t, "github")
	github.Construction = "hash"
	if github.Validate() == nil {
		t.Error("Validate accepts GitHub's row as a plain hash")
	}
}

// The built-in schemes are valid, sorted, and found under their names and aliases.
func TestSchemes(t *testing.T) {
	rows := verify.Schemes()
	if !slices.IsSortedFunc(rows, func(a, b verify.Scheme) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the schemes are not sorted by name")
	}
	for _, s := range rows {
		if s.Name == "hmac" {
			s.Signature.Name = "X-Sig"
		}
		if err := s.Validate(); err != nil {
			t.Error(err)
		}
		if s.Title == "" || s.Source == "" {
			t.Errorf("%s has no title or no source", s.Name)
		}
		for _, name := range append(slices.Clone(s.Aliases), s.Name) {
			if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				t.Errorf("%q has other characters than a to z, 0 to 9 and -", name)
			}
			if found, ok := verify.Lookup(name); !ok || found.Name != s.Name {
				t.Errorf("Lookup(%s) = %s, %t, want %s", name, found.Name, ok, s.Name)
			}
		}
	}
	if s, ok := verify.Lookup("no-such-provider"); ok || s.Name != "" {
		t.Errorf("Lookup of an unknown name = %+v, %t", s, ok)
	}
	for name, want := range map[string]verify.Bounds{
		"github":           {Body: true, Message: true},
		"standard":         {Time: true, Body: true, Message: true},
		"mailgun":          {Time: true, Message: true},
		"dropbox-sign":     {Time: true},
		"okta":             {},
		"microsoft-graph":  {},
		"linear":           {Time: true, Body: true, Message: true},
		"twilio":           {Body: true, Message: true},
		"square":           {Body: true, Message: true},
		"mercado-pago":     {Time: true, Message: true},
		"sinch-voice":      {Time: true, Body: true, Message: true},
		"contentful":       {Time: true, Body: true, Message: true},
		"no-such-provider": {},
	} {
		s, _ := verify.Lookup(name)
		if got := s.Bounds(); got != want {
			t.Errorf("%s: bounds %+v, want %+v", name, got, want)
		}
		if s.Bounds().Replay() != (want.Time && want.Message) {
			t.Errorf("%s: replay %t", name, s.Bounds().Replay())
		}
	}
}

func TestTolerance(t *testing.T) {
	row := base(func(s *verify.Scheme) {
		s.Content = "{timestamp}.{body}"
		s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time", Past: verify.Duration(time.Minute)}
	})
	const second, hour = verify.Duration(time.Second), verify.Duration(time.Hour)
	for name, tt := range map[string]struct {
		past, future verify.Duration // instead of the row's
		silent       bool            // the scheme has no tolerance
		ok           []time.Duration // ages that are accepted
		not          []time.Duration // ages that are refused
	}{
		"the row's, on both sides": {ok: []time.Duration{-time.Minute, 0, time.Minute}, not: []time.Duration{-61 * time.Second, 61 * time.Second}},
		"another, on each side":    {past: hour, future: second, ok: []time.Duration{-time.Second, time.Hour}, not: []time.Duration{-2 * time.Second, 3601 * time.Second}},
		"another, on both sides":   {past: hour, ok: []time.Duration{-time.Hour, time.Hour}, not: []time.Duration{-3601 * time.Second, 3601 * time.Second}},
		"five minutes by default":  {silent: true, ok: []time.Duration{-5 * time.Minute, 5 * time.Minute}, not: []time.Duration{-301 * time.Second, 301 * time.Second}},
		"any":                      {past: -1, future: -1, ok: []time.Duration{-1 << 59, 1 << 60}},
		"any age, not any future":  {past: -1, future: 60 * second, ok: []time.Duration{1 << 60}, not: []time.Duration{-61 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := row
			if tt.silent || tt.past != 0 {
				scheme.Timestamp.Past, scheme.Timestamp.Future = tt.past, tt.future
			}
			for _, age := range append(slices.Clone(tt.ok), tt.not...) {
				v, err := verify.New(scheme, verify.Options{Secrets: []string{"secret"}, Now: func() time.Time { return testNow.Add(age) }})
				if err != nil {
					t.Fatal(err)
				}
				_, err = v.Verify(post(in, "X-Sig", sha256hex("secret", unixNow+"."+testBody), "X-Time", unixNow), []byte(testBody))
				if (err == nil) != slices.Contains(tt.ok, age) {
					t.Errorf("age %s: error %v", age, err)
				}
			}
		})
	}
}

func TestReasons(t *testing.T) {
	for reason, want := range map[verify.Reason]int{
		verify.ReasonBadSignature: 401, verify.ReasonStaleTimestamp: 401, verify.ReasonMethodNotAllowed: 405, verify.ReasonUnsupportedContentType: 415,
		verify.ReasonBodyTooLarge: 413, verify.ReasonReplayed: 409, verify.ReasonInFlight: 409, verify.ReasonBadVerifyToken: 403, verify.ReasonBadChallenge: 400,
	} {
		if reason.Status() != want {
			t.Errorf("%s: status %d, want %d", reason, reason.Status(), want)
		}
	}
}
