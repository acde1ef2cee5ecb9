package payload

import (
	"errors"
	"fmt"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxSchemaDepth is how deep a schema may be nested.
	maxSchemaDepth = 100
	// maxWalk is how deep a payload and its schema may lead into each other.
	maxWalk = 10_000
	// schemaSteps and stepsPerByte bound the steps of applying a schema to a payload.
	// A value is looked at once for each branch that leads to it, so that a few lines
	// of a schema can make millions of one.
	schemaSteps  = 100_000
	stepsPerByte = 4
	// quickOnes is how many names are looked up, or texts compared, in one step, and
	// countedBytes is how many bytes of a text have their characters counted.
	quickOnes    = 8
	countedBytes = 64
	// patternSteps is how many steps of patterns a payload may always take, by their
	// worst case, which takes some 140 ms. Few take nearly as long as that, so more of
	// them have patternTime. The walk matches them too, so both are spent twice at most.
	patternSteps = 8 << 20
	patternTime  = 250 * time.Millisecond
)

var (
	errDeepSchema    = fmt.Errorf("it is nested over %d levels deep", maxSchemaDepth)
	errDynamicSchema = errors.New("it has a $dynamicRef or $recursiveRef: use $ref")
	errManySteps     = errors.New("it takes too many steps to check: the schema has too many branches, or too large a pattern, for one value")
)

// checkShape refuses schemas that take long to compile, and references that only
// a payload resolves.
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

// affordable reports whether applying a schema to a value, of so many bytes as JSON,
// takes few enough steps.
func affordable(s *jsonschema.Schema, v any, bytes int) bool {
	w := walk{left: schemaSteps + stepsPerByte*bytes, patterns: patternSteps, time: patternTime}
	w.through(s, v)
	return w.left >= 0
}

// walk goes everywhere that the validator may go, and counts the steps.
type walk struct {
	left, depth int
	patterns    int           // steps left for them
	time        time.Duration // left for those beyond
}

func (w *walk) through(s *jsonschema.Schema, v any) {
	if w.depth > maxWalk {
		w.left = -1
	}
	if s == nil || w.left < 0 {
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	w.left -= 1 + len(s.Required) + (len(s.Dependencies)+len(s.DependentSchemas)+len(s.DependentRequired))/quickOnes
	if s.Enum != nil {
		w.left -= len(s.Enum.Values) / quickOnes
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
		w.compare(s, v)
		w.object(s, v)
	case []any:
		w.compare(s, v)
		w.array(s, v)
	case string:
		if s.MinLength != nil || s.MaxLength != nil {
			w.left -= len(v) / countedBytes
		}
		if s.Pattern != nil {
			w.match(s.Pattern, v)
		}
	}
}

// match matches a text, and ends the walk when the time for patterns is over.
func (w *walk) match(re jsonschema.Regexp, text string) bool {
	p, ok := re.(*pattern)
	if !ok {
		return re.MatchString(text) // of a schema that comes with the validator
	}
	if steps := p.steps(text); steps <= w.patterns {
		w.patterns -= steps
		return p.MatchString(text)
	}
	began := time.Now()
	matched, done := p.match(text, func() bool { return time.Since(began) > w.time })
	w.time -= time.Since(began)
	if !done {
		w.left = -1
	}
	return matched
}

func (w *walk) all(v any, schemas ...*jsonschema.Schema) {
	for _, s := range schemas {
		w.through(s, v)
	}
}

// compare counts the steps of comparing an object or array as a whole: with the values
// of const and enum, and for uniqueItems its elements with one another.
func (w *walk) compare(s *jsonschema.Schema, v any) {
	times := 0
	if s.Const != nil {
		times++
	}
	if s.Enum != nil {
		times += len(s.Enum.Values)
	}
	if array, ok := v.([]any); ok && s.UniqueItems {
		if times += 2; len(array) <= 20 { // more are told apart by a hash
			times += len(array) / 2
		}
	}
	if times > 0 {
		w.left -= times * (w.left - weigh(v, w.left))
	}
}

func (w *walk) object(s *jsonschema.Schema, object map[string]any) {
	w.left -= len(object) * (1 + len(s.PatternProperties))
	for name, on := range s.Dependencies {
		if !has(object, name) {
			continue
		}
		switch on := on.(type) {
		case *jsonschema.Schema:
			w.through(on, object)
		case []string:
			w.left -= len(on) / quickOnes
		}
	}
	for name, names := range s.DependentRequired {
		if has(object, name) {
			w.left -= len(names) / quickOnes
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
		for re, on := range s.PatternProperties {
			if w.left >= 0 && w.match(re, name) {
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
