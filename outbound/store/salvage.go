package store

import "time"

// Salvager is what a store may do besides: it goes on when what it is stored in
// is damaged.
type Salvager interface {
	// Salvages tells what became of damaged stores that were set aside and are
	// still there, the oldest first.
	Salvages() []Salvage
	// Salvaged tells that this was done while the store was open, so that
	// deliveries may wait of which nobody knows (see Salvage.Repeated).
	Salvaged() <-chan struct{}
}

// Salvage is what became of a damaged store: what could be read is in a new
// one, and the rest is in the damaged one only.
type Salvage struct {
	At    time.Time `json:"at"`
	Path  string    `json:"path"`  // where the damaged one is now
	Cause string    `json:"cause"` // how the damage showed
	Kept  Rows      `json:"kept"`
	Lost  Rows      `json:"lost"` // at least: what nothing that was kept names isn't known
	// Repeated deliveries were lost, and are made anew since their event and
	// their subscription were kept. They may have been made before.
	Repeated int64 `json:"repeated"`
	// Unreadable rows were found where rows are, and may be any of those that
	// were lost.
	Unreadable int64 `json:"unreadable"`
}

// Rows counts rows.
type Rows struct {
	Events        int64 `json:"events"`
	Deliveries    int64 `json:"deliveries"`
	Subscriptions int64 `json:"subscriptions"`
}
