// Package outbound delivers events to subscriptions: they are stored durably, sent
// as signed deliveries, retried on a schedule, and kept as dead letters if every
// attempt fails. It is a library that depends on neither Caddy nor an HTTP server.
//
// Open a store, such as that of package sqlite, and an [Engine] on it, create
// subscriptions, and publish events. An event is durable before [Engine.Publish]
// returns, and each of its deliveries is attempted at least once: if the process
// crashes before the outcome of an attempt is stored, the attempt is repeated, with
// the same id. Filters, transforms and schemas are in package payload, where
// deliveries may go is in package egress, and what a store must do in package store.
//
// # The files
//
// An event goes through these steps:
//
//	event.go         what an event may contain
//	  eventname.go     makes valid event types and ids of those that others chose
//	publish.go       Publish: it is checked, stored, and handed to the lanes
//	match.go         which subscriptions it matches, by its type and their filters
//	queue.go         events waiting to be stored, in a queue for each tenant
//	commit.go        group commit: events and outcomes share a sync of the disk
//	lane.go          the deliveries of one subscription that are ready
//	  target.go        what an attempt needs to know about the subscription
//	  fill.go          refills a lane from the store
//	  pause.go         until when a lane is paused, and why
//	  underway.go      attempts that have no outcome yet
//	dispatch.go      which lane may start an attempt
//	  pace.go          how long its attempts take, and so hold up others
//	claim.go         claims deliveries from the store: retries and backlogs
//	attempt.go       one attempt: sign, send, judge
//	  scheme.go        the signature schemes, with the secrets of secret.go
//	  sender.go        the request and its response; progress.go, the step at which it timed out
//	  connections.go   how many connections may stay open
//	  precondition.go  what attempts need first, requested once for all of them:
//	  handshake.go     the receiver's permission,
//	  oauth2.go        or an access token
//	outcome.go       what a response or an error means
//	  shortage.go      or that the server itself lacked something
//	receiver.go      what that says about the receiver, and what follows from it
//	retry.go         the schedule of retries
//	  breaker.go       a failing receiver gets few attempts,
//	  ahead.go         one of them early, to find out whether it is back,
//	  disable.go       and its subscription is deactivated in the end
//	deadletterlog.go writes dead letters to a log
//	retention.go     removes what is old
//
// What people do by hand is in subscription.go, testevent.go, preview.go,
// delivery.go, replay.go, find.go, remove.go, tenant.go and status.go. spec.go checks
// a subscription, and catalogue.go an event type. settings.go and reconcile.go apply
// the configuration, and shared.go follows the other nodes on the same store.
// observe.go, watch.go, trace.go and operational.go tell others what happens.
// backlog.go finds what is pending in the store after a start. What several of these
// need is in bell.go, fifo.go, clock.go, duration.go, rate.go, tenantrate.go, log.go
// and errors.go.
package outbound
