// Package handler puts webhooks into Caddy. It is the only room that knows
// Caddy: what a user configures stands here, and what does the work is in
// packages verify and outbound.
//
//	verify.go     webhook_verify: judges a request before the app sees it
//	publish.go    webhook_publish: stores a request as an event
//	api.go        webhook_api: the HTTP API, of package api
//	admin.go      the same API on Caddy's admin endpoint
//	app.go        the webhooks option: settings, and when they begin and end
//	engine.go     what outlives a config: the open store and its deliveries
//	caddyfile_*   the Caddyfile's syntax, a file for each of these
package handler
