// Package verify checks and makes webhook signatures.
//
// A signature scheme is a row of data, a [Scheme]: where the signature is and how
// it is formatted, what is signed, with which algorithm and key, and where the
// timestamp, the id and the event type are. The same code runs every row, a
// provider's or a custom one, in both directions: a [Verifier] verifies requests,
// a [Signer] signs messages.
//
//	scheme, _ := verify.Lookup("github")
//	verifier, err := verify.New(scheme, verify.Options{Secrets: []string{secret}})
//	…
//	message, err := verifier.Verify(request, body)
//
// A server that doesn't want to hold unverified bodies in memory can call the
// three steps of Verify itself: [Verifier.Begin] checks the headers before the
// body is read, [Check.Write] hashes the body while it is read, and [Check.Finish]
// returns the verdict. A refusal is an [*Error] with a [Reason], a single stable
// word.
//
// Some rules hold for every scheme, and no row can change them: the algorithm
// comes from the row and never from the request; every secret is tried on every
// signature, in constant time; a header that the scheme reads must occur once;
// timestamps are parsed strictly, with limits on both sides; if a message has
// several kinds of signatures, only the strongest one counts; and where two values
// are signed next to each other, it must be clear where the first one ends.
//
// # The files
//
// A row (scheme.go, rows_*.go, custom.go for custom schemes) is compiled into a
// plan (plan.go): where each value is (place.go, signature.go, prefixes.go) and what
// is signed (template.go). content.go works out what the signature covers, boundary.go
// whether the signed bytes can be read in one way only.
//
// A request is checked (check.go) by its head (head.go), then by its body
// (body.go), and at last its signatures are compared (verdict.go). candidate.go
// parses the signature's text. signer.go goes the other way, for the schemes that can
// sign (cansign.go). Both take the values of a template's placeholders from input.go;
// field.go is the id and the event type.
// replay.go remembers the messages that have been delivered.
//
// # Adding a provider
//
// A row only says where the provider differs from the defaults: an HMAC-SHA256 of
// the body, in hexadecimal, keyed with the text of the secret.
//
//  1. Put the row into the table of its kind: rows_body.go (only the body is
//     signed), rows_time.go (a timestamp too), rows_standard.go (Standard Webhooks
//     and its relatives), rows_url.go (the URL), rows_inbody.go (the signature is
//     in the body), rows_keypair.go (key pairs), rows_token.go (nothing is
//     signed). Name its source; without a primary one, set Unconfirmed.
//  2. Add a test vector: the provider's own to vectors_published_test.go, or else
//     one to vectors_computed_test.go, which computes it with nothing but hash
//     functions and private keys. A row without a vector fails the tests.
//  3. Code is only needed for what a template can't express: a function in
//     funcs.go, which the content calls as {func.<name>}, or a handshake in the
//     file of its kind: handshake_head.go (answered from the request's head),
//     handshake_body.go (from an unsigned body), handshake_signed.go (from a
//     verified message).
package verify
