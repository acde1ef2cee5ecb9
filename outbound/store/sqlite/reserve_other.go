//go:build !linux

package sqlite

import (
	"errors"
	"os"
)

// On other systems there is no reserve: outcomes wait in memory while the disk is
// full.
var errDiskFull = errors.New("the disk is full")

func isDiskFull(err error) bool { return errors.Is(err, errDiskFull) }

func room(string) (free, total int64, err error) { return 0, 0, errors.ErrUnsupported }

func allocate(*os.File, int64) error { return errors.ErrUnsupported }
