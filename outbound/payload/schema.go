package payload

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxSchema is how long the schema of an event type may be, in bytes.
	maxSchema = 64 << 10
	// maxNumber bounds the digits of a number and its exponent, since numbers are
	// compared exactly. No float64 has a larger exponent.
	maxNumber = 308
)

// Schema says what the payloads of an event type must look like. It is a JSON Schema
// (https://json-schema.org), of draft 2020-12 unless it names another. It can't
// refer to other documents, since nothing is loaded for it.
type Schema struct {
	compiled *jsonschema.Schema
	names    map[string]bool // of the fields in it
}

// schemaURL is the URL of a schema without an $id, by which it may refer to itself.
const schemaURL = "event-type:///schema"

var (
	errOtherDocument = errors.New("the schema refers to another document: put what it needs under its own $defs")
	errNumber        = fmt.Errorf("a number in it has over %d digits, or an exponent beyond that", maxNumber)
)

// noLoader keeps schemas from reading files.
type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errOtherDocument }

// NewSchema compiles a schema. It returns nil for an empty text. The error is for the
// author of the text.
func NewSchema(text []byte) (s *Schema, err error) {
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
			s, err = nil, errors.New("is not a JSON Schema")
		}
	}()
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(func(text string) (jsonschema.Regexp, error) { return newPattern(text) })
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, fmt.Errorf("is not a JSON Schema: %w", err)
	}
	compiled, err := c.Compile(schemaURL)
	var invalid *jsonschema.SchemaValidationError
	var breaches *jsonschema.ValidationError
	switch {
	case err == nil && !affordable(compiled, nil, 0):
		return nil, fmt.Errorf("can't be used: %w", errManySteps)
	case err == nil:
		s := &Schema{compiled, map[string]bool{}}
		s.learn(doc)
		return s, nil
	case errors.Is(err, errOtherDocument):
		return nil, fmt.Errorf("can't be used: %w", errOtherDocument)
	case errors.As(err, &invalid) && errors.As(invalid.Err, &breaches):
		return nil, fmt.Errorf("is not a JSON Schema: %s", tellBreaches(breaches, func(string) bool { return true }))
	}
	return nil, fmt.Errorf("is not a JSON Schema: %w", err)
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

// learn collects the names of fields from the text of a schema.
func (s *Schema) learn(doc any) {
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

// Check checks a tenant's payload, as soon as there is room to read it. The error says
// where the payload doesn't meet the schema, and what the schema requires. It contains
// nothing that is only in the payload, since refusals are logged.
func (s *Schema) Check(ctx context.Context, tenant string, payload []byte) (err error) {
	leave, err := enter(ctx, tenant, len(payload))
	if err != nil {
		return err
	}
	defer leave()
	v, err := parseValue(payload)
	if err != nil {
		return err
	}
	if !affordable(s.compiled, v, len(payload)) {
		return errManySteps
	}
	defer func() {
		if recover() != nil {
			err = errors.New("it can't be checked")
		}
	}()
	var breaches *jsonschema.ValidationError
	switch err := s.compiled.Validate(v); {
	case err == nil:
		return nil
	case errors.As(err, &breaches):
		return errors.New(tellBreaches(breaches, func(name string) bool { return s.names[name] }))
	default:
		return errors.New("it can't be checked")
	}
}
