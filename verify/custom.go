package verify

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Custom is a custom scheme. Its name can be used wherever a provider's can.
type Custom struct {
	// The provider whose scheme this one starts from, or a custom scheme that comes
	// before it. Default: `hmac`, which sets nothing.
	Provider string `json:"provider,omitempty"`

	Scheme
}

// Table has custom schemes by name, and its Lookup also finds the built-in ones.
// The zero value has no custom schemes.
type Table map[string]Scheme

// NewTable returns a table of custom schemes. An error names the scheme that is not
// valid, and says what to do.
func NewTable(list []Custom) (Table, error) {
	t := Table{}
	for _, c := range list {
		if err := t.add(c); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t Table) add(c Custom) error {
	if c.Name == "" {
		return errors.New("scheme: it has no name, so nothing can use it: give it one")
	}
	if _, ok := Lookup(c.Name); ok { // subscriptions may already use the built-in one
		return fmt.Errorf("scheme %s: there is a built-in scheme of that name: choose another", c.Name)
	}
	if _, ok := t[c.Name]; ok {
		return fmt.Errorf("scheme %s: it is defined twice: give each its own name", c.Name)
	}
	from := cmp.Or(c.Provider, "hmac")
	row, ok := t.Lookup(from)
	if !ok { // the error doesn't quote the name: it may be a misplaced secret
		hint := "`caddy webhooks providers` lists them; secrets are set where the scheme is used"
		if near := t.Suggest(from); len(near) > 0 {
			hint = "did you mean " + strings.Join(near, " or ") + "?"
		}
		return fmt.Errorf("scheme %s: there is no such provider to start from: %s", c.Name, hint)
	}
	t[c.Name] = row.Merge(c.Scheme)
	return t[c.Name].Validate()
}

// Lookup returns the scheme with this name; built-in ones are found by their
// aliases too. Treat its lists as read-only.
func (t Table) Lookup(name string) (Scheme, bool) {
	if s, ok := t[name]; ok {
		return s, true
	}
	return Lookup(name)
}

// Schemes returns the built-in and the custom schemes, sorted by name. Treat their
// lists as read-only.
func (t Table) Schemes() []Scheme {
	if len(t) == 0 {
		return schemes
	}
	return sortSchemes(schemes, slices.Collect(maps.Values(t)))
}
