package handler

import (
	"net/http"
	"strings"
)

// verifiedHeader tells the app by which provider a request was verified, or
// "false" on a dry run.
const verifiedHeader = "Webhook-Verified"

// dropClaims removes from a header whatever claims to be our verdict:
// Webhook-Verified and all that begins like it, in every spelling that some app
// server takes for the same.
//
// By the word of Connection, a proxy would drop ours, or what was signed: ours is
// removed from it, and the other headers that it names end here, so that what is
// judged is what the app gets. Upgrade and TE are for the proxy itself.
func dropClaims(h http.Header) {
	for name := range h {
		if isClaim(name) {
			delete(h, name)
		}
	}
	connection := h["Connection"]
	for i, value := range connection {
		names := strings.Split(value, ",")
		kept := names[:0]
		for _, name := range names {
			switch key := http.CanonicalHeaderKey(strings.TrimSpace(name)); {
			case isClaim(key):
				continue
			case key != "Connection" && key != "Upgrade" && key != "Te":
				delete(h, key)
			}
			kept = append(kept, name)
		}
		connection[i] = strings.Join(kept, ",")
	}
}

func isClaim(name string) bool {
	const claim = "webhook-verified"
	if len(name) < len(claim) {
		return false
	}
	for i := range len(claim) {
		c := name[i] | 0x20
		isLetter := 'a' <= c && c <= 'z'
		if isLetter != (claim[i] != '-') || isLetter && c != claim[i] {
			return false // in CGI, any other sign may be the same as a dash
		}
	}
	return true
}
