// Package verify checks and makes webhook signatures.
//
// A signature scheme is a row of data, a [Scheme]: where the signature stands
// and in what wrapping, what is signed, with which algorithm and key, and where
// the time, the id and the event type stand. One mechanism reads the rows, in
// both directions: a [Verifier] judges requests, a [Signer] signs messages. A
// custom scheme is a row too, and runs the same code as a provider's.
//
//	scheme, _ := verify.Lookup("github")
//	verifier, err := verify.New(scheme, verify.Options{Secrets: []string{secret}})
//	…
//	message, err := verifier.Verify(request, body)
//
// A server that doesn't want to hold bodies of strangers uses the three steps of
// which Verify is made: [Verifier.Begin] judges the head and reads no body,
// [Check.Write] takes the body while it is read, [Check.Finish] gives the
// verdict. A refusal is an [*Error] with a [Reason], one stable word.
//
// What is right for every scheme stands in the mechanism, and no row can change
// it: the algorithm comes from the row and never from the request, all secrets
// are tried on all signatures in constant time, a header that the scheme reads
// must occur once, times are parsed strictly and bounded on both sides, of
// several kinds of signatures the strongest present counts alone, and values
// that are signed side by side must show where each one ends.
//
// # Adding a provider
//
// A row says only where the provider differs from the defaults: an HMAC-SHA256
// in hexadecimal over the body, keyed with the secret's text.
//
//  1. Put the row into the table of its kind: rows_body.go (the body alone is
//     signed), rows_time.go (a time too), rows_standard.go (Standard Webhooks
//     and its kin), rows_url.go (the URL), rows_inbody.go (the signature stands
//     in the body), rows_ed25519.go (key pairs), rows_token.go (nothing is
//     signed). Name its source; without a primary one, set Unconfirmed.
//  2. Put a vector beside it: the provider's own into
//     vectors_published_test.go, else one into vectors_computed_test.go, which
//     computes it with nothing but the hash functions. A row without a vector
//     fails the tests.
//  3. Only what no template can say needs code: a function in funcs.go, which
//     the content names as {func.<name>}, or one in handshake.go.
package verify
