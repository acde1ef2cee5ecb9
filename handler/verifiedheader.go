package handler

import (
	"net/http"
	"strings"
)

// verifiedHeader is the request header that names the provider of a verified
// request to the app. It is "false" if a dry run passes an unverified one on.
const verifiedHeader = "Webhook-Verified"

// stripHeaders removes the headers that begin with Webhook-Verified, in every
// spelling that some app server may treat as the same.
//
// A proxy drops the headers listed in Connection, which could be ours or signed
// ones. So ours is removed from that list, and the other headers in it are removed
// now: what is verified is what the app gets. Upgrade and TE are left to the proxy.
func stripHeaders(h http.Header) {
	for name := range h {
		if isVerifiedHeader(name) {
			delete(h, name)
		}
	}
	connection := h["Connection"]
	for i, value := range connection {
		names := strings.Split(value, ",")
		kept := names[:0]
		for _, name := range names {
			switch key := http.CanonicalHeaderKey(strings.TrimSpace(name)); {
			case isVerifiedHeader(key):
				continue
			case key != "Connection" && key != "Upgrade" && key != "Te":
				delete(h, key)
			}
			kept = append(kept, name)
		}
		connection[i] = strings.Join(kept, ",")
	}
}

// isVerifiedHeader reports whether a header's name begins with Webhook-Verified,
// in any case and with any character but a letter for the dash: to a CGI
// application, they may all be the same.
func isVerifiedHeader(name string) bool {
	const prefix = "webhook-verified"
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := name[i] | 0x20
		isLetter := 'a' <= c && c <= 'z'
		if isLetter != (prefix[i] != '-') || isLetter && c != prefix[i] {
			return false
		}
	}
	return true
}
