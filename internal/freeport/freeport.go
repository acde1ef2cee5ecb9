// Package freeport finds ports for the servers of tests and benchmarks.
package freeport

import (
	"fmt"
	"net"
	"sync"
)

// Ports are taken in blocks. The listener on the first port of a block shows other
// processes that it is taken: Caddy would share a port with another process that listens
// on it, which a look at the port alone doesn't tell before the other one listens.
//
// They begin at 11000, since browsers refuse to open 10080, and end below the system's
// ephemeral ports. Otherwise a connection to a closed port could have the same source
// port, and so connect to itself.
const (
	first     = 11_000
	end       = 32_000
	blockSize = 1000
)

var taken struct {
	sync.Mutex
	blocks    []net.Listener // they stay open, and reachable, as long as the process lives
	next, end int            // what is left of the last one
}

// Get returns a port on which nothing listens. It returns each port only once, and two
// processes that use it don't get the same.
func Get() int {
	taken.Lock()
	defer taken.Unlock()
	for {
		for taken.next < taken.end {
			port := taken.next
			taken.next++
			if l, err := listen(port); err == nil {
				l.Close()
				return port
			}
		}
		takeBlock()
	}
}

// Address returns an address of this machine at such a port.
func Address() string { return fmt.Sprintf("127.0.0.1:%d", Get()) }

func takeBlock() {
	for at := max(first, taken.end); at < end; at += blockSize {
		if l, err := listen(at); err == nil {
			taken.blocks, taken.next, taken.end = append(taken.blocks, l), at+1, at+blockSize
			return
		}
	}
	panic("there is no free port")
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}
