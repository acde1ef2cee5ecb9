package verify

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Custom is a scheme of one's own that has a name, by which it can be used
// wherever a provider can.
type Custom struct {
	// The provider whose scheme this one starts from, or a custom scheme above
	// it. Default: `hmac`, which is empty.
	Provider string `json:"provider,omitempty"`

	Scheme
}

// Table finds schemes by their names: the custom ones in it, and all that are
// built in. The zero value has no custom ones.
type Table map[string]Scheme

// NewTable makes a table of custom schemes. It says of one that can't be right what
// to do about it.
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
		return errors.New("scheme: it has no name by which it could be used: give it one")
	}
	if _, ok := Lookup(c.Name); ok { // which subscriptions may mean already
		return fmt.Errorf("scheme %s: there is a built-in scheme of that name: choose another", c.Name)
	}
	if _, ok := t[c.Name]; ok {
		return fmt.Errorf("scheme %s: is there twice: give each its own name", c.Name)
	}
	from := cmp.Or(c.Provider, "hmac")
	row, ok := t.Lookup(from)
	if !ok { // which isn't told, for it may be a secret
		hint := "`caddy webhooks providers` lists them; secrets stand where the scheme is used"
		if near := Suggest(from); len(near) > 0 {
			hint = "did you mean " + strings.Join(near, " or ") + "?"
		}
		return fmt.Errorf("scheme %s: there is no such provider to start from: %s", c.Name, hint)
	}
	t[c.Name] = row.Merge(c.Scheme)
	return t[c.Name].Validate()
}

// Lookup finds a scheme by its name, a built-in one by its aliases too. Treat its
// lists as read-only.
func (t Table) Lookup(name string) (Scheme, bool) {
	if s, ok := t[name]; ok {
		return s, true
	}
	return Lookup(name)
}
