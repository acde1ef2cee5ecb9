// Package outbound delivers events to subscriptions: stored durably, signed,
// retried on a schedule, and kept as dead letters when every attempt failed.
// It is a library: it knows neither Caddy nor an HTTP server.
//
// The way of an event, and the file for each step:
//
//	event.go         what an event may be
//	  eventname.go     types and ids that others give, as ours
//	publish.go       Publish: from the checks to the disk, and on to the lanes
//	match.go         which subscriptions want it, by its type and by their filters
//	queue.go         whose turn it is to be stored: each tenant waits for itself
//	commit.go        group commit: events and outcomes of the moment share a sync
//	lane.go          what is ready for one subscription, and how fast it may go
//	  target.go        what it goes by: the subscription as it is now
//	  fill.go          how it gets what the store has
//	  pause.go         until when it keeps still, and why
//	  underway.go      what it has begun and isn't told yet
//	dispatch.go      which lane's turn it is
//	  pace.go          how long its attempts hold others up
//	claim.go         lanes are filled from the store: retries, backlogs
//	attempt.go       sign, send, judge
//	  scheme.go        what it is signed by, and secret.go with what
//	  sender.go        the request and its answer
//	  oauth2.go        the token that a receiver may want
//	outcome.go       what an answer means
//	retry.go         when to try again
//	  breaker.go       how a receiver that fails is spared,
//	  ahead.go         how it is found out that it is back,
//	  disable.go       and when it is given up
//	deadletterlog.go each dead letter is written to a log
//	retention.go     and in the end all of it is removed
//
// Filters, transforms and schemas themselves are in package payload, where
// deliveries may go in package egress, and what a store must do in package store.
//
// What people do by hand is in subscription.go, testevent.go, delivery.go, replay.go,
// find.go, remove.go, tenant.go and status.go, what they may say of a subscription in
// spec.go, and of an event type in catalogue.go. What the configuration does is in
// settings.go and reconcile.go, and what other nodes do that share the store in
// shared.go. Who is told what happens is in observe.go, watch.go, trace.go and
// operational.go.
//
// An event is durable before Publish returns. Each of its deliveries is
// attempted at least once: a crash between the answer and its record repeats
// the attempt, with the same id.
package outbound
