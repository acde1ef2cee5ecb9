package egress

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// nameServer is a DNS server on loopback. It gives the answers of a name one after another,
// and then repeats the last one.
type nameServer struct {
	conn net.PacketConn

	mu      sync.Mutex
	answers map[string][][]netip.Addr // by name; a name without any isn't answered
	lookups map[dnsmessage.Question]int
	clients []net.Conn
}

// serveNames starts a nameServer. An answer is a list of addresses, as in
// "8.8.8.8 ::1".
func serveNames(t *testing.T, answers map[string][]string) *nameServer {
	t.Helper()
	conn := must.Get(net.ListenPacket("udp", "127.0.0.1:0"))(t)
	s := &nameServer{
		conn:    conn,
		answers: make(map[string][][]netip.Addr),
		lookups: make(map[dnsmessage.Question]int),
	}
	for name, sets := range answers {
		s.answers[name+"."] = nil
		for _, set := range sets {
			var addrs []netip.Addr
			for _, a := range list(set) {
				addrs = append(addrs, netip.MustParseAddr(a))
			}
			s.answers[name+"."] = append(s.answers[name+"."], addrs)
		}
	}
	var served sync.WaitGroup
	served.Go(s.serve)
	t.Cleanup(func() {
		conn.Close()
		served.Wait()
		for _, c := range s.clients {
			c.Close() // an abandoned lookup would linger for seconds
		}
	})
	return s
}

func (s *nameServer) serve() {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		reply := s.answer(m)
		if reply == nil {
			continue
		}
		if out, err := reply.Pack(); err == nil {
			s.conn.WriteTo(out, from)
		}
	}
}

func (s *nameServer) answer(query dnsmessage.Message) *dnsmessage.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := query.Questions[0]
	reply := &dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true},
		Questions: query.Questions,
	}
	sets, ok := s.answers[q.Name.String()]
	if !ok {
		reply.RCode = dnsmessage.RCodeNameError
		return reply
	}
	if len(sets) == 0 {
		return nil
	}
	n := min(s.lookups[q], len(sets)-1)
	s.lookups[q]++
	for _, a := range sets[n] {
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
		case !a.Is4() && q.Type == dnsmessage.TypeAAAA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return reply
}

// asked returns how often the IPv4 addresses of a name were asked for.
func (s *nameServer) asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookups[dnsmessage.Question{Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}]
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
			if err == nil {
				s.mu.Lock()
				s.clients = append(s.clients, c)
				s.mu.Unlock()
			}
			return c, err
		},
	}
}
