// Package payload judges and transforms the payloads of events: JSON Schemas say
// what the payloads of an event type must be, filters which events a subscription
// gets, and transforms what is sent in the place of a payload.
//
// Whoever writes these need not be whoever publishes, and neither need mean well:
// each is bounded in time and memory, whatever it says and whatever the payload
// holds.
//
//	schema.go      JSON Schemas
//	schemawalk.go  how many steps one takes for a payload, before it is applied
//	expression.go  expressions in CEL, which filters and transforms are
//	bound.go       what a single step of an expression may take
//	filter.go      expressions that give true or false
//	transform.go   expressions that give JSON
//	view.go        an event as expressions see it
//	weight.go      how large a value is
//	pattern.go     regular expressions that can be stopped
//	room.go        how much is read at the same time
package payload
