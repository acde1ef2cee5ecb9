// Package handler has the Caddy modules. It is the only package that knows
// Caddy: what users configure is here, and what does the work is in packages
// verify and outbound.
//
//	verify.go     webhook_verify: verifies a request before the app sees it
//	  url.go        the URL that the provider called
//	  claim.go      what claims to be a verdict
//	  verdict.go    the verdict, in placeholders and logs; refusal.go, if it is bad
//	  replay.go     which messages were seen; replaykeep.go keeps them in the store
//	  tokenleak.go  warns if the access log would show a token
//	publish.go    webhook_publish: stores a request as an event
//	  forward.go    which of its headers are kept with it
//	api.go        webhook_api: the HTTP API, of package api
//	admin.go      the same API on Caddy's admin endpoint
//	app.go        the webhooks app: what can be configured, and its life
//	  settings.go   its configuration, resolved for the engine; subscription.go,
//	                oauth2.go and egress*.go are parts of it
//	  engine.go     what outlives a config: the open store and its deliveries;
//	                lastinglog.go is its log
//	  store.go      which store, and where
//	  notices.go    what the engine does, as Caddy events and metrics;
//	                deadlog.go and deadfile.go log dead letters
//	refusallog.go   logs what verify.go and publish.go refuse
//	metrics*.go   Prometheus; tracing*.go, OpenTelemetry
//	placeholder.go, secret.go   placeholders and secrets in the config; tenant.go,
//	              whose a request is
//	caddyfile_*   the Caddyfile syntax of each of the four, and their options
package handler
