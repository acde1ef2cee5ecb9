package api

import (
	"slices"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// selected reads which of many things something is done to, by filters, which stand
// in the query or in the body; or that it is done to all of them.
func (c *call) selected(which string, filters []string) (sent query, q outbound.Query, err error) {
	known := withAll(filters)
	if sent, err = c.query(known...); err != nil {
		return nil, q, err
	}
	code, all := codeInvalidParameter, false
	switch {
	case len(sent) == 0:
		code = codeInvalidField
		sent, all, err = c.filtersInBody(known)
	case c.r.ContentLength != 0:
		err = refuse(code, "there is a query and a body: say in one of them which %s", which)
	default:
		all, err = sent.flag("all")
	}
	if err != nil {
		return nil, q, err
	}
	delete(sent, "all")
	if q, err = sent.filter(code); err != nil {
		return nil, q, err
	}
	if all == (len(sent) > 0) {
		return nil, q, refuse(code, `say which %s, by %s; or all of them, by {"all": true} and nothing else`, which, strings.Join(filters, ", ")).at("all")
	}
	return sent, q, nil
}

// withAll are the fields that say which.
func withAll(filters []string) []string { return slices.Concat(filters, []string{"all"}) }

// filtersInBody reads the filters from a JSON object.
func (c *call) filtersInBody(known []string) (sent query, all bool, err error) {
	sent = query{}
	err = c.optionalObject(known, func(field string, value []byte) error {
		if field == "all" {
			return flag(field, value, &all)
		}
		return sent.field(field, value)
	})
	return sent, all, err
}
