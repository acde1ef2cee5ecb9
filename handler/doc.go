// Package handler contains the Caddy modules. What users configure in Caddy is
// here; the work is done by packages verify and outbound, which don't know
// Caddy.
//
//	verify.go     webhook_verify: verifies requests before the app sees them
//	  url.go        the URL that the provider called
//	  verifiedheader.go  the Webhook-Verified header, which clients can't set
//	  verdict.go    the verdict on a request, in placeholders and logs;
//	                refusal.go is the response to a bad one
//	  replay.go     the memory of messages; replaykeep.go persists it in the store
//	  tokenleak.go  warns if logs would show a token
//	publish.go    webhook_publish: stores requests as events
//	  forward.go    selects the headers to store with an event
//	api.go        webhook_api: serves the HTTP API of package api
//	admin.go      serves the same API on Caddy's admin endpoint
//	app.go        the webhooks app: its configuration and life cycle
//	  settings.go   resolves the configuration for the engine; subscription.go,
//	                oauth2.go and egress*.go are parts of it
//	  engine.go     shares an open store and its engine between configs;
//	                lastinglog.go is the logger of both
//	  store.go      which store to use, and where it is
//	  notices.go    reports what the engine does as Caddy events and metrics;
//	                deadlog.go and deadfile.go log dead letters
//	refusallog.go   logs the requests that verify.go and publish.go refuse
//	metrics*.go   Prometheus metrics; tracing*.go, OpenTelemetry
//	placeholder.go, secret.go   placeholders and secrets in the config
//	tenant.go     the tenant of a request
//	caddyfile_*   the Caddyfile syntax: a file for each of the four modules, and
//	              the option types that they share
package handler
