package cli

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// serverStatus is the status of the server in the API.
type serverStatus struct {
	Pending     int       `json:"pending"`
	OldestDue   time.Time `json:"oldest_due"`
	InFlight    int       `json:"in_flight"`
	DeadLetters int       `json:"dead_letters"`
	Draining    bool      `json:"draining"`
	Store       struct {
		Path  string `json:"path"`
		Bytes uint64 `json:"bytes"`
		Full  bool   `json:"full"`
		Error string `json:"error"`

		Damaged []damaged `json:"damaged"`
		Nodes   []node    `json:"nodes"`
	} `json:"store"`
	Subscriptions []subscriptionStatus `json:"subscriptions"`
}

// held returns how many deliveries wait for inactive subscriptions.
func (s *serverStatus) held() (n int) {
	for _, sub := range s.Subscriptions {
		if sub.Health == "inactive" {
			n += sub.Pending
		}
	}
	return n
}

// dead returns how many dead letters there are, or a subscription has.
func (s *serverStatus) dead(subscription string) int {
	if subscription == "" {
		return s.DeadLetters
	}
	for _, sub := range s.Subscriptions {
		if sub.ID == subscription {
			return sub.DeadLetters
		}
	}
	return 0
}

// damaged is a damaged store that was set aside.
type damaged struct {
	Path       string     `json:"path"`
	SetAsideAt time.Time  `json:"set_aside_at"`
	Cause      string     `json:"cause"`
	Kept       store.Rows `json:"kept"`
	Lost       store.Rows `json:"lost"`
	Repeated   int64      `json:"repeated"`
	Unreadable int64      `json:"unreadable"`
}

// addDamaged adds a damaged store, and what was lost with it.
func (f *fields) addDamaged(c *call, d *damaged) {
	f.addText("Damaged", d.Path+" was set aside "+c.when(d.SetAsideAt)+": "+d.Cause)
	f.add("Lost", d.lost())
}

// lost is what was lost with it, and what receivers get again.
func (d *damaged) lost() string {
	text := "at least " + count(int(d.Lost.Events), "event", "events") + ", " +
		count(int(d.Lost.Deliveries), "delivery", "deliveries") + " and " +
		count(int(d.Lost.Subscriptions), "subscription", "subscriptions")
	if d.Unreadable > 0 {
		text += "; " + count(int(d.Unreadable), "record", "records") + " couldn't be read (these or others)"
	}
	if d.Repeated > 0 {
		text += "; " + count(int(d.Repeated), "delivery whose record was lost is made again", "deliveries whose records were lost are made again") + ", even if the receivers have had them"
	}
	return text + "; delete the file and its report when they are no longer needed"
}

// node is one of the nodes that share the store.
type node struct {
	Number int    `json:"number"`
	Host   string `json:"host"`
	Self   bool   `json:"self"`
	Lapsed bool   `json:"lapsed"`
}

func (n node) String() string {
	name := fmt.Sprintf("%02x %s", n.Number, n.Host)
	switch {
	case n.Self:
		return name + " (this one)"
	case n.Lapsed:
		return name + " (no sign of life: the others are about to take over its deliveries)"
	}
	return name
}

type subscriptionStatus struct {
	ID          string    `json:"subscription_id"`
	Tenant      string    `json:"tenant"`
	URL         string    `json:"url"`
	Health      string    `json:"health"`
	Reason      string    `json:"reason"` // why it is inactive
	InFlight    int       `json:"in_flight"`
	Pending     int       `json:"pending"`
	DeadLetters int       `json:"dead_letters"`
	Failures    int       `json:"failures_in_a_row"`
	Since       time.Time `json:"failing_since"`
	PausedUntil time.Time `json:"paused_until"`
	LastSuccess time.Time `json:"last_success_at"`
	LastFailure time.Time `json:"last_failure_at"`
	LastError   string    `json:"last_error"`
}

// trouble is why the subscription is inactive, and its last error.
func (s *subscriptionStatus) trouble() string {
	if s.Reason != "" && s.LastError != "" && s.LastError != s.Reason {
		return s.Reason + "; last error: " + s.LastError
	}
	return cmp.Or(s.Reason, s.LastError)
}

func (t *tool) status() *cobra.Command {
	return online(t.command(verb{
		use:   "status",
		short: "Shows pending deliveries, attempts in flight, and the health of each subscription",
		long: `
Shows pending deliveries, attempts in flight, and the health of each
subscription since Caddy started, those in trouble first:

	ok        the last attempt succeeded, or there was none
	failing   the last attempt failed
	down      so many attempts failed that only one at a time is made
	paused    the receiver asked for a pause, the rate limit is reached, or the
	          server has too many open files
	inactive  the subscription is deactivated: its deliveries are held until
	          "caddy webhooks subscriptions activate"

PENDING is the number of pending deliveries, including those with an attempt in
flight: "caddy webhooks deliveries list --state pending" shows them. DEAD is the
number of dead letters, FAILURES the number of failed attempts in a row, and SINCE
when the first of those failed.`,
		example: `
caddy webhooks status
caddy webhooks status --json | jq .dead_letters`,
		run: func(c *call) error { return c.show("/status", nil, printing(printStatus)) },
	}))
}

func printStatus(c *call, s *serverStatus) error {
	pending := count(s.Pending, "delivery", "deliveries")
	if held := s.held(); held > 0 {
		pending += " (" + thousands(held) + " held for inactive subscriptions)"
	}
	if !s.OldestDue.IsZero() {
		pending += ", the first due " + c.when(s.OldestDue)
	}
	var f fields
	f.add("Pending", pending)
	f.add("In flight", thousands(s.InFlight))
	dead := thousands(s.DeadLetters)
	if s.DeadLetters > 0 {
		dead += ": " + c.line("dead-letters list") + " shows them"
	}
	f.add("Dead letters", dead)
	if s.Store.Path != "" { // an API for one tenant doesn't show it
		f.addText("Store", s.Store.Path+" ("+humanize.IBytes(s.Store.Bytes)+")")
	}
	switch {
	case s.Store.Full:
		f.add("Full", "events are refused until there is room: free some space on the store's disk; this line goes away with the next event that is stored")
	case s.Store.Error != "":
		f.addText("Failing", "the last change couldn't be stored: "+s.Store.Error)
	}
	for _, n := range s.Store.Nodes {
		f.addText("Node", n.String())
	}
	for _, d := range s.Store.Damaged {
		f.addDamaged(c, &d)
	}
	if s.Draining {
		f.add("Stopping", "Caddy makes no more attempts, and waits for those in flight")
	}
	if err := f.flush(c.out); err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	return printHealth(c, s.Subscriptions)
}

// printHealth prints a table of subscriptions, the most urgent first.
func printHealth(c *call, subscriptions []subscriptionStatus) error {
	if len(subscriptions) == 0 {
		_, err := fmt.Fprintln(c.out, "There are no subscriptions.")
		return err
	}
	slices.SortStableFunc(subscriptions, func(a, b subscriptionStatus) int { return cmp.Compare(urgency(a.Health), urgency(b.Health)) })
	t := newTable("SUBSCRIPTION", "HEALTH", "PENDING", "IN FLIGHT", "DEAD", "FAILURES", "SINCE", "LAST SUCCESS", "LAST FAILURE", "TENANT", "URL", "REASON OR LAST ERROR")
	for _, s := range subscriptions {
		t.row(clean(s.ID), c.health(&s), thousands(s.Pending), thousands(s.InFlight), thousands(s.DeadLetters), thousands(s.Failures), c.when(s.Since), c.when(s.LastSuccess), c.when(s.LastFailure), cell(s.Tenant, 24), cell(s.URL, 40), cell(s.trouble(), widest))
	}
	return t.flush(c.out)
}

// healths are the values of a subscription's health, the most urgent first.
var healths = []string{"down", "failing", "inactive", "paused", "ok"}

// urgency is the sort key of a health. Those that this version doesn't know come
// first.
func urgency(health string) int { return slices.Index(healths, health) }

// health formats a subscription's health, with the time of the next attempt if
// there is a pause before it.
func (t *tool) health(s *subscriptionStatus) string {
	if wait := s.PausedUntil.Sub(t.now()); wait > 0 && s.Health != "inactive" {
		return clean(s.Health) + ", next " + ago(-wait)
	}
	return clean(s.Health)
}
