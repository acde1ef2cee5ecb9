package api

import (
	"net/http"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
)

// SetRoom sets how much the bodies of all calls to an API may take together.
func SetRoom(h http.Handler, limit int64) { h.(*api).bodies = room.New(limit) }

// Taken returns what the bodies of all calls to an API take at the moment.
func Taken(h http.Handler) int64 { return h.(*api).bodies.Taken() }

// Routes are the methods and paths of the API.
func Routes() (all []string) {
	for _, t := range routes {
		all = append(all, t.method+" "+t.path)
	}
	return all
}
