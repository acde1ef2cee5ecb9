package verify

import (
	"errors"
	"fmt"
	"slices"
)

// CanSignBeside returns an error that says why a message can't have the signatures of
// both schemes, made with the same secrets, or nil. Each must be able to sign by itself.
func (s Scheme) CanSignBeside(other Scheme) error {
	switch {
	case s.Name == other.Name:
		return errors.New("they are the same scheme; name it once")
	case (s.asymmetric() || other.asymmetric()) && (s.Construction != other.Construction || s.Key != other.Key):
		return errors.New("the key pair of one is not a key for the other; leave one out")
	}
	p, err := compile(s)
	if err != nil {
		return err
	}
	q, err := compile(other)
	if err != nil {
		return err
	}
	if name := firstIn(p.headersSet(), q.sets); name != "" {
		return fmt.Errorf("both set the header %s; leave one out", name)
	}
	// Whether the signature covers the header would depend on who signs first.
	if name := firstIn(p.headersSet(), q.signs) + firstIn(q.headersSet(), p.signs); name != "" {
		return fmt.Errorf("one sets the header %s, which the other signs; leave one out", name)
	}
	return nil
}

// headersSet returns the canonical names of the headers that signing sets.
func (p *plan) headersSet() []string {
	set := slices.Clone(p.headers)
	for _, at := range [...]place{p.timestamp, p.id, p.eventType} {
		if at.in == "header" {
			set = append(set, at.name)
		}
	}
	for _, name := range sortedKeys(p.scheme.Sent) {
		set = append(set, canonical(name))
	}
	return set
}

// sets reports whether signing sets a header.
func (p *plan) sets(name string) bool { return slices.Contains(p.headersSet(), canonical(name)) }

// signs reports whether a content names a header, so that its value is signed.
func (p *plan) signs(name string) bool {
	return slices.ContainsFunc(p.contents(), func(t *template) bool { return p.covers(t, place{in: "header", name: name}) })
}

// firstIn returns the first of the names for which is returns true, or "".
func firstIn(names []string, is func(string) bool) string {
	if i := slices.IndexFunc(names, is); i >= 0 {
		return names[i]
	}
	return ""
}
