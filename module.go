// Package caddywebhooks is a Caddy module for signed webhooks in both
// directions.
//
// Inbound, the webhook_verify directive judges the signature of each request
// before it reaches the app. Outbound, the app posts an event once; it is
// stored durably, fanned out to the matching subscriptions as signed
// deliveries, retried on a schedule and, at the end of it, kept as a dead
// letter.
//
// This package only registers the modules, by importing the rooms of the house:
//
//	handler/          the only room that knows Caddy: directives, the global option, admin routes
//	handler/api/      the HTTP API, a plain http.Handler
//	handler/cli/      the caddy webhooks command
//	handler/internal/ room/ bounds what the bodies of requests take of memory
//	outbound/         the delivery engine: events, subscriptions, deliveries, attempts, dead letters
//	outbound/store/   what a store must do; sqlite/ is the embedded one, postgres/ the shared one
//	outbound/egress/  where a delivery may go
//	verify/           signature schemes as data, in both directions
//
// Imports point one way: handler → outbound → verify. Neither outbound nor
// verify knows Caddy; each is a Go library of its own.
package caddywebhooks

import (
	_ "github.com/caddy-webhooks/caddy-webhooks/handler"
	_ "github.com/caddy-webhooks/caddy-webhooks/handler/cli"
)
