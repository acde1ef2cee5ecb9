// Package verify checks and makes webhook signatures.
//
// A signature scheme is a row of data, a [Scheme]: where the signature is and how
// it is formatted, what is signed, with which algorithm and key, and where the
// timestamp, the id and the event type are. One mechanism reads the rows, in
// both directions: a [Verifier] verifies requests, a [Signer] signs messages. A
// custom scheme is a row too, and runs the same code as a provider's.
//
//	scheme, _ := verify.Lookup("github")
//	verifier, err := verify.New(scheme, verify.Options{Secrets: []string{secret}})
//	…
//	message, err := verifier.Verify(request, body)
//
// A server that doesn't want to hold the bodies of strangers can use the three
// steps that Verify consists of: [Verifier.Begin] checks the headers without
// reading the body, [Check.Write] takes the body while it is read, and
// [Check.Finish] gives the verdict. A refusal is an [*Error] with a [Reason], a
// single stable word.
//
// Some things are the same for every scheme, and no row can change them: the
// algorithm comes from the row and never from the request; all secrets are tried
// on all signatures, in constant time; headers that the scheme reads must occur
// once; timestamps are parsed strictly, with limits on both sides; if there are
// several kinds of signatures, only the strongest that is present counts; and
// values that are signed next to each other must show where each one ends.
//
// # The files
//
// A row (scheme.go, rows_*.go; those of one's own, custom.go) is compiled into a plan
// (plan.go): where each value stands (place.go, prefixes.go), and what is signed
// (template.go). content.go finds out what that covers, boundary.go whether it reads
// one way. A request is checked (check.go) by its head (head.go), then its body
// (body.go), until the MACs are compared (verdict.go). signer.go does the reverse;
// what the words of a template stand for is in input.go for both. replay.go remembers
// what has passed.
//
// # Adding a provider
//
// A row only says where the provider differs from the defaults: an HMAC-SHA256 of
// the body, in hexadecimal, keyed with the text of the secret.
//
//  1. Put the row into the table of its kind: rows_body.go (the body alone is
//     signed), rows_time.go (a time too), rows_standard.go (Standard Webhooks
//     and its kin), rows_url.go (the URL), rows_inbody.go (the signature stands
//     in the body), rows_keypair.go (key pairs), rows_token.go (nothing is
//     signed). Name its source; without a primary one, set Unconfirmed.
//  2. Put a vector beside it: the provider's own into
//     vectors_published_test.go, else one into vectors_computed_test.go, which
//     computes it with nothing but the hash functions and private keys. A row
//     without a vector fails the tests.
//  3. Only what no template can say needs code: a function in funcs.go, which
//     the content names as {func.<name>}, or a handshake's in the file of its
//     kind: handshake_head.go (it is answered by the head alone),
//     handshake_body.go (by an unsigned body), handshake_signed.go (by a message
//     that has been verified).
package verify
