// Package handler puts webhooks into Caddy. It is the only room that knows
// Caddy: what a user configures stands here, and what does the work is in
// packages verify and outbound.
//
//	verify.go     webhook_verify: judges a request before the app sees it
//	  url.go        what URL the provider has called
//	  body.go       where its body waits for the verdict
//	  verdict.go    what is told of it, and refusal.go of a bad one
//	  replay.go     which messages were seen; replaykeep.go keeps them in the store
//	  tokenleak.go  warns where the access log would show a token
//	publish.go    webhook_publish: stores a request as an event of the type that
//	              eventname.go makes of it
//	api.go        webhook_api: the HTTP API, of package api
//	admin.go      the same API on Caddy's admin endpoint
//	app.go        the webhooks app: what can be configured, and its life
//	  settings.go   the parts of its configuration, resolved for the engine
//	  engine.go     what outlives a config: the open store and its deliveries;
//	                lastinglog.go is its log
//	  store.go      which store, and where
//	  notices.go    Caddy's events and the log, of what the engine does;
//	                deadlog.go and deadfile.go of dead letters
//	metrics*.go   Prometheus, tracing*.go OpenTelemetry
//	placeholder.go, secret.go   texts of the config
//	caddyfile_*   the Caddyfile's syntax, a file for each of the four
package handler
