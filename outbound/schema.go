package outbound

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

const (
	// maxSchema is how long the schema of an event type may be, in bytes.
	maxSchema = 64 << 10
	// maxBreaches is how many of the ways in which a payload breaks its schema are
	// told at once.
	maxBreaches = 5
	// maxPlace bounds how each of them says where, in bytes.
	maxPlace = 100
)

// schema says what the payloads of an event type must be: a JSON Schema
// (https://json-schema.org), of draft 2020-12 unless it names another. Those of
// others can't be referred to, since nothing is loaded for it.
type schema struct{ compiled *jsonschema.Schema }

// schemaURL is what a schema without an $id is called, which it may use itself.
const schemaURL = "event-type:///schema"

var errOtherDocument = errors.New("the schema refers to another document: put what it needs under its own $defs")

// noLoader keeps schemas from reading files.
type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errOtherDocument }

// newSchema compiles a schema; an empty text is none. The error is meant for
// whoever wrote the text.
func newSchema(text []byte) (*schema, error) {
	if len(text) == 0 {
		return nil, nil
	}
	if len(text) > maxSchema {
		return nil, fmt.Errorf("must have %d bytes at most", maxSchema)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, fmt.Errorf("is no JSON Schema: %w", err)
	}
	compiled, err := c.Compile(schemaURL)
	var invalid *jsonschema.SchemaValidationError
	var breaches *jsonschema.ValidationError
	switch {
	case err == nil:
		return &schema{compiled}, nil
	case errors.Is(err, errOtherDocument):
		return nil, fmt.Errorf("can't be used: %w", errOtherDocument)
	case errors.As(err, &invalid) && errors.As(invalid.Err, &breaches):
		return nil, fmt.Errorf("is no JSON Schema: %s", tellBreaches(breaches))
	}
	return nil, fmt.Errorf("is no JSON Schema: %w", err)
}

// check holds a payload to the schema. The error says where the payload breaks
// it, and holds none of its values, since refusals are logged.
func (s *schema) check(payload []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return errors.New("it is not JSON")
	}
	var breaches *jsonschema.ValidationError
	switch err := s.compiled.Validate(v); {
	case err == nil:
		return nil
	case errors.As(err, &breaches):
		return errors.New(tellBreaches(breaches))
	default:
		return errors.New("it can't be judged")
	}
}

// tellBreaches says in words what is wrong where, for the first few.
func tellBreaches(e *jsonschema.ValidationError) string {
	var told []string
	more := false
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) > 0 {
			for _, cause := range e.Causes {
				walk(cause)
			}
			return
		}
		switch line := tellBreach(e); {
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

func tellBreach(e *jsonschema.ValidationError) string {
	place := "/" + strings.Join(e.InstanceLocation, "/")
	if len(place) > maxPlace {
		place = strings.ToValidUTF8(place[:maxPlace], "") + "…"
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return fmt.Sprintf("%s must be %s, not %s", place, strings.Join(k.Want, " or "), k.Got)
	case *kind.Required:
		return fmt.Sprintf("%s lacks %s", place, strings.Join(k.Missing, ", "))
	case *kind.AdditionalProperties:
		return place + " has fields that are not allowed"
	case *kind.FalseSchema:
		return place + " is not allowed"
	}
	keyword := "schema"
	if path := e.ErrorKind.KeywordPath(); len(path) > 0 {
		keyword = strings.Join(path, "/")
	}
	return fmt.Sprintf("%s breaks %s", place, keyword)
}
