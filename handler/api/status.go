package api

import (
	"net/http"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// status is the state of the server, as answers show it.
type status struct {
	Pending       int64                `json:"pending"` // deliveries, including those being attempted
	OldestDue     timestamp            `json:"oldest_due"`
	InFlight      int                  `json:"in_flight"`
	DeadLetters   int64                `json:"dead_letters"`
	Draining      bool                 `json:"draining"`
	Store         *storeStatus         `json:"store"` // null in a tenant's API
	Subscriptions []subscriptionStatus `json:"subscriptions"`
}

type storeStatus struct {
	Path    string    `json:"path"`
	Bytes   int64     `json:"bytes"`
	Full    bool      `json:"full"`
	Error   *string   `json:"error"` // why the last write failed, if it did
	Damaged []damaged `json:"damaged"`
	Nodes   []node    `json:"nodes"`
}

// node is one of the nodes that share the store.
type node struct {
	Number int    `json:"number"`
	Host   string `json:"host"`
	Self   bool   `json:"self"`
	Lapsed bool   `json:"lapsed"`
}

// damaged is a damaged store that was set aside and not deleted since.
type damaged struct {
	Path       string     `json:"path"`
	SetAsideAt timestamp  `json:"set_aside_at"`
	Cause      string     `json:"cause"`
	Kept       store.Rows `json:"kept"`
	Lost       store.Rows `json:"lost"`
	Repeated   int64      `json:"repeated"`
	Unreadable int64      `json:"unreadable"`
}

// subscriptionStatus is the state of one subscription.
type subscriptionStatus struct {
	SubscriptionID string    `json:"subscription_id"`
	Tenant         *string   `json:"tenant"`
	URL            string    `json:"url"`
	Health         string    `json:"health"`
	Reason         *string   `json:"reason"` // why it is inactive
	InFlight       int       `json:"in_flight"`
	Pending        int64     `json:"pending"` // deliveries, including those being attempted
	Ready          int       `json:"ready"`   // pending deliveries in memory, next to be attempted
	DeadLetters    int64     `json:"dead_letters"`
	FailuresInARow int       `json:"failures_in_a_row"`
	FailingSince   timestamp `json:"failing_since"`
	PausedUntil    timestamp `json:"paused_until"`
	LastSuccessAt  timestamp `json:"last_success_at"`
	LastFailureAt  timestamp `json:"last_failure_at"`
	LastError      *string   `json:"last_error"`
}

func (c *call) showStatus() error {
	s, whole, err := c.engine.Status(c.r.Context())
	if err != nil {
		return err
	}
	out := status{
		Pending: s.Store.Pending, OldestDue: timestamp(s.OldestDue), InFlight: s.InFlight, DeadLetters: s.Store.Dead,
		Draining: s.Draining, Subscriptions: []subscriptionStatus{},
	}
	if whole {
		out.Store = storeStatusOf(s)
	}
	for _, sub := range s.Subscriptions {
		out.Subscriptions = append(out.Subscriptions, subscriptionStatusOf(sub))
	}
	return c.answer(http.StatusOK, out)
}

func storeStatusOf(s outbound.Status) *storeStatus {
	out := &storeStatus{Path: s.Store.Path, Bytes: s.Store.Bytes, Full: s.Full, Damaged: []damaged{}, Nodes: []node{}}
	if s.Fails != nil {
		out.Error = orNull(s.Fails.Error())
	}
	for _, d := range s.Salvages {
		out.Damaged = append(out.Damaged, damaged{d.Path, timestamp(d.At), d.Cause, d.Kept, d.Lost, d.Repeated, d.Unreadable})
	}
	for _, n := range s.Nodes {
		out.Nodes = append(out.Nodes, node(n))
	}
	return out
}

func subscriptionStatusOf(s outbound.SubscriptionStatus) subscriptionStatus {
	return subscriptionStatus{
		SubscriptionID: s.Subscription.ID, Tenant: orNull(s.Subscription.Tenant), URL: s.Subscription.URL,
		Health: s.Health, Reason: orNull(s.Subscription.Reason),
		InFlight: s.InFlight, Pending: s.Pending, Ready: s.Ready, DeadLetters: s.Dead,
		FailuresInARow: s.Failures, FailingSince: timestamp(s.FailingSince), PausedUntil: timestamp(s.PausedUntil),
		LastSuccessAt: timestamp(s.LastSuccess), LastFailureAt: timestamp(s.LastFailure), LastError: orNull(s.LastError),
	}
}
