package api

import (
	"slices"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// selected reads which events or dead letters a bulk operation is for: filters, or
// "all", in the query or in the body. Errors name them as in "dead letters to
// delete".
func (c *call) selected(things string, filters []string) (sent query, q outbound.Query, err error) {
	sent = c.sent
	code, all := codeInvalidParameter, false
	switch {
	case len(sent) == 0:
		code = codeInvalidField
		sent, all, err = c.filtersInBody(withAll(filters))
	case c.r.ContentLength != 0:
		err = refuse(code, "there is a query and a body: say in one of them which %s", things)
	default:
		all, err = sent.flag("all")
	}
	if err != nil {
		return nil, q, err
	}
	delete(sent, "all")
	if q, err = sent.parse(code); err != nil {
		return nil, q, err
	}
	if filtered := len(sent) > 0; filtered == all { // neither, or both
		return nil, q, refuse(code, `say which %s, by %s; or all of them, by {"all": true} and nothing else`, things, strings.Join(filters, ", ")).at("all")
	}
	return sent, q, nil
}

// withAll returns the parameters and fields of a bulk operation that takes the filters.
func withAll(filters []string) []string { return slices.Concat(filters, []string{"all"}) }

// filtersInBody reads the filters, and "all", from the body.
func (c *call) filtersInBody(known []string) (sent query, all bool, err error) {
	sent = query{}
	err = c.optionalObject(known, func(field string, value []byte) error {
		if field == "all" {
			return readBool(field, value, &all)
		}
		return sent.field(field, value)
	})
	return sent, all, err
}
