package store

import "errors"

// The errors of a store, for errors.Is.
var (
	// ErrNotFound: there is no row with that id.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the change contradicts what is stored.
	ErrConflict = errors.New("conflict")
	// ErrFull: the disk, or the space given to the store, is used up. Nothing
	// of the batch was stored; it can be tried again when there is room.
	ErrFull = errors.New("the store is full")
	// ErrUnavailable: the store can't be used now. It is closed, it is being
	// reopened after a failed write, or its server doesn't answer.
	ErrUnavailable = errors.New("the store is not available")
	// ErrInUse: another process has the store open.
	ErrInUse = errors.New("the store is in use")
	// ErrForeign: what is there isn't our store, or is from a newer version.
	ErrForeign = errors.New("not a webhooks store")
	// ErrDamaged: what is stored can't be read.
	ErrDamaged = errors.New("the store is damaged")
)
