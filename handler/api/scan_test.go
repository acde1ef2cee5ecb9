package api

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func scan(text string) error {
	if err := checkText([]byte(text)); err != nil {
		return err
	}
	s := scanner{data: []byte(text)}
	if err := s.value(); err != nil {
		return err
	}
	return s.end()
}

func TestScannerSaysWhere(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "line 1, column 1 (byte 0): expected a value, found the end",
		"[1,\n 2,\n  x]":          "line 3, column 3 (byte 10): expected a value, found 'x'",
		"[1,]":                    "line 1, column 4 (byte 3): expected a value, found ']'",
		"[1 2]":                   `line 1, column 4 (byte 3): expected "," or "]", found '2'`,
		"[1}":                     `line 1, column 3 (byte 2): expected "," or "]", found '}'`,
		`{"a":1]`:                 `line 1, column 7 (byte 6): expected "," or "}", found ']'`,
		`{"a":1,}`:                "line 1, column 8 (byte 7): expected a name in double quotes, found '}'",
		`{"a" 1}`:                 `line 1, column 6 (byte 5): expected ":", found '1'`,
		`{a:1}`:                   "line 1, column 2 (byte 1): expected a name in double quotes, found 'a'",
		`{'a':1}`:                 `line 1, column 2 (byte 1): expected a name in double quotes, found '\''`,
		"{":                       "line 1, column 2 (byte 1): expected a name in double quotes, found the end",
		`[`:                       "line 1, column 2 (byte 1): expected a value, found the end",
		`["a`:                     "line 1, column 4 (byte 3): it ends inside a string",
		`"\`:                      `line 1, column 3 (byte 2): expected one of "\/bfnrtu after a backslash, found the end`,
		`"\x"`:                    `line 1, column 3 (byte 2): expected one of "\/bfnrtu after a backslash, found 'x'`,
		`"\u12g4"`:                "line 1, column 6 (byte 5): expected a hexadecimal digit, found 'g'",
		"\"a\nb\"":                "line 1, column 3 (byte 2): a string has a control character that is not escaped",
		"01":                      "line 1, column 2 (byte 1): expected the end, found '1'",
		"1.":                      "line 1, column 3 (byte 2): expected a digit, found the end",
		"1e+":                     "line 1, column 4 (byte 3): expected a digit, found the end",
		"-":                       "line 1, column 2 (byte 1): expected a digit, found the end",
		"+1":                      "line 1, column 1 (byte 0): expected a value, found '+'",
		"NaN":                     "line 1, column 1 (byte 0): expected a value, found 'N'",
		"nul":                     "line 1, column 1 (byte 0): expected a value, found 'n'",
		"{} {}":                   "line 1, column 4 (byte 3): expected the end, found '{'",
		"1 // two":                "line 1, column 3 (byte 2): expected the end, found '/'",
		"\ufeff1":                 "line 1, column 1 (byte 0): it begins with a byte order mark, which JSON does not allow",
		"\"é\xff\"":               "line 1, column 4 (byte 3): it is not UTF-8",
		"\"\ufffd\xff\"":          "line 1, column 5 (byte 4): it is not UTF-8",
		"\"\xed\xa0\x80\"":        "line 1, column 2 (byte 1): it is not UTF-8",
		"[\x00]":                  `line 1, column 2 (byte 1): expected a value, found '\x00'`,
		strings.Repeat("[", 1001): "line 1, column 1001 (byte 1000): arrays and objects are nested more than 1000 deep",
	} {
		if err := scan(text); err == nil || err.Error() != want {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestScannerTakesJSON(t *testing.T) {
	for _, text := range []string{
		"0", "-0", "1.5e-10", "1E+2", "true", " false ", "null\n", `""`, `"\"\\\/\b\f\n\r\t\u00fF"`, `"\ud800"`,
		"[]", "{}", "[[],{}]", "[{},[1]]", `{"":{"a":[1,{"b":null}],"a":[]}}`, "\t[ 1 , 2 ]\r\n", "\"\u2028\U0001f600\x7f\"",
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000),
	} {
		if err := scan(text); err != nil {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// tooDeep reports whether only the limit on nesting forbids a text.
func tooDeep(err error) bool {
	var e *syntaxError
	return errors.As(err, &e) && strings.Contains(e.msg, "nested")
}

func FuzzScanner(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e-3,"\u00e9",null,true]}`, "[[[[", `{"a":1,}`, "\"\xff\"", "-0.0", "[{},{}]", `{"a":{"b":[{}]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := scan(string(text))
		if tooDeep(err) {
			return
		}
		if want := json.Valid(text) && utf8.Valid(text); (err == nil) != want {
			t.Errorf("%q: got %v, want valid: %v, as in encoding/json", text, err, want)
		}
		if err != nil {
			_ = err.Error() // finding the position must not panic
		}
	})
}
