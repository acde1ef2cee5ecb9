package outbound

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// maxSpare is how many connections a sender may have beyond those in use. net/http
// limits the idle ones of HTTP/1 only: a receiver could answer each request and then
// take no more on its HTTP/2 connection, without closing it.
const maxSpare = 2048

// connections counts those that a transport has open, in use or idle. While there are
// too many, each request closes its own when done.
type connections struct {
	open atomic.Int64
	most int64
}

func (c *connections) tooMany() bool { return c.open.Load() > c.most }

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// counted returns the function that dials and counts.
func (c *connections) counted(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c.open.Add(1)
		return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { c.open.Add(-1) })}, nil
	}
}

// countedConn is a connection that counts until it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}
