package sqlite

import (
	"errors"
	"os"
	"syscall"
)

const errDiskFull = syscall.ENOSPC

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// room returns how many bytes an unprivileged user may still use on the disk of a
// file, and how many bytes the disk has.
func room(path string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, os.NewSyscallError("statfs", err)
	}
	block := int64(s.Frsize)
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil
}

// allocate makes a file take up size bytes on its disk, counting those that it
// has.
func allocate(f *os.File, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fallocate", err)
		}
	}
}
