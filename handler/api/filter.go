package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// filters select deliveries, in a list or for a bulk operation.
var filters = []string{"event_id", "subscription_id", "event_type", "tenant", "since", "until"}

// failureFilters select by when and how the last attempt failed. Only dead letters
// have them.
var failureFilters = []string{"failed_since", "failed_until", "class", "status"}

var (
	deliveryFilters   = slices.Concat([]string{"state"}, filters)
	eventFilters      = slices.Concat(deliveryFilters, []string{"filter"})
	deadLetterFilters = slices.Concat(filters, failureFilters)
)

// The query parameters of lists with filters.
var (
	listParameters       = slices.Concat(pageParameters, deliveryFilters)
	eventParameters      = slices.Concat(pageParameters, eventFilters)
	deadLetterParameters = slices.Concat(pageParameters, []string{"payload"}, deadLetterFilters)
)

// field reads a filter from the field of a body.
func (q query) field(name string, value []byte) error {
	if isNull(value) {
		return nil
	}
	if name == "status" {
		q[name] = string(value) // a number, as in answers
		return nil
	}
	var v string
	err := readString(name, value, &v)
	q[name] = v
	return err
}

// parse returns the filters as a query of the engine. Errors have the given code,
// since the filters may have been sent in the query or in the body.
func (q query) parse(code string) (outbound.Query, error) {
	out := outbound.Query{
		EventID: q["event_id"], Subscription: q["subscription_id"], EventType: q["event_type"], Tenant: q["tenant"], Class: q["class"],
	}
	for name, value := range q {
		if value == "" {
			return out, refuse(code, "%s is empty: give it a value or leave it out", name).at(name)
		}
	}
	// A value that no row can have would select nothing, as if there were none.
	if s := out.Subscription; s != "" && !strings.HasPrefix(s, store.SubscriptionPrefix) {
		return out, refuse(code, "subscription_id must be the id of a subscription, which begins with %s", store.SubscriptionPrefix).at("subscription_id")
	}
	if t := out.EventType; strings.Contains(strings.TrimSuffix(t, ".*"), "*") {
		return out, refuse(code, "event_type must be an event type, or a prefix such as order.*; leave it out for all").at("event_type")
	}
	if c := out.Class; c != "" && !slices.Contains(outbound.Classes, c) {
		return out, refuse(code, "class must be one of %s", strings.Join(outbound.Classes, ", ")).at("class")
	}
	if s, ok := q["status"]; ok {
		status, err := strconv.ParseUint(s, 10, 16) // unlike Atoi, it refuses a sign
		if err != nil || len(s) != 3 || status < 100 || status > 599 {
			return out, refuse(code, "status must be a status code, from 100 to 599").at("status")
		}
		out.Status = int(status)
	}
	var err error
	if out.Since, out.Until, err = q.interval("since", "until", code); err != nil {
		return out, err
	}
	if out.FailedSince, out.FailedUntil, err = q.interval("failed_since", "failed_until", code); err != nil {
		return out, err
	}
	out.States, err = parseStates(q["state"], code)
	return out, err
}

// interval reads the two ends of an interval. The zero time stands for one that was
// left out.
func (q query) interval(since, until, code string) (from, to time.Time, err error) {
	if from, err = q.time(since, code); err != nil {
		return from, to, err
	}
	if to, err = q.time(until, code); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		err = refuse(code, "%s must be before %s, or nothing is selected", since, until).at(since)
	}
	return from, to, err
}

func (q query) time(name, code string) (time.Time, error) {
	sent, ok := q[name]
	if !ok {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, sent)
	if err != nil {
		return t, refuse(code, "%s must be a time as in 2026-01-31T15:04:05Z (in a query, + is written %%2B)", name).at(name)
	}
	if t.IsZero() {
		t = t.Add(1) // since the zero time stands for none
	}
	return t, nil
}

// parseStates reads names of states, separated by commas.
func parseStates(sent, code string) (out []store.State, err error) {
	if sent == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(sent, ",") {
		s, ok := store.ParseState(name)
		if !ok {
			return nil, refuse(code, "state must be pending, delivered, dead or discarded, or several of these separated by commas").at("state")
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}
