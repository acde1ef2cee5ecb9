package store

import "errors"

// What a store's errors are, for errors.Is.
var (
	// ErrNotFound: no row has that id.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the change contradicts what is stored.
	ErrConflict = errors.New("conflict")
	// ErrFull: the disk, or the space given to the store, is used up. Nothing
	// of the batch is stored; it may be tried again when there is room.
	ErrFull = errors.New("the store is full")
	// ErrUnavailable: the store can't take anything for now: it is closed,
	// being reopened after a failed write, or its server does not answer.
	ErrUnavailable = errors.New("the store is not available")
	// ErrInUse: another process has the store.
	ErrInUse = errors.New("the store is in use")
	// ErrForeign: what is there is no store of ours, or one of a newer version.
	ErrForeign = errors.New("not a webhooks store")
	// ErrDamaged: what is stored can't be read.
	ErrDamaged = errors.New("the store is damaged")
)
