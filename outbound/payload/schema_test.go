package payload

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// Schemas that are invalid, refer to other documents or could take exponential time are
// refused.
func TestSchemaIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                                       "it is not JSON",
		`{"minimum":1e9999999}`:                   "over 308 digits",
		`{"multipleOf":1e9999999}`:                "over 308 digits",
		`"text"`:                                  "is not a JSON Schema",
		`{"type":"objekt"}`:                       `is not a JSON Schema: /type must be one of "array", "boolean", `,
		`{"properties":[]}`:                       "/properties must be an object, not an array",
		`{"pattern":"("}`:                         "is not a JSON Schema",
		`{"$ref":"#/$defs/missing"}`:              "is not a JSON Schema",
		`{"$ref":"other.json"}`:                   "refers to another document",
		`{"$ref":"https://example.com/s.json"}`:   "refers to another document",
		`{"$ref":"file:///etc/passwd"}`:           "refers to another document",
		`{"$schema":"https://example.com/draft"}`: "refers to another document",
		`{"$ref":"#"}`:                            "too many branches",
		doubling(20):                              "too many branches",
		`{"$dynamicRef":"#"}`:                     "use $ref",
		strings.Repeat(`{"not":`, 900) + "true" + strings.Repeat("}", 900): "100 levels",
		`{"a":"` + strings.Repeat("x", maxSchema) + `"}`:                   "at most",
	} {
		if _, err := NewSchema([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q", text, err, want)
		}
	}
}

// A payload that breaks its schema is refused with where and why, but without its values
// or names, which may be personal.
func TestSchemaJudges(t *testing.T) {
	for _, c := range []struct{ schema, payload, want string }{
		{`true`, `1`, ""},
		{`{}`, ``, "it is not JSON"},
		{`{}`, `{} {}`, "it is not JSON"},
		{`{"type":"integer"}`, `12345678901234567890`, ""},
		{`{"type":"integer"}`, `1.0`, ""},
		{`{"type":["string","null"]}`, `7`, "/ must be null or a string, not a number"},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"number"}]}`, `["x"]`, "/0 must be a number, not a string"},
		{`{"$defs":{"a":{"const":1}},"properties":{"x":{"$ref":"#/$defs/a"}}}`, `{"x":2}`, "/x must be 1"},
		{`{"$id":"https://example.com/s","$ref":"#/$defs/a","$defs":{"a":{"minLength":3}}}`, `"xy"`, "/ must have at least 3 characters"},
		{`{"items":{"type":"number"}}`, `["a","b","c","d","e","f"]`, "/4 must be a number, not a string; and more"},
		{`{"additionalProperties":{"type":"null"}}`, `{"` + strings.Repeat("é", 100) + `":1}`, "/* must be null, not a number"},
		{`{"minimum":1}`, `1e9999999`, "over 308 digits"},
		{`{"items":{"type":"integer"}}`, `[1,{"a":[-1e-999999]}]`, "over 308 digits"},
		{`{"minimum":1}`, strings.Repeat("1", 309), "over 308 digits"},
		{`{"minimum":1}`, `1E+308`, ""},
		// Names that only the payload has are data too.
		{`{"additionalProperties":{"properties":{"n":{"type":"number"}}}}`, `{"alice@example.com":{"n":"4111"}}`, "/*/n must be a number, not a string"},
		{`{"items":{"required":["` + strings.Repeat("k", 300) + `","b","c","d","e","f"]}}`, `[{}]`, "kkk…"},
	} {
		s, err := NewSchema([]byte(c.schema))
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		err = s.Check(t.Context(), "", []byte(c.payload))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s against %s: got %v, want none", c.payload, c.schema, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s against %s: got %v, want %s", c.payload, c.schema, err, c.want)
		}
	}
}

// An error says in words what each keyword asks for, whatever the draft, and at bounded
// length.
func TestSchemaSaysWhatItAsksFor(t *testing.T) {
	const draft7 = `"$schema":"http://json-schema.org/draft-07/schema#"`
	for _, c := range []struct{ schema, payload, want string }{
		{`{"properties":{"a":{"enum":["x",1,null]}}}`, `{"a":"secret"}`, `/a must be one of "x", 1, null`},
		{`{"enum":[{"a":1}]}`, `"secret"`, `/ must be {"a":1}`},
		{`{"enum":["` + strings.Repeat("k", 300) + `","b"]}`, `"secret"`, `/ must be one of "` + strings.Repeat("k", 99) + "…"},
		{`{"const":"x"}`, `"secret"`, `/ must be "x"`},
		{`{"required":["a","b"]}`, `{"b":1}`, "/a is missing"},
		{`{"items":{"required":["a","b"]}}`, `[{}]`, "/0/a is missing; /0/b is missing"},
		{`{"required":["a","b","c","d","e","f"]}`, `{}`, "/a is missing; /b is missing; /c is missing; /d is missing; /e is missing; and more"},
		{`{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, "/b is missing, which a requires"},
		{`{` + draft7 + `,"dependencies":{"a":["b"]}}`, `{"a":1}`, "/b is missing, which a requires"},
		{`{"minimum":1.5}`, `1`, "/ must be at least 1.5"},
		{`{"maximum":12345678901234567890}`, `1e30`, "/ must be at most 12345678901234567890"},
		{`{"maximum":1e300}`, `1e301`, "/ must be at most 1e+300"},
		{`{"exclusiveMinimum":1}`, `1`, "/ must be more than 1"},
		{`{"exclusiveMaximum":1}`, `1`, "/ must be less than 1"},
		{`{"multipleOf":2}`, `3`, "/ must be a multiple of 2"},
		{`{"minLength":1}`, `""`, "/ must have at least 1 character"},
		{`{"maxLength":2}`, `"secret"`, "/ must have at most 2 characters"},
		{`{"minItems":2}`, `[]`, "/ must have at least 2 elements"},
		{`{"maxItems":0}`, `[1]`, "/ must have at most 0 elements"},
		{`{"minProperties":1}`, `{}`, "/ must have at least 1 field"},
		{`{"maxProperties":1}`, `{"secret":1,"b":2}`, "/ must have at most 1 field"},
		{`{"uniqueItems":true}`, `["secret","secret"]`, "/ must not have an element twice"},
		{`{"contains":{"type":"null"}}`, `[1,2]`, "/ must have an element of the kind that contains asks for"},
		{`{"contains":{"type":"null"},"minContains":2}`, `[1,null]`, "/ must have at least 2 elements of the kind that contains asks for"},
		{`{"contains":{"type":"null"},"maxContains":1}`, `[null,null]`, "/ must have at most 1 element of the kind that contains asks for"},
		{`{"pattern":"^a$"}`, `"secret"`, "/ must match the pattern ^a$"},
		{`{` + draft7 + `,"format":"email"}`, `"secret"`, "/ must have the format email"},
		{`{` + draft7 + `,"items":[true],"additionalItems":false}`, `[1,2]`, "/ has elements that are not allowed"},
		{`{"additionalProperties":false}`, `{"secret":1}`, "/ has fields that are not allowed"},
		{`{"propertyNames":{"pattern":"^a$"}}`, `{"secret":1}`, "/ has a field with a name that is not allowed"},
		{`{"properties":{"a":false}}`, `{"a":1}`, "/a is not allowed"},
		{`{"not":{"type":"string"}}`, `"secret"`, "/ is what the schema's not excludes"},
		{`{"oneOf":[true,true]}`, `1`, "/ must match only one schema of oneOf, but matches several"},
		{`{"anyOf":[{"type":"null"},{"type":"array"}]}`, `{}`, "/ must be null, not an object; / must be an array, not an object"},
		{`{"type":["boolean","integer","object"]}`, `"secret"`, "/ must be a boolean or an integer or an object, not a string"},
	} {
		s, err := NewSchema([]byte(c.schema))
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		if err := s.Check(t.Context(), "", []byte(c.payload)); err == nil || err.Error() != c.want {
			t.Errorf("%s against %s:\ngot  %v\nwant %s", c.payload, c.schema, err, c.want)
		}
	}
}

// doubling returns a schema that checks one value 2^n times.
func doubling(n int) string {
	defs := `"d0":{"type":"string"}`
	for i := range n {
		defs += fmt.Sprintf(`,"d%d":{"anyOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}`, i+1, i, i)
	}
	return fmt.Sprintf(`{"$defs":{%s},"$ref":"#/$defs/d%d"}`, defs, n)
}

// A payload is refused if checking it against its schema would take too many steps, also
// where neither is large on its own.
func TestSchemasThatTakeTooLong(t *testing.T) {
	twice := `{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}`
	ones, needs := "["+strings.Repeat("1,", 10_000), ""
	for i := range 4000 {
		needs += fmt.Sprintf(`"x%d":["b"],`, i)
	}
	for schema, payload := range map[string]string{
		twice: strings.Repeat(`{"a":`, 30) + "1" + strings.Repeat("}", 30),
		`{"items":{"allOf":[` + strings.Repeat(`{"type":"string"},`, 3000) + `true]}}`:                                  "[" + strings.Repeat("1,", 10_000) + "1]",
		`{"properties":{"a":` + doubling(20)[:len(doubling(20))-1] + `,"$id":"https://example.com/a"}}}`:                `{"a":1}`,
		`{"allOf":[` + strings.Repeat(`{"pattern":"[^a]{0,900}y"},`, 100) + `true]}`:                                    `"` + strings.Repeat("x", 4<<10) + `"`,
		`{"patternProperties":{"[^a]{0,900}y":{}}}`:                                                                     `{"` + strings.Repeat("x", 64<<10) + `":1}`,
		`{"allOf":[` + strings.Repeat(`{"minLength":1,"maxLength":9},`, 2000) + `true]}`:                                `"` + strings.Repeat("x", 256<<10) + `"`,
		`{"allOf":[` + strings.Repeat(`{"uniqueItems":true},`, 50) + `true]}`:                                           "[" + ones + "1]," + ones + "2]]",
		`{"items":{"dependentRequired":{` + needs + `"z":["b"]}}}`:                                                      "[" + strings.Repeat(`{"a":1},`, 15_000) + "1]",
		`{"$defs":{"c":{"const":[` + ones + `1]]}},"allOf":[` + strings.Repeat(`{"$ref":"#/$defs/c"},`, 500) + `true]}`: "[" + ones + "2]]",
	} {
		s, err := NewSchema([]byte(schema))
		if err != nil {
			t.Errorf("%.60s: %v", schema, err)
			continue
		}
		if err := s.Check(t.Context(), "", []byte(payload)); !errors.Is(err, errManySteps) {
			t.Errorf("%.60s: got %v, want %v", schema, err, errManySteps)
		}
	}
}

// The limits leave room for large, but reasonable schemas and payloads.
func TestLargeSchemasAreAccepted(t *testing.T) {
	fields, values, refs := `"p":{}`, `"p":1`, `{}`
	for i := range 200 {
		fields += fmt.Sprintf(`,"p%d":{"type":["integer","null"],"minimum":0}`, i)
		values += fmt.Sprintf(`,"p%d":%d`, i, i)
	}
	for range 20 {
		refs += `,{"$ref":"#/$defs/a"}`
	}
	tree := `{"$defs":{"n":{"type":"object","required":["v"],"properties":{"v":{"type":"integer"},"c":{"type":"array","items":{"$ref":"#/$defs/n"}}}}},"$ref":"#/$defs/n"}`
	leaves := strings.Repeat(`{"v":1,"c":[]},`, 10_000) + `{"v":2}`
	for _, c := range []struct{ schema, payload string }{
		{tree, `{"v":1,"c":[` + leaves + `]}`},
		{tree, strings.Repeat(`{"v":1,"c":[`, 1000) + strings.Repeat("]}", 1000)},
		{`{"items":{"type":"object","properties":{` + fields + `}}}`, "[" + strings.Repeat("{"+values+"},", 100) + "{}]"},
		{`{"$defs":{"a":{"type":"object"}},"allOf":[` + refs + `]}`, `{}`},
		{`{"type":"string","pattern":"^[A-Za-z0-9+/]*={0,2}$","maxLength":262144}`, `"` + strings.Repeat("x", 64<<10) + `"`},
		{`{"items":{"pattern":"^[a-z0-9-]{1,255}$"}}`, `["` + strings.Repeat(strings.Repeat("x", 99)+`","`, 250) + `x"]`},
		{`{"uniqueItems":true,"items":{"enum":["a",{"p":1},{` + values + `}]}}`, `["a",{"p":1},{` + values + `}]`},
		{`{"items":{"type":"integer"}}`, "[" + strings.Repeat("1,", 100_000) + "1]"},
		{`{"oneOf":[` + strings.Repeat(`{"properties":{"k":{"const":"a"}},"required":["k"]},`, 100) + `{"type":"object"}]}`, `{"k":"b"}`},
	} {
		s, err := NewSchema([]byte(c.schema))
		if err != nil {
			t.Errorf("%.60s: %v", c.schema, err)
			continue
		}
		if err := s.Check(t.Context(), "", []byte(c.payload)); err != nil {
			t.Errorf("%.60s: %v", c.schema, err)
		}
	}
}

// Patterns are bounded in steps before they are bounded in time, so that a busy machine
// doesn't refuse a payload whose patterns take few steps.
func TestPatternsOfFewStepsNeedNoTime(t *testing.T) {
	p := must.Get(newPattern("^[a-z]+$"))(t)
	text := strings.Repeat("x", 64<<10)
	w := walk{patterns: 2 * p.steps(text)}
	for range 2 {
		if !w.match(p, text) || w.left < 0 {
			t.Fatalf("got no match, or time used, with %d steps left", w.patterns)
		}
	}
	if w.match(p, text); w.left >= 0 {
		t.Error("got more steps without using time, want them timed")
	}
}

// FuzzSchema checks that no schema and payload cause a panic or a long error.
func FuzzSchema(f *testing.F) {
	f.Add(`{"type":"object","required":["a"],"properties":{"a":{"enum":[1]}}}`, `{"a":2}`)
	f.Add(`{"$ref":"#/$defs/x","$defs":{"x":{"anyOf":[{"type":"null"},{"items":{"$ref":"#"}}]}}}`, `[[null]]`)
	f.Add(`{"$schema":"http://json-schema.org/draft-04/schema#","dependencies":{"a":["b"]}}`, `{"a":1}`)
	f.Add(`{"minimum":1,"multipleOf":1e-300}`, `1e9999999`)
	f.Add(`{"items":{"type":"integer"},"required":["a"]}`, `[1e308,0.1,{"a":1}]`)
	f.Fuzz(func(t *testing.T, text, payload string) {
		s, err := NewSchema([]byte(text))
		if err != nil || s == nil {
			return
		}
		if err := s.Check(t.Context(), "", []byte(payload)); err != nil && len(err.Error()) > 2<<10 {
			t.Errorf("got an error of %d bytes, want 2 KiB at most", len(err.Error()))
		}
	})
}
