package api

import (
	"bytes"
	"encoding/json"
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

// entry is an entry of an object of strings, or the removal of one.
type entry struct {
	name, value string
	remove      bool
}

// maxEntries bounds the entries that are sent, each of which is compared with the others.
// Whatever may be there can all be removed, and as much set.
const maxEntries = 200

// mergeStrings merges an object whose values are strings or null into a map, as in
// RFC 7396: null removes all values, and a null value removes that one. Same says which
// names are the same.
func mergeStrings(field string, value []byte, example string, same func(a, b string) bool, to *map[string]string) error {
	if isNull(value) {
		*to = nil
		return nil
	}
	if value[0] != '{' {
		return invalidField(field, "must be an object of strings, as in %s", example)
	}
	var sent []entry
	s := scanner{data: value}
	err := s.members(func(name, value []byte) error {
		e := entry{name: unescape(name), remove: isNull(value)}
		// An entry may be removed and set in another spelling.
		repeats := func(o entry) bool { return o.name == e.name || o.remove == e.remove && same(o.name, e.name) }
		switch {
		case slices.ContainsFunc(sent, repeats):
			return refuse(codeRepeatedField, "%s has %s twice: keep one", field, quote(e.name)).at(field)
		case len(sent) == maxEntries:
			return invalidField(field, "has too many entries: at most %d can be sent", maxEntries)
		case value[0] != '"' && !e.remove:
			return invalidField(field, "has a value for %s that is not a string: put it in double quotes", quote(e.name))
		}
		err := readString(field, value, &e.value)
		sent = append(sent, e)
		return err
	})
	merged := map[string]string{} // a new one, since others may be reading the old one
	for name, value := range *to {
		if !slices.ContainsFunc(sent, func(e entry) bool { return same(e.name, name) }) {
			merged[name] = value
		}
	}
	for _, e := range sent {
		if !e.remove {
			merged[e.name] = e.value
		}
	}
	*to = merged
	return err
}

// sameText is for names whose case matters.
func sameText(a, b string) bool { return a == b }

// mergeHeaders merges an object of headers.
func mergeHeaders(value []byte, to *map[string]string) error {
	return mergeStrings("headers", value, `{"X-Env": "production"}`, strings.EqualFold, to)
}
