package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
)

// dashboard is the API for people with a browser. There is nothing in it but what asks
// the API, so whoever can reach that may have it.
//
//go:embed dashboard.html
var dashboard []byte

// dashboardPolicy lets the page run its own script and ask its own server, and nothing
// else.
var dashboardPolicy = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src " +
	sourceOf("script") + "; style-src " + sourceOf("style")

// sourceOf allows what stands in the page's element of that name.
func sourceOf(element string) string {
	_, rest, _ := bytes.Cut(dashboard, []byte("<"+element+">"))
	content, _, _ := bytes.Cut(rest, []byte("</"+element+">"))
	sum := sha256.Sum256(content)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func showDashboard(w http.ResponseWriter) {
	w.Header().Set("Content-Security-Policy", dashboardPolicy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	writeBody(w, http.StatusOK, "text/html; charset=utf-8", dashboard)
}
