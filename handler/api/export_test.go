package api

import (
	"net/http"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
)

// SetRoom sets how much the bodies of all calls to an API may take.
func SetRoom(h http.Handler, limit int64) { h.(*api).bodies = room.New(limit) }

// Routes are the methods and paths of the API.
func Routes() (all []string) {
	for _, t := range routes {
		all = append(all, t.method+" "+t.path)
	}
	return all
}
