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
)

// tree looks up a path with encoding/json. Objects with a repeated key are not compared,
// since the scanner refuses them or drops their values.
func tree(raw []byte, path jsonPath) (text string, found bool) {
	if len(path) == 0 {
		if raw[0] == '{' || raw[0] == '[' {
			return "", true
		}
		if raw[0] == '"' {
			json.Unmarshal(raw, &text)
			return text, true
		}
		return string(raw), true
	}
	switch raw[0] {
	case '{':
		var object map[string]json.RawMessage
		json.Unmarshal(raw, &object)
		if value, ok := object[path[0]]; ok {
			return tree(bytes.TrimSpace(value), path[1:])
		}
	case '[':
		var list []json.RawMessage
		json.Unmarshal(raw, &list)
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(list) && strconv.Itoa(i) == path[0] {
			return tree(bytes.TrimSpace(list[i]), path[1:])
		}
	}
	return "", false
}

// hasRepeats reports whether an object in a document has a repeated key.
func hasRepeats(raw []byte) bool {
	d := json.NewDecoder(bytes.NewReader(raw))
	var walk func() bool
	walk = func() bool {
		token, err := d.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'):
			seen := make(map[string]bool)
			repeated := false
			for d.More() {
				key, err := d.Token()
				if err != nil {
					return repeated
				}
				name, _ := key.(string)
				repeated = repeated || seen[name]
				seen[name] = true
				repeated = walk() || repeated
			}
			d.Token()
			return repeated
		case json.Delim('['):
			repeated := false
			for d.More() {
				repeated = walk() || repeated
			}
			d.Token()
			return repeated
		}
		return false
	}
	return walk()
}

// The scanner finds the same as encoding/json in a valid document. In others, it doesn't
// panic or read past the end.
func FuzzJSON(f *testing.F) {
	for _, document := range []string{
		`{"a":{"b":[1,{"c":"x"}]}}`, `[{"a":1},2]`, `"text"`, `12`, `{"a":"\u0062\"\\"}`, `{"\u0061":1}`, ` { "a" : null , "b" : [ ] } `, `{"a":{"a":{"a":true}}}`,
		`{"a":1,"a":2}`, `{`, `{"a"`, `{"a":`, `[`, `]`, `"`, `"\`, `{"a":"` + strings.Repeat("x", 40000) + `","b":1}`, `{"` + strings.Repeat("k", 20000) + `":1,"a":2}`,
		"{\"a\":\"\xff\"}", `{"a":[[[[[]]]]]}`, `{"a":-1.5e10}`, `{"a":tru}`, `{"a":1}{"a":2}`, ``, ` `,
	} {
		for _, path := range []string{"a", "a.b.1.c", "0.a", "b", "a.a.a", "1"} {
			f.Add([]byte(document), path)
		}
	}
	f.Fuzz(func(t *testing.T, document []byte, text string) {
		path, err := compileJSONPath(text)
		if err != nil {
			return
		}
		for _, all := range []bool{false, true} {
			var spans [2]jsonSpan
			err := findJSON(bytes.NewReader(document), int64(len(document)), []jsonPath{path, {"b"}}, spans[:], all)
			if !json.Valid(document) || hasRepeats(document) {
				continue
			}
			if err != nil {
				t.Fatalf("%q: error %v, want none", document, err)
			}
			span := spans[0]
			want, found := tree(bytes.TrimSpace(document), path)
			if span.found != found || span.repeated {
				t.Fatalf("%q at %q: span %+v, want found: %t", document, text, span, found)
			}
			if !found {
				continue
			}
			got, _ := jsonText(document[span.start:span.end])
			if got != want && !(got == "" && want == "null") {
				t.Fatalf("%q at %q: %q, want %q", document, text, got, want)
			}
		}
		if alone, reason := parseJSON(document, nil); reason == "" {
			value, _, reason := alone.text(path)
			switch reason {
			case "", ReasonRepeatedField, ReasonMalformedField:
			case ReasonMalformedBody: // it is too deep, or a long key has escapes, where not all paths lead
				return
			default:
				t.Fatalf("%q at %q: reason %s, want none", document, text, reason)
			}
			together, _ := parseJSON(document, []jsonPath{{"b"}, path, {"a", "c"}, path})
			if got, _, why := together.text(path); why != ReasonMalformedBody && (got != value || why != reason) {
				t.Fatalf("%q at %q: with others %q, reason %q, alone %q, reason %q", document, text, got, why, value, reason)
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
			if err := findJSON(strings.NewReader(document), int64(len(document)), []jsonPath{{"key", "sub"}, {"n"}}, spans[:], true); err != nil {
				t.Fatal(err)
			}
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
	v, err := New(row, Options{Secrets: []string{"secret"}})
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int64]int{largeBody: 0, largeBody + 1: 1} {
		r := &Request{Method: "POST", ContentLength: size, Header: http.Header{
			"X-Twilio-Signature": {"MDEyMzQ1Njc4OTAxMjM0NTY3ODk="}, "Content-Type": {typeForm},
		}}
		check, err := v.Begin(r)
		if err != nil {
			t.Fatal(err)
		}
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
