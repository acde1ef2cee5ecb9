// Package caddywebhooks is a Caddy module for signed webhooks in both
// directions.
//
// Inbound, the webhook_verify directive verifies the signature of each request
// before it reaches the app. Outbound, the app posts an event once; it is
// stored durably, fanned out to matching subscriptions as signed deliveries,
// retried on a schedule, and kept as a dead letter if every attempt fails.
//
// This package only registers the modules, by importing handler and
// handler/cli. The packages are:
//
//	handler/               the Caddy modules: directives, the global option, admin routes
//	handler/api/           the HTTP API, as a plain http.Handler
//	handler/cli/           the caddy webhooks command
//	handler/internal/      request bodies: room/ limits the memory and the time they take, spool/ keeps them
//	outbound/              the delivery engine: events, subscriptions, deliveries, attempts, dead letters
//	outbound/payload/      filters, transforms and schemas, which users write for payloads
//	outbound/store/        the interface of stores; sqlite/ is the embedded one, postgres/ the shared one
//	outbound/egress/       where deliveries may go
//	verify/                signature schemes as data, in both directions
//	internal/freeport/     finds ports for the servers of tests and benchmarks
//	internal/logged/       keeps a log that a test reads while it is written
//	internal/must/         ends a test at a step that has failed
//
// Imports go one way: handler → outbound → verify. Neither outbound nor verify
// depends on Caddy, so each can be used as a Go library of its own.
package caddywebhooks

import (
	_ "github.com/caddy-webhooks/caddy-webhooks/handler"
	_ "github.com/caddy-webhooks/caddy-webhooks/handler/cli"
)
