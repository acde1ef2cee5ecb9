package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// fields reads a JSON object that may have only the known fields, each once. It
// calls visit for each field that is there, with its value's bytes.
func fields(body []byte, known []string, visit func(field string, value []byte) error) error {
	if err := checkText(body); err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return refuse(codeInvalidJSON, "the body is empty: send a JSON object")
	}
	s := scanner{data: body}
	var seen uint64 // a bit for each known field
	err := s.members(func(name, value []byte) error {
		i := index(known, name)
		if i < 0 {
			return unknownField(unescape(name), known)
		}
		if seen&(1<<i) != 0 {
			return refuse(codeRepeatedField, "%s is given twice: keep one", known[i]).at(known[i])
		}
		seen |= 1 << i
		return visit(known[i], value)
	})
	if err != nil {
		return err
	}
	return s.end()
}

// index returns the index among the known names of one that is still escaped, or -1.
func index(known []string, name []byte) int {
	for i, k := range known {
		if string(name) == k {
			return i
		}
	}
	if bytes.IndexByte(name, '\\') >= 0 {
		return slices.Index(known, unescape(name))
	}
	return -1
}

// unescape decodes a string that the scanner has validated, without its quotes.
func unescape(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted)
	}
	var text string
	_ = json.Unmarshal([]byte(`"`+string(quoted)+`"`), &text) // it is valid
	return text
}

func unknownField(name string, known []string) error {
	p := refuse(codeUnknownField, "there is no field %s here: remove it", quote(name))
	if len(known) > 0 {
		p = refuse(codeUnknownField, "there is no field %s here: use %s", quote(name), strings.Join(known, ", "))
	}
	return p.at(name)
}

func invalidField(field, format string, args ...any) error {
	return refuse(codeInvalidField, field+" "+format, args...).at(field)
}

func isNull(value []byte) bool { return string(value) == "null" }

// readString reads a string; null is "".
func readString(field string, value []byte, to *string) error {
	switch {
	case isNull(value):
		*to = ""
	case value[0] != '"':
		return invalidField(field, "must be a string in double quotes")
	default:
		*to = unescape(value[1 : len(value)-1])
	}
	return nil
}

// readNonEmpty reads a string that may be left out, but not be empty: whoever sends it
// meant to set it.
func readNonEmpty(field string, value []byte, to *string) error {
	if string(value) == `""` {
		return invalidField(field, "is empty: give it a value or leave it out")
	}
	return readString(field, value, to)
}

// readStrings reads an array of strings; null is nil.
func readStrings(field string, value []byte, to *[]string) error {
	var list []*string // pointers, to detect null
	if err := json.Unmarshal(value, &list); err != nil {
		return invalidField(field, `must be a list of strings, as in ["a", "b"]`)
	}
	*to = nil
	for _, s := range list {
		if s == nil {
			return invalidField(field, "has a null in it: remove it")
		}
		*to = append(*to, *s)
	}
	return nil
}

// readBool reads true or false; null is false.
func readBool(field string, value []byte, to *bool) error {
	switch string(value) {
	case "true":
		*to = true
	case "false", "null":
		*to = false
	default:
		return invalidField(field, "must be true or false")
	}
	return nil
}

// object reads a JSON object from the body, as fields does. Besides typeJSON, the
// body may be of the given media types.
func (c *call) object(known []string, visit func(field string, value []byte) error, types ...string) error {
	if _, err := c.mediaType(append(types, typeJSON)...); err != nil {
		return err
	}
	body, err := c.readBody(bodyLimit, bodyTooLarge)
	if err != nil {
		return err
	}
	return fields(body, known, visit)
}

// optionalObject is like object, but accepts an empty body too.
func (c *call) optionalObject(known []string, visit func(field string, value []byte) error) error {
	body, err := c.readBody(bodyLimit, bodyTooLarge)
	if err != nil || len(body) == 0 {
		return err
	}
	if _, err := c.mediaType(typeJSON); err != nil {
		return err
	}
	return fields(body, known, visit)
}

// noBody refuses a body other than an empty object.
func (c *call) noBody() error { return c.optionalObject(nil, nil) }

// mergeStrings merges an object whose values are strings or null into a map, as in
// RFC 7396: null removes all values, and a null value removes that one.
func mergeStrings(field string, value []byte, example string, to *map[string]string) error {
	if isNull(value) {
		*to = nil
		return nil
	}
	mustBe := invalidField(field, "must be an object of strings, as in %s", example)
	if value[0] != '{' {
		return mustBe
	}
	merged := map[string]string{} // a new one, since others may be reading the old one
	maps.Copy(merged, *to)
	sent := map[string]bool{}
	s := scanner{data: value}
	err := s.members(func(name, value []byte) error {
		key := unescape(name)
		switch {
		case sent[key]:
			return refuse(codeRepeatedField, "%s has %s twice: keep one", field, quote(key)).at(field)
		case isNull(value):
			delete(merged, key)
		case value[0] != '"':
			return mustBe
		default:
			merged[key] = unescape(value[1 : len(value)-1])
		}
		sent[key] = true
		return nil
	})
	*to = merged
	return err
}
