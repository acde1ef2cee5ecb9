package payload

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

const (
	// maxBreaches is how many breaches of a schema an error lists.
	maxBreaches = 5
	// maxPlace is how long each may say where it is, and what the schema asks for, in
	// bytes.
	maxPlace = 100
)

// tellBreaches says in words what is wrong where, for the first few breaches. Names
// that aren't known are shown as *.
func tellBreaches(e *jsonschema.ValidationError, known func(name string) bool) string {
	var told []string
	more := false
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if more {
			return
		}
		if len(e.Causes) > 0 && !summed(e.ErrorKind) {
			for _, cause := range e.Causes {
				walk(cause)
			}
			return
		}
		for _, line := range breachLines(placeOf(e, known), e.ErrorKind) {
			switch {
			case slices.Contains(told, line):
			case len(told) == maxBreaches:
				more = true
				return
			default:
				told = append(told, line)
			}
		}
	}
	walk(e)
	if more {
		told = append(told, "and more")
	}
	return strings.Join(told, "; ")
}

// summed reports whether a breach is told in one sentence instead of its causes: those
// of a name have the place of its object, and every element may be a cause of contains.
func summed(k jsonschema.ErrorKind) bool {
	switch k.(type) {
	case *kind.PropertyNames, *kind.Contains, *kind.MinContains:
		return true
	}
	return false
}

// placeOf returns where a breach is, as a JSON pointer.
func placeOf(e *jsonschema.ValidationError, known func(name string) bool) string {
	place := ""
	for _, step := range e.InstanceLocation {
		if _, err := strconv.ParseUint(step, 10, 32); err != nil && !known(step) {
			step = "*"
		}
		place += "/" + step
	}
	return shorten(cmp.Or(place, "/"))
}

// breachLines returns what is wrong at a place, in a line for each field that is missing
// there.
func breachLines(place string, k jsonschema.ErrorKind) []string {
	var names []string
	reason := ""
	switch k := k.(type) {
	case *kind.Required:
		names = k.Missing
	case *kind.Dependency:
		names, reason = k.Missing, ", which "+shorten(k.Prop)+" requires"
	case *kind.DependentRequired:
		names, reason = k.Missing, ", which "+shorten(k.Prop)+" requires"
	default:
		return []string{place + " " + tellBreach(k)}
	}
	lines := make([]string, len(names))
	for i, name := range names {
		lines[i] = strings.TrimSuffix(place, "/") + "/" + shorten(name) + " is missing" + reason
	}
	return lines
}

// tellBreach returns what follows the place: what the schema asks for there, and no
// value of the payload.
func tellBreach(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		var want []string
		for _, t := range k.Want {
			want = append(want, withArticle(t))
		}
		return "must be " + strings.Join(want, " or ") + ", not " + withArticle(k.Got)
	case *kind.Enum:
		if len(k.Want) == 1 {
			return "must be " + asJSON(k.Want)
		}
		return "must be one of " + asJSON(k.Want)
	case *kind.Const:
		return "must be " + asJSON([]any{k.Want})
	case *kind.Minimum:
		return "must be at least " + number(k.Want)
	case *kind.Maximum:
		return "must be at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + number(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + number(k.Want)
	case *kind.MinLength:
		return "must have at least " + count(k.Want, "character")
	case *kind.MaxLength:
		return "must have at most " + count(k.Want, "character")
	case *kind.MinItems:
		return "must have at least " + count(k.Want, "element")
	case *kind.MaxItems:
		return "must have at most " + count(k.Want, "element")
	case *kind.MinProperties:
		return "must have at least " + count(k.Want, "field")
	case *kind.MaxProperties:
		return "must have at most " + count(k.Want, "field")
	case *kind.MinContains:
		return "must have at least " + count(k.Want, "element") + " of the kind that contains asks for"
	case *kind.MaxContains:
		return "must have at most " + count(k.Want, "element") + " of the kind that contains asks for"
	case *kind.Contains:
		return "must have an element of the kind that contains asks for"
	case *kind.Pattern:
		return "must match the pattern " + shorten(k.Want)
	case *kind.Format:
		return "must have the format " + shorten(k.Want)
	case *kind.UniqueItems:
		return "must not have an element twice"
	case *kind.AdditionalItems:
		return "has elements that are not allowed"
	case *kind.AdditionalProperties:
		return "has fields that are not allowed"
	case *kind.PropertyNames:
		return "has a field with a name that is not allowed"
	case *kind.FalseSchema:
		return "is not allowed"
	case *kind.Not:
		return "is what the schema's not excludes"
	case *kind.OneOf:
		return "must match only one schema of oneOf, but matches several"
	}
	if path := k.KeywordPath(); len(path) > 0 {
		return "breaks " + shorten(path[0])
	}
	return "breaks the schema"
}

// withArticle returns a type of JSON as it is named in a sentence.
func withArticle(t string) string {
	switch t {
	case "null":
		return t
	case "array", "integer", "object":
		return "an " + t
	}
	return "a " + t
}

// count returns a number with a noun, as in "1 element" or "2 elements".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// asJSON returns values of a schema, separated by commas.
func asJSON(values []any) string {
	var list []string
	length := 0
	for _, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			text = []byte("…")
		}
		list = append(list, string(text))
		if length += len(text); length > maxPlace {
			break
		}
	}
	return shorten(strings.Join(list, ", "))
}

// number returns a number of a schema, exactly if it is whole and not too long.
func number(n *big.Rat) string {
	if n.IsInt() && n.Num().BitLen() <= 64 {
		return n.Num().String()
	}
	f, _ := n.Float64()
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Sprint(f)
	}
	return string(text)
}

func shorten(s string) string {
	if len(s) > maxPlace {
		return strings.ToValidUTF8(s[:maxPlace], "") + "…"
	}
	return s
}
