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
		"":                        "it ends where a value should be at line 1, column 1 (byte 0)",
		"[1,\n 2,\n  x]":          "there is 'x' where a value should be at line 3, column 3 (byte 10)",
		"[1,]":                    "there is ']' where a value should be at line 1, column 4 (byte 3)",
		"[1 2]":                   `there is '2' where "," or "]" should be at line 1, column 4 (byte 3)`,
		"[1}":                     `there is '}' where "," or "]" should be at line 1, column 3 (byte 2)`,
		`{"a":1]`:                 `there is ']' where "," or "}" should be at line 1, column 7 (byte 6)`,
		`{"a":1,}`:                "there is '}' where a name in double quotes should be at line 1, column 8 (byte 7)",
		`{"a" 1}`:                 `there is '1' where ":" should be at line 1, column 6 (byte 5)`,
		`{a:1}`:                   "there is 'a' where a name in double quotes should be at line 1, column 2 (byte 1)",
		`{'a':1}`:                 `there is '\'' where a name in double quotes should be at line 1, column 2 (byte 1)`,
		"{":                       "it ends where a name in double quotes should be at line 1, column 2 (byte 1)",
		`[`:                       "it ends where a value should be at line 1, column 2 (byte 1)",
		`["a`:                     "it ends inside a string at line 1, column 4 (byte 3)",
		`"\`:                      `it ends where one of "\/bfnrtu after a backslash should be at line 1, column 3 (byte 2)`,
		`"\x"`:                    `there is 'x' where one of "\/bfnrtu after a backslash should be at line 1, column 3 (byte 2)`,
		`"\u12g4"`:                "there is 'g' where a hexadecimal digit should be at line 1, column 6 (byte 5)",
		"\"a\nb\"":                "a string has a control character, which must be escaped, at line 1, column 3 (byte 2)",
		"01":                      "there is '1' where the end should be at line 1, column 2 (byte 1)",
		"1.":                      "it ends where a digit should be at line 1, column 3 (byte 2)",
		"1e+":                     "it ends where a digit should be at line 1, column 4 (byte 3)",
		"-":                       "it ends where a digit should be at line 1, column 2 (byte 1)",
		"+1":                      "there is '+' where a value should be at line 1, column 1 (byte 0)",
		"NaN":                     "there is 'N' where a value should be at line 1, column 1 (byte 0)",
		"nul":                     "there is 'n' where a value should be at line 1, column 1 (byte 0)",
		"{} {}":                   "there is '{' where the end should be at line 1, column 4 (byte 3)",
		"1 // two":                "there is '/' where the end should be at line 1, column 3 (byte 2)",
		"\ufeff1":                 "it begins with a byte order mark, which has no place in JSON, at line 1, column 1 (byte 0)",
		"\"é\xff\"":               "it is not UTF-8 at line 1, column 4 (byte 3)",
		"\"\xed\xa0\x80\"":        "it is not UTF-8 at line 1, column 2 (byte 1)",
		"[\x00]":                  `there is '\x00' where a value should be at line 1, column 2 (byte 1)`,
		strings.Repeat("[", 1001): "arrays and objects are nested more than 1000 deep at line 1, column 1001 (byte 1000)",
	} {
		if err := scan(text); err == nil || err.Error() != want {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestScannerTakesJSON(t *testing.T) {
	for _, text := range []string{
		"0", "-0", "1.5e-10", "1E+2", "true", " false ", "null\n", `""`, `"\"\\\/\b\f\n\r\t\u00fF"`, `"\ud800"`,
		"[]", "{}", "[[],{}]", `{"":{"a":[1,{"b":null}],"a":[]}}`, "\t[ 1 , 2 ]\r\n", "\"\u2028\U0001f600\x7f\"",
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000),
	} {
		if err := scan(text); err != nil {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// tooDeep tells a text that only our limit forbids.
func tooDeep(err error) bool {
	var e *syntaxError
	return errors.As(err, &e) && strings.Contains(e.what, "nested")
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
			t.Errorf("%q: %v, and encoding/json says %v", text, err, want)
		}
		if err != nil {
			_ = err.Error() // it must find its place
		}
	})
}
