package egress

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// Go's resolver asks the next name server when one hasn't answered for 5 s, and gives up on
// one kind of addresses after 10 s without an answer. A lookup must leave it the time for
// that within an attempt's 15 s.
func TestLookupWaitsForTheNextNameServer(t *testing.T) {
	names := serveNames(t, map[string][]string{"example.com": {"8.8.8.8"}})
	// The first lookup makes package net create channels, which must not belong to a synctest
	// bubble.
	must.Get(names.resolver().LookupNetIP(t.Context(), "ip", "example.com"))(t)
	tests := []struct {
		name   string
		silent func(asked int64, about dnsmessage.Type) bool
	}{
		{"first name server is down", func(asked int64, _ dnsmessage.Type) bool { return asked <= 2 }}, // the queries for both kinds of addresses
		{"IPv6 queries are dropped", func(_ int64, about dnsmessage.Type) bool { return about == dnsmessage.TypeAAAA }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer time.Sleep(time.Minute) // until abandoned queries have ended
				var asked atomic.Int64
				resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					n := asked.Add(1)
					go names.serveStream(theirs, func(about dnsmessage.Type) bool { return tt.silent(n, about) })
					return ours, nil
				}}
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				addrs := must.Get(newDialer(Options{Resolver: resolver}, nil).lookup(ctx, "example.com"))(t)
				if want := []netip.Addr{netip.MustParseAddr("8.8.8.8")}; !slices.Equal(addrs, want) {
					t.Errorf("got addresses %v, want %v", addrs, want)
				}
			})
		})
	}
}

// serveStream answers one DNS query over TCP, unless silent says not to.
func (s *nameServer) serveStream(conn net.Conn, silent func(dnsmessage.Type) bool) {
	defer conn.Close()
	var size uint16
	if binary.Read(conn, binary.BigEndian, &size) != nil {
		return
	}
	question := make([]byte, size)
	if _, err := io.ReadFull(conn, question); err != nil {
		return
	}
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return
	}
	if silent(m.Questions[0].Type) {
		io.Copy(io.Discard, conn) // until the resolver gives up
		return
	}
	if out, err := s.answer(m).Pack(); err == nil {
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
	}
}
