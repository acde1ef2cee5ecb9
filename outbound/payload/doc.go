// Package payload checks and transforms the payloads of events. JSON Schemas say
// what the payloads of an event type must look like, filters select the events that a
// subscription gets, and transforms make what is sent in place of a payload.
//
// Neither their authors nor publishers are trusted: the time and memory that they
// take is limited, whatever they and the payload contain.
//
//	schema.go      JSON Schemas
//	schemawalk.go  how many steps one takes for a payload, before it is applied
//	expression.go  CEL expressions, of which filters and transforms are made
//	bound.go       what a single step of an expression may take
//	filter.go      expressions that give true or false
//	transform.go   expressions that give JSON
//	view.go        an event as expressions see it
//	weight.go      how large a value is
//	pattern.go     regular expressions that can be stopped
//	room.go        limits how much is read at the same time
package payload
