package store

import "time"

// Salvager is an optional interface of a store that survives damage to its
// file: it copies what can be read into a new one.
type Salvager interface {
	// Salvages returns a report on each damaged file that was set aside and is
	// still there, the oldest first.
	Salvages() []Salvage
	// Salvaged receives a value when a file was salvaged while the store was
	// open: there may be new pending deliveries (see Salvage.Repeated).
	Salvaged() <-chan struct{}
}

// Salvage is the report on a damaged file. What could be read is in a new file;
// the rest is only in the damaged one.
type Salvage struct {
	At    time.Time `json:"at"`
	Path  string    `json:"path"`  // where the damaged file is now
	Cause string    `json:"cause"` // how the damage showed
	Kept  Rows      `json:"kept"`
	Lost  Rows      `json:"lost"` // at least: a lost row that no kept row refers to isn't known
	// Repeated is how many lost deliveries were created again, because their event
	// and their subscription were kept. They may have been delivered before.
	Repeated int64 `json:"repeated"`
	// Unreadable is how many broken rows were found. They may be any of those
	// that were lost.
	Unreadable int64 `json:"unreadable"`
}

// Rows counts rows.
type Rows struct {
	Events        int64 `json:"events"`
	Deliveries    int64 `json:"deliveries"`
	Subscriptions int64 `json:"subscriptions"`
}
