package verify

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// lookUp looks up a path in a valid document with encoding/json. A key is repeated if an
// object on the path has it twice, or also in another case if foldCase is set.
func lookUp(raw []byte, path jsonPath, foldCase bool) (value []byte, repeated bool) {
	for _, step := range path {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber() // no number is too large
		open, _ := d.Token()
		object := open == json.Delim('{')
		if !object && open != json.Delim('[') {
			return nil, repeated
		}
		raw = nil
		for i := 0; d.More(); i++ {
			name := strconv.Itoa(i)
			if object {
				key, _ := d.Token()
				name = key.(string)
			}
			var member json.RawMessage
			d.Decode(&member)
			switch {
			case name == step:
				repeated = repeated || raw != nil
				raw = member
			case object && foldCase && strings.EqualFold(name, step):
				repeated = true
			}
		}
	}
	return bytes.TrimSpace(raw), repeated
}

// textAt returns what jsonDocument.text should.
func textAt(document []byte, path jsonPath) (text string, found bool, reason Reason) {
	raw, repeated := lookUp(document, path, true)
	switch {
	case repeated:
		return "", false, ReasonRepeatedField
	case raw == nil, string(raw) == "null":
		return "", false, ""
	case raw[0] == '{', raw[0] == '[':
		return "", false, ReasonMalformedField
	case raw[0] != '"':
		return string(raw), true, ""
	}
	json.Unmarshal(raw, &text)
	if strings.ContainsRune(text, utf8.RuneError) {
		return "", false, ReasonMalformedField
	}
	return text, true, ""
}

// isDeep reports whether a document is nested more than maxJSONDepth deep.
func isDeep(document []byte) bool {
	d, depth := json.NewDecoder(bytes.NewReader(document)), 0
	d.UseNumber()
	for depth <= maxJSONDepth {
		switch token, err := d.Token(); {
		case err != nil:
			return false
		case token == json.Delim('{'), token == json.Delim('['):
			depth++
		case token == json.Delim('}'), token == json.Delim(']'):
			depth--
		}
	}
	return true
}

// The scanner finds the same as encoding/json in a valid document. In others, it doesn't
// panic or read past the end.
func FuzzJSON(f *testing.F) {
	for _, document := range []string{
		`{"a":{"b":[1,{"c":"x"}]}}`, `[{"a":1},2]`, `"text"`, `12`, `{"a":"\u0062\"\\"}`, `{"\u0061":1}`, ` { "a" : null , "b" : [ ] } `, `{"a":{"a":{"a":true}}}`,
		`{"a":1,"a":2}`, `{`, `{"a"`, `{"a":`, `[`, `]`, `"`, `"\`, `{"a":"` + strings.Repeat("x", 40000) + `","b":1}`, `{"` + strings.Repeat("k", 20000) + `":1,"a":2}`,
		"{\"a\":\"\xff\"}", `{"a":[[[[[]]]]]}`, `{"a":-1.5e10}`, `{"a":tru}`, `{"a":1}{"a":2}`, ``, ` `,
		`{"a":{"b":1,"\u0062":2},"A":1}`, `{"a":"\ud83d\ude00","b":"\ud800"}`, `{"\ud800":1,"a":1e400}`, `{"a":[0,1,2,3,4,5,6,7,8,9,{"b":1,"c":2}]}`,
		`{"` + strings.Repeat("k", maxJSONText-1) + `\u00e9":1,"a":2}`, `{"x":` + strings.Repeat("[", 201) + strings.Repeat("]", 201) + `,"a":1}`,
	} {
		for _, paths := range []string{"a", "a.b.1.c b", "0.a 0 1", "a.b b a a.c", "a.a.a a.a", "a.10.b a.1 a.10.c", "x.0 a"} {
			f.Add([]byte(document), paths)
		}
	}
	f.Fuzz(func(t *testing.T, document []byte, texts string) {
		var paths []jsonPath
		for _, text := range strings.Fields(texts) {
			if path, err := compileJSONPath(text); err == nil && len(paths) < maxJSONPaths && len(text) <= maxJSONText/len(`\u0000`) && !strings.ContainsRune(text, utf8.RuneError) {
				paths = append(paths, path)
			}
		}
		together, invalid := parseJSON(document, paths)
		if (invalid == "") != json.Valid(document) {
			t.Fatalf("%q: reason %q", document, invalid)
		}
		for _, toEnd := range []bool{true, false} {
			spans := make([]jsonSpan, len(paths))
			err := findJSON(bytes.NewReader(document), int64(len(document)), paths, spans, toEnd)
			if invalid != "" || err != nil && isDeep(document) {
				continue
			}
			for i, path := range paths {
				want, repeated := lookUp(document, path, false)
				span := spans[i]
				if err != nil || span.found != (want != nil) || toEnd && span.repeated != repeated || !repeated && string(document[span.start:span.end]) != string(want) {
					t.Fatalf("%q at %q: span %+v, error %v, want %q, repeated: %t", document, path, span, err, want, repeated)
				}
			}
		}
		if invalid != "" {
			return
		}
		alone, _ := parseJSON(document, nil)
		for _, path := range paths {
			want, wantFound, wantReason := textAt(document, path)
			for _, d := range []*jsonDocument{alone, together} {
				got, found, reason := d.text(path)
				if reason == ReasonMalformedBody && isDeep(document) {
					continue
				}
				if got != want || found != wantFound || reason != wantReason {
					t.Fatalf("%q at %q of %d: %q, found: %t, reason %q, want %q, %t, %q", document, path, len(d.paths), got, found, reason, want, wantFound, wantReason)
				}
			}
		}
	})
}

// A timestamp has one text: formatting what was parsed gives the same text.
func FuzzTime(f *testing.F) {
	for _, text := range []string{"1700000000", "1700000000000", "0", "-1", "01700000000", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.5+01:00", "Tue, 14 Nov 2023 22:13:20 GMT", "", " "} {
		for name := range timeFormats {
			f.Add(name, text)
		}
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		format, ok := timeFormats[name]
		if !ok {
			return
		}
		at, ok := format.parse(text)
		if !ok {
			return
		}
		switch name {
		case "rfc3339":
			if strings.Trim(text, "0123456789-+:.TZ") != "" || at.Year() > 9999 {
				t.Fatalf("%q: parsed as %s, want refused", text, at)
			}
		case "unix_or_ms":
			if len(text) == 13 {
				format = timeFormats["unix_ms"]
			}
			fallthrough
		default:
			if back := format.format(at); back != text {
				t.Fatalf("%s: %q is formatted as %q, want the same", name, text, back)
			}
		}
		Timestamp{Past: hours(1)}.check(at, time.Unix(1<<62, 0))
	})
}

// The form parser agrees with net/url on what it accepts.
func FuzzForm(f *testing.F) {
	for _, text := range []string{"", "a=1&b=2", "a=1&a=2", "a", "=", "&", "&&a=1", "a=%41+b", "a=%4", "a=1;b=2", "%zz=1", "a==", "a=b=c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pairs, ok := parsePairs(text)
		want, err := url.ParseQuery(text)
		if ok != (err == nil) && strings.Count(text, "&") < maxPairs {
			t.Fatalf("%q: accepted: %t, by net/url: %v", text, ok, err)
		}
		if !ok {
			return
		}
		got := make(url.Values)
		for _, p := range pairs {
			got.Add(p.name, p.value)
		}
		if got.Encode() != want.Encode() {
			t.Fatalf("%q: got %v, want %v", text, got, want)
		}
		sorted, reason := appendSorted(nil, pairs, "=", "&")
		if reason == "" && len(want) != len(pairs) {
			t.Fatalf("%q has a repeated name: sorted as %q, want refused", text, sorted)
		}
		for name := range want {
			_, found, reason := lookup(pairs, name)
			if !found && reason == "" || (reason == ReasonRepeatedField) != (len(want[name]) > 1) {
				t.Fatalf("%q: lookup of %q: found %t, reason %q", text, name, found, reason)
			}
		}
	})
}

// A document longer than the scanner's window is read in the same way.
func TestJSONAcrossWindows(t *testing.T) {
	for _, pad := range []int{0, 1, 16<<10 - 50, 16<<10 - 30, 16<<10 - 20, 16<<10 - 12, 16<<10 - 11, 16<<10 - 10, 16<<10 - 2, 16 << 10, 40 << 10} {
		for shift := range 24 {
			document := `{"x":"` + strings.Repeat("x", shift) + strings.Repeat(`\n\"`, pad/4) + strings.Repeat("x", pad%4) + `","n":1234567890,"y":[{"\"":"\\"},{}],"ke\u0079":{"sub":"va\"lue"}}`
			var spans [2]jsonSpan
			must.Do(t, findJSON(strings.NewReader(document), int64(len(document)), []jsonPath{{"key", "sub"}, {"n"}}, spans[:], true))
			for i, want := range []string{`va"lue`, "1234567890"} {
				if got, reason := readJSONText(strings.NewReader(document), spans[i]); reason != "" || got != want {
					t.Fatalf("padded by %d: got %q, span %+v", pad+shift, got, spans[i])
				}
			}
		}
	}
}

// Escapes cost no more time than other text: anyone can send a body of nothing else, and
// what is signed in it is looked for before anything is verified.
func BenchmarkJSONStrings(b *testing.B) {
	for name, text := range map[string]string{"plain": "xx", "escapes": `\n`} {
		b.Run(name, func(b *testing.B) {
			document := `{"x":["` + strings.Repeat(text, 1<<20) + `"],"n":1}`
			b.SetBytes(int64(len(document)))
			for b.Loop() {
				var spans [1]jsonSpan
				if err := findJSON(strings.NewReader(document), int64(len(document)), []jsonPath{{"n"}}, spans[:], true); err != nil || !spans[0].found {
					b.Fatal(err)
				}
			}
		})
	}
}

// A value in a body is a scalar of limited length.
func TestJSONValues(t *testing.T) {
	nested := func(depth int) string {
		return `{"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `,"a":1}`
	}
	for _, tt := range []struct{ name, document, path, want string }{
		{"the eleventh element", `{"a":[0,1,2,3,4,5,6,7,8,9,"ten"]}`, "a.10", "ten"},
		{"beside one that differs in case", `{"A":1,"a":2}`, "a", "2"},
		{"the longest", `{"a":"` + strings.Repeat("x", maxJSONText-2) + `"}`, "a", strings.Repeat("x", maxJSONText-2)},
		{"a longer one", `{"a":"` + strings.Repeat("x", maxJSONText-1) + `"}`, "a", ""},
		{"a line break that isn't escaped", "{\"a\":\"x\ny\"}", "a", ""},
		{"an escape that is none", `{"a":"\x"}`, "a", ""},
		{"without a colon", `{"a"="x"}`, "a", ""},
		{"behind a key that is no text", `{"\x":1,"a":"x"}`, "a", ""},
		{"behind a long key with an escape", `{"` + strings.Repeat("k", maxJSONText-1) + `\u00e9":1,"a":"x"}`, "a", "x"},
		{"behind no value", `{"b":,"a":"x"}`, "a", ""},
		{"behind what is nested", nested(maxJSONDepth), "a", "1"},
		{"behind what is nested deeper", nested(maxJSONDepth + 1), "a", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := strings.NewReader(tt.document)
			var spans [1]jsonSpan
			err := findJSON(body, body.Size(), []jsonPath{strings.Split(tt.path, ".")}, spans[:], true)
			got, reason := readJSONText(body, spans[0])
			if got != tt.want || (err == nil && reason == "") != (tt.want != "") {
				t.Errorf("got %q, reason %q, error %v, want %q", got, reason, err, tt.want)
			}
		})
	}
	whole := `{"a":"x","b":[1,{"c":"d\\e"},[true]],"f":{"g":["h"]}}`
	for i := range len(whole) {
		var spans [2]jsonSpan
		if err := findJSON(strings.NewReader(whole), int64(i), []jsonPath{{"a"}, {"b", "1", "c"}}, spans[:], true); err == nil {
			t.Errorf("%q: spans %+v, want an error", whole[:i], spans)
		}
	}
}

// Each hash of a body is linked in, and has its place in input.hashes.
func TestBodyHashes(t *testing.T) {
	for name, h := range bodyHashes {
		if !h.Available() || int(h) >= len(new(input).hashes) {
			t.Errorf("%s is not available", name)
		}
	}
}

// placed is a body of zeros. It records how many parse slots are taken while it is read.
type placed struct{ most int }

func (p *placed) ReadAt(b []byte, _ int64) (int, error) {
	p.most = max(p.most, len(parseSlots))
	return len(b), nil
}

// Large bodies wait for a parse slot. Small ones don't.
func TestLargeBodiesTakeTurns(t *testing.T) {
	row, _ := Lookup("twilio")
	v := must.Get(New(row, Options{Secrets: []string{"secret"}}))(t)
	for size, want := range map[int64]int{largeBody: 0, largeBody + 1: 1} {
		r := &Request{Method: "POST", ContentLength: size, Header: http.Header{
			"X-Twilio-Signature": {"MDEyMzQ1Njc4OTAxMjM0NTY3ODk="}, "Content-Type": {typeForm},
		}}
		check := must.Get(v.Begin(r))(t)
		_, _ = check.Write(make([]byte, size))
		body := &placed{}
		if _, err := check.Finish(body, size); err == nil {
			t.Error("the body is accepted, want refused")
		}
		if body.most != want || len(parseSlots) != 0 {
			t.Errorf("%d bytes: %d slots taken, and %d after the end", size, body.most, len(parseSlots))
		}
	}
}
