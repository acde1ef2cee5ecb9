package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// filters narrow a list of deliveries, or what is done to many of them.
var filters = []string{"event_id", "subscription_id", "event_type", "tenant", "since", "until"}

// failureFilters go by when and how the last attempt failed, which only a dead
// letter is asked for.
var failureFilters = []string{"failed_since", "failed_until", "class", "status"}

var (
	deliveryFilters   = slices.Concat([]string{"state"}, filters)
	eventFilters      = slices.Concat(deliveryFilters, []string{"filter"})
	deadLetterFilters = slices.Concat(filters, failureFilters)
)

// The parameters of the lists that have filters.
var (
	listParameters       = slices.Concat(pageParameters, deliveryFilters)
	eventParameters      = slices.Concat(pageParameters, eventFilters)
	deadLetterParameters = slices.Concat(pageParameters, []string{"payload"}, deadLetterFilters)
)

// field reads a filter that stands in a body.
func (q query) field(name string, value []byte) error {
	if isNull(value) {
		return nil
	}
	if name == "status" {
		q[name] = string(value) // a number, as in the rows
		return nil
	}
	var v string
	err := readString(name, value, &v)
	q[name] = v
	return err
}

// isStatus tells whether an answer can have this status.
func isStatus(s string) bool {
	return len(s) == 3 && s >= "100" && s <= "599" && strings.Trim(s, "0123456789") == ""
}

// filter makes a query of what was sent; errors have the given code, since the
// same names stand in queries and in bodies.
func (q query) filter(code string) (outbound.Query, error) {
	out := outbound.Query{
		EventID: q["event_id"], Subscription: q["subscription_id"], EventType: q["event_type"], Tenant: q["tenant"], Class: q["class"],
	}
	for name, value := range q {
		if value == "" {
			return out, refuse(code, "%s is empty: give it a value or leave it out", name).at(name)
		}
	}
	// What no row can have would select nothing and look like an answer.
	if s := out.Subscription; s != "" && !strings.HasPrefix(s, store.SubscriptionPrefix) {
		return out, refuse(code, "subscription_id must be the id of a subscription, which begins with %s", store.SubscriptionPrefix).at("subscription_id")
	}
	if t := out.EventType; strings.Contains(strings.TrimSuffix(t, ".*"), "*") {
		return out, refuse(code, "event_type must be an event type, or a prefix of some as in order.*; leave it out for all").at("event_type")
	}
	if c := out.Class; c != "" && !slices.Contains(outbound.Classes, c) {
		return out, refuse(code, "class must be one of %s", strings.Join(outbound.Classes, ", ")).at("class")
	}
	if s, ok := q["status"]; ok {
		if !isStatus(s) {
			return out, refuse(code, "status must be that of an answer, from 100 to 599").at("status")
		}
		out.Status, _ = strconv.Atoi(s)
	}
	if err := q.span("since", "until", &out.Since, &out.Until, code); err != nil {
		return out, err
	}
	if err := q.span("failed_since", "failed_until", &out.FailedSince, &out.FailedUntil, code); err != nil {
		return out, err
	}
	states, err := states(q["state"], code)
	out.States = states
	return out, err
}

// span reads the two ends of a time, each of which may be left out.
func (q query) span(since, until string, from, to *time.Time, code string) error {
	for _, end := range []struct {
		name string
		to   *time.Time
	}{{since, from}, {until, to}} {
		sent, ok := q[end.name]
		if !ok {
			continue
		}
		t, err := time.Parse(time.RFC3339, sent)
		if err != nil {
			return refuse(code, "%s must be a time as in 2026-01-31T15:04:05Z (in a query, + is written %%2B)", end.name).at(end.name)
		}
		if t.IsZero() {
			t = t.Add(1) // for the zero time stands for none
		}
		*end.to = t
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(*to) {
		return refuse(code, "%s must be before %s, or nothing is selected", since, until).at(since)
	}
	return nil
}

// states reads the names of states, separated by commas.
func states(sent, code string) (out []store.State, err error) {
	if sent == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(sent, ",") {
		s, ok := store.ParseState(name)
		if !ok {
			return nil, refuse(code, "state must be pending, delivered, dead or discarded, or some of them separated by commas").at("state")
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// page reads the filters of a query and where its page is. The query asks for
// one row more than the page has.
func (q query) page(prefix string) (out outbound.Query, limit int, err error) {
	if limit, err = q.limit(); err != nil {
		return out, 0, err
	}
	before, err := q.cursor(prefix)
	if err != nil {
		return out, 0, err
	}
	out, err = q.filter(codeInvalidParameter)
	out.Before, out.Limit = before, limit+1
	return out, limit, err
}
