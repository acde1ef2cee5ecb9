package store

// Reserver is an optional interface of a store that keeps room on its disk for the
// outcomes of deliveries.
type Reserver interface {
	// Full reports whether the disk lacks that room, so that events are refused.
	Full() bool
}
