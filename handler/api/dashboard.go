package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
)

// dashboard is a page for people, which uses the API from their browser. It contains
// no data itself, so it needs no token.
//
//go:embed dashboard.html
var dashboard []byte

// dashboardPolicy lets the page use its own script, its own style and the API, and
// nothing else.
var dashboardPolicy = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src " +
	sourceOf("script") + "; style-src " + sourceOf("style")

// sourceOf returns the source expression of Content-Security-Policy that allows the
// page's element of that name, by its hash.
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
