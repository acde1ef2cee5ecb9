package outbound

import (
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxSchemaDepth is how deep a schema may be nested.
	maxSchemaDepth = 100
	// maxWalk is how deep a payload and its schema may lead into each other.
	maxWalk = 10_000
	// schemaSteps and stepsPerByte bound the steps that holding a payload to its
	// schema may take: the same value is looked at once for each branch that leads
	// to it, so that a few lines of a schema can make millions of one.
	schemaSteps  = 100_000
	stepsPerByte = 4
)

var (
	errDeepSchema    = fmt.Errorf("it is nested over %d levels deep", maxSchemaDepth)
	errDynamicSchema = errors.New("it has a $dynamicRef or $recursiveRef: use $ref")
	errManySteps     = errors.New("it takes too many steps to judge: the schema has too many branches for one value")
)

// checkShape refuses what takes long to compile, and what isn't known before a
// payload is there.
func checkShape(doc any, depth int) error {
	if depth > maxSchemaDepth {
		return errDeepSchema
	}
	switch v := doc.(type) {
	case map[string]any:
		for name, member := range v {
			if _, ok := member.(string); ok && (name == "$dynamicRef" || name == "$recursiveRef") {
				return errDynamicSchema
			}
			if err := checkShape(member, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, element := range v {
			if err := checkShape(element, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// affordable says whether holding a value, of so many bytes, to a schema takes
// few enough steps.
func affordable(s *jsonschema.Schema, v any, bytes int) bool {
	w := walk{left: schemaSteps + stepsPerByte*bytes}
	w.through(s, v)
	return w.left >= 0
}

// walk goes where the validator may, and counts. It takes every branch.
type walk struct{ left, depth int }

func (w *walk) through(s *jsonschema.Schema, v any) {
	if w.depth > maxWalk {
		w.left = -1
	}
	if s == nil || w.left < 0 {
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	w.left -= 1 + len(s.Required)
	if s.Enum != nil {
		w.left -= len(s.Enum.Values) / 8 // quick ones
	}
	w.all(v, s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else)
	if s.DynamicRef != nil {
		w.through(s.DynamicRef.Ref, v)
	}
	w.all(v, s.AllOf...)
	w.all(v, s.AnyOf...)
	w.all(v, s.OneOf...)
	switch v := v.(type) {
	case map[string]any:
		w.object(s, v)
	case []any:
		w.array(s, v)
	case string:
		if s.Pattern != nil {
			w.left -= len(v) * len(s.Pattern.String()) / 1024
		}
	}
}

func (w *walk) all(v any, schemas ...*jsonschema.Schema) {
	for _, s := range schemas {
		w.through(s, v)
	}
}

func (w *walk) object(s *jsonschema.Schema, object map[string]any) {
	w.left -= len(object) * (1 + len(s.PatternProperties))
	for name, on := range s.Dependencies {
		if on, ok := on.(*jsonschema.Schema); ok && has(object, name) {
			w.through(on, object)
		}
	}
	for name, on := range s.DependentSchemas {
		if has(object, name) {
			w.through(on, object)
		}
	}
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	for name, member := range object {
		if w.left < 0 {
			return
		}
		w.all(member, s.Properties[name], additional, s.UnevaluatedProperties)
		w.through(s.PropertyNames, name)
		for pattern, on := range s.PatternProperties {
			if pattern.MatchString(name) {
				w.through(on, member)
			}
		}
	}
}

func has(object map[string]any, name string) bool { _, ok := object[name]; return ok }

func (w *walk) array(s *jsonschema.Schema, array []any) {
	w.left -= len(array)
	tuple, _ := s.Items.([]*jsonschema.Schema)
	tuple = append(tuple[:len(tuple):len(tuple)], s.PrefixItems...)
	items, _ := s.Items.(*jsonschema.Schema)
	additional, _ := s.AdditionalItems.(*jsonschema.Schema)
	for i, element := range array {
		if w.left < 0 {
			return
		}
		if i < len(tuple) {
			w.through(tuple[i], element)
		}
		w.all(element, items, s.Items2020, additional, s.Contains, s.UnevaluatedItems)
	}
}
