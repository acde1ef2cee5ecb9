package outbound

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// An attempt that fails because the server lacks something says nothing about its
// receiver. It doesn't count, and is made again after a pause.

// shortagePause is how long that is.
const shortagePause = time.Second

// shortages are the errors of a server that lacks something, with what to do.
var shortages = map[syscall.Errno]string{
	syscall.EMFILE:  "the server has too many open files: raise its limit (ulimit -n, or LimitNOFILE of a systemd unit)",
	syscall.ENFILE:  "the server's system has too many open files: raise its limit (sysctl fs.file-max)",
	syscall.ENOBUFS: "the server's system has no memory left for connections",
	syscall.ENOMEM:  "the server's system has no memory left for connections",
}

// shortage returns what the server lacked, or "" if that isn't why an attempt failed.
func shortage(err error) string {
	var (
		errno syscall.Errno
		op    *net.OpError
	)
	errors.As(err, &errno)
	if errno == syscall.EADDRNOTAVAIL && errors.As(err, &op) {
		// For IPv6, it may also mean that the server has no such address, which lasts.
		if to, ok := op.Addr.(*net.TCPAddr); ok && to.IP.To4() != nil {
			return "the server has no free port left for connections to this address: add some (sysctl net.ipv4.ip_local_port_range)"
		}
	}
	return shortages[errno]
}
