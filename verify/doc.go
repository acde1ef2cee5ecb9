// Package verify checks and makes webhook signatures.
//
// A signature scheme is a row of data, a [Scheme]: where the signature stands
// and in what wrapping, what is signed, with which algorithm and key, and where
// the time, the id and the event type stand. One mechanism reads the rows, in
// both directions: a [Verifier] judges requests, a [Signer] signs messages.
package verify
