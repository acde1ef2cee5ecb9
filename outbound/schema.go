package outbound

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

const (
	// maxSchema is how long the schema of an event type may be, in bytes.
	maxSchema = 64 << 10
	// maxBreaches is how many of the ways in which a payload breaks its schema are
	// told at once, and how many names in each.
	maxBreaches = 5
	// maxPlace bounds how each of them says where, in bytes.
	maxPlace = 100
	// maxNumber bounds the digits of a number and its exponent, since numbers are
	// compared exactly. No float64 has a larger exponent.
	maxNumber = 308
)

// schema says what the payloads of an event type must be: a JSON Schema
// (https://json-schema.org), of draft 2020-12 unless it names another. Those of
// others can't be referred to, since nothing is loaded for it.
type schema struct {
	compiled *jsonschema.Schema
	names    map[string]bool // of the fields that it speaks of
}

// schemaURL is what a schema without an $id is called, which it may use itself.
const schemaURL = "event-type:///schema"

var (
	errOtherDocument = errors.New("the schema refers to another document: put what it needs under its own $defs")
	errNumber        = fmt.Errorf("a number in it has over %d digits, or an exponent beyond that", maxNumber)
)

// noLoader keeps schemas from reading files.
type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errOtherDocument }

// CheckSchema says what is wrong with the JSON Schema of an event type, if
// anything is.
func CheckSchema(text []byte) error {
	_, err := newSchema(text)
	return err
}

// newSchema compiles a schema; an empty text is none. The error is meant for
// whoever wrote the text.
func newSchema(text []byte) (s *schema, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	if len(text) > maxSchema {
		return nil, fmt.Errorf("must have %d bytes at most", maxSchema)
	}
	doc, err := parseValue(text)
	if err != nil {
		return nil, fmt.Errorf("can't be used: %w", err)
	}
	if err := checkShape(doc, 0); err != nil {
		return nil, fmt.Errorf("can't be used: %w", err)
	}
	defer func() {
		if recover() != nil {
			s, err = nil, errors.New("is no JSON Schema")
		}
	}()
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(func(text string) (jsonschema.Regexp, error) { return newPattern(text) })
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, fmt.Errorf("is no JSON Schema: %w", err)
	}
	compiled, err := c.Compile(schemaURL)
	var invalid *jsonschema.SchemaValidationError
	var breaches *jsonschema.ValidationError
	switch {
	case err == nil && !affordable(compiled, nil, 0):
		return nil, fmt.Errorf("can't be used: %w", errManySteps)
	case err == nil:
		s := &schema{compiled, map[string]bool{}}
		s.learn(doc)
		return s, nil
	case errors.Is(err, errOtherDocument):
		return nil, fmt.Errorf("can't be used: %w", errOtherDocument)
	case errors.As(err, &invalid) && errors.As(invalid.Err, &breaches):
		return nil, fmt.Errorf("is no JSON Schema: %s", tellBreaches(breaches, func(string) bool { return true }))
	}
	return nil, fmt.Errorf("is no JSON Schema: %w", err)
}

// parseValue reads one JSON value, without numbers that take long to compare.
func parseValue(text []byte) (any, error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, errors.New("it is not JSON")
	}
	if !numbersFit(v) {
		return nil, errNumber
	}
	return v, nil
}

func numbersFit(v any) bool {
	switch v := v.(type) {
	case json.Number:
		digits, exponent, _ := strings.Cut(strings.ToLower(string(v)), "e")
		n, err := strconv.Atoi(cmp.Or(exponent, "0"))
		return err == nil && n >= -maxNumber && n <= maxNumber && len(digits) <= maxNumber
	case map[string]any:
		for _, member := range v {
			if !numbersFit(member) {
				return false
			}
		}
	case []any:
		return !slices.ContainsFunc(v, func(element any) bool { return !numbersFit(element) })
	}
	return true
}

// learn notes the names that the schema itself has for fields.
func (s *schema) learn(doc any) {
	switch v := doc.(type) {
	case map[string]any:
		for name, member := range v {
			s.names[name] = true
			s.learn(member)
		}
	case []any:
		for _, element := range v {
			if name, ok := element.(string); ok {
				s.names[name] = true
			}
			s.learn(element)
		}
	}
}

// check holds a payload to the schema. The error says where the payload breaks
// it, and holds nothing that only the payload says, since refusals are logged.
func (s *schema) check(payload []byte) (err error) {
	v, err := parseValue(payload)
	if err != nil {
		return err
	}
	if !affordable(s.compiled, v, len(payload)) {
		return errManySteps
	}
	defer func() {
		if recover() != nil {
			err = errors.New("it can't be judged")
		}
	}()
	var breaches *jsonschema.ValidationError
	switch err := s.compiled.Validate(v); {
	case err == nil:
		return nil
	case errors.As(err, &breaches):
		return errors.New(tellBreaches(breaches, func(name string) bool { return s.names[name] }))
	default:
		return errors.New("it can't be judged")
	}
}

// tellBreaches says in words what is wrong where, for the first few. Names that
// aren't known are told as *.
func tellBreaches(e *jsonschema.ValidationError, known func(name string) bool) string {
	var told []string
	more := false
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if more {
			return
		}
		if len(e.Causes) > 0 {
			for _, cause := range e.Causes {
				walk(cause)
			}
			return
		}
		switch line := tellBreach(e, known); {
		case slices.Contains(told, line):
		case len(told) == maxBreaches:
			more = true
		default:
			told = append(told, line)
		}
	}
	walk(e)
	if more {
		told = append(told, "and more")
	}
	return strings.Join(told, "; ")
}

func tellBreach(e *jsonschema.ValidationError, known func(name string) bool) string {
	place := ""
	for _, step := range e.InstanceLocation {
		if _, err := strconv.ParseUint(step, 10, 32); err != nil && !known(step) {
			step = "*"
		}
		place += "/" + step
	}
	place = shorten(cmp.Or(place, "/"))
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return fmt.Sprintf("%s must be %s, not %s", place, strings.Join(k.Want, " or "), k.Got)
	case *kind.Required:
		missing := slices.Clone(k.Missing)
		if len(missing) > maxBreaches {
			missing = append(missing[:maxBreaches], "more")
		}
		return fmt.Sprintf("%s lacks %s", place, shorten(strings.Join(missing, ", ")))
	case *kind.AdditionalProperties:
		return place + " has fields that are not allowed"
	case *kind.FalseSchema:
		return place + " is not allowed"
	}
	keyword := "schema"
	if path := e.ErrorKind.KeywordPath(); len(path) > 0 {
		keyword = shorten(path[0])
	}
	return fmt.Sprintf("%s breaks %s", place, keyword)
}

func shorten(s string) string {
	if len(s) > maxPlace {
		return strings.ToValidUTF8(s[:maxPlace], "") + "…"
	}
	return s
}
