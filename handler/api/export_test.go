package api

import (
	"net/http"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
)

// SetRoom sets how much memory all bodies of an API may use together.
func SetRoom(h http.Handler, limit int64) { h.(*api).bodies = room.New(limit) }

// Taken returns how much memory the bodies and the large answers of an API use now.
func Taken(h http.Handler) int64 { return h.(*api).bodies.Taken() + h.(*api).answers.Taken() }

// SetAnswers sets how much memory all large answers of an API may use together.
func SetAnswers(h http.Handler, limit int64) { h.(*api).answers = room.New(limit) }

// TakeTurns takes all the turns to make large answers, and returns a function that gives
// them back.
func TakeTurns(h http.Handler) (giveBack func()) { return take(h.(*api).turns) }

// TakeSearches is TakeTurns for those that are made while the store is searched.
func TakeSearches(h http.Handler) (giveBack func()) { return take(h.(*api).searches) }

func take(turns chan struct{}) (giveBack func()) {
	for range cap(turns) {
		turns <- struct{}{}
	}
	return func() {
		for range cap(turns) {
			<-turns
		}
	}
}

// TenantToken returns a token that a manage token has issued.
func TenantToken(manageToken, tenant string, expires time.Time) string {
	return tenantToken{ScopeManage, tenant, expires}.sign(issuerKey(manageToken))
}

// Routes returns the methods and paths of the API.
func Routes() (all []string) {
	for _, t := range routes {
		all = append(all, t.method+" "+t.path)
	}
	return all
}
