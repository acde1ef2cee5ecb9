// Package outbound delivers events to subscriptions: stored durably, signed,
// retried on a schedule, and kept as dead letters when every attempt failed.
// It is a library: it knows neither Caddy nor an HTTP server.
//
// The way of an event, with the file for each step:
//
//	event.go         what an event may be
//	  eventname.go     event types and ids that others chose, in our characters
//	publish.go       Publish: checked, stored, handed to the lanes
//	match.go         which subscriptions want it, by its type and by their filters
//	queue.go         events wait to be stored, each tenant in a queue of its own
//	commit.go        group commit: events and outcomes share a sync of the disk
//	lane.go          the deliveries of one subscription that are ready
//	  target.go        what an attempt needs to know of the subscription
//	  fill.go          refilled with what the store has
//	  pause.go         paused: until when, and why
//	  underway.go      attempts that have begun and have no outcome yet
//	dispatch.go      which lane may begin an attempt
//	  pace.go          how long its attempts take, and so hold others up
//	claim.go         deliveries are claimed from the store: retries, backlogs
//	attempt.go       one attempt: sign, send, judge
//	  scheme.go        the signature schemes, with the secrets of secret.go
//	  sender.go        the request and its response
//	  precondition.go  what an attempt needs before, requested once for all:
//	  handshake.go     the receiver's permission,
//	  oauth2.go        the access token of a receiver that wants one
//	outcome.go       what a response or an error means
//	retry.go         the schedule of retries
//	  breaker.go       a failing receiver gets few attempts,
//	  ahead.go         one of them ahead of schedule, to see whether it is back,
//	  disable.go       and its subscription is deactivated in the end
//	deadletterlog.go dead letters are written to a log
//	retention.go     what is old is removed
//
// Filters, transforms and schemas are in package payload, the rules of where a
// delivery may go in package egress, and what a store must do in package store.
//
// What people do by hand is in subscription.go, testevent.go, delivery.go, replay.go,
// find.go, remove.go, tenant.go and status.go. spec.go checks a subscription, and
// catalogue.go an event type. settings.go and reconcile.go apply the configuration,
// and shared.go follows the other nodes on the same store. observe.go, watch.go,
// trace.go and operational.go tell others what happens. backlog.go finds what waits in
// the store after a start. What several of these need is in bell.go, fifo.go, clock.go,
// rate.go, tenantrate.go, publishings.go, log.go and errors.go.
//
// An event is durable before Publish returns. Each of its deliveries is
// attempted at least once: a crash between the answer and its record repeats
// the attempt, with the same id.
package outbound
