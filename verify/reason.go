package verify

import "net/http"

// Reason is why a request was refused: a short, stable word that is safe to
// show to anyone, and to use as a metric's label.
type Reason string

// The reasons for which a verifier refuses.
const (
	// ReasonMethodNotAllowed: the method is neither POST nor the handshake's.
	ReasonMethodNotAllowed Reason = "method_not_allowed"
	// ReasonUnsupportedContentType: the scheme can't read such a body.
	ReasonUnsupportedContentType Reason = "unsupported_content_type"
	// ReasonMissingSignature: there is no signature, or an empty one.
	ReasonMissingSignature Reason = "missing_signature"
	// ReasonMalformedSignature: the signature isn't of the scheme's form.
	ReasonMalformedSignature Reason = "malformed_signature"
	// ReasonBadSignature: no signature matches any secret.
	ReasonBadSignature Reason = "bad_signature"
	// ReasonMissingTimestamp: the scheme's time isn't there.
	ReasonMissingTimestamp Reason = "missing_timestamp"
	// ReasonMalformedTimestamp: the time isn't of the scheme's form.
	ReasonMalformedTimestamp Reason = "malformed_timestamp"
	// ReasonStaleTimestamp: the time is older than the tolerance.
	ReasonStaleTimestamp Reason = "stale_timestamp"
	// ReasonFutureTimestamp: the time is further ahead than the tolerance.
	ReasonFutureTimestamp Reason = "future_timestamp"
	// ReasonMissingID: the signature covers an id that isn't there.
	ReasonMissingID Reason = "missing_id"
	// ReasonMalformedID: the id could blur what is signed, or is too long.
	ReasonMalformedID Reason = "malformed_id"
	// ReasonMissingField: another value that the signature covers isn't there.
	ReasonMissingField Reason = "missing_field"
	// ReasonMalformedField: such a value isn't of the scheme's form.
	ReasonMalformedField Reason = "malformed_field"
	// ReasonRepeatedHeader: a header that the scheme reads occurs twice.
	ReasonRepeatedHeader Reason = "repeated_header"
	// ReasonRepeatedField: another value that the scheme reads occurs twice.
	ReasonRepeatedField Reason = "repeated_field"
	// ReasonMalformedBody: the scheme must parse the body, and can't.
	ReasonMalformedBody Reason = "malformed_body"
	// ReasonUnboundBody: nothing in this request binds the body.
	ReasonUnboundBody Reason = "unbound_body"
	// ReasonUnreadableBody: the body could not be read to its end.
	ReasonUnreadableBody Reason = "unreadable_body"
	// ReasonBadVerifyToken: a handshake brought the wrong verify token.
	ReasonBadVerifyToken Reason = "bad_verify_token"
	// ReasonBadChallenge: a handshake's challenge is malformed, or could pass
	// for something that the provider signs.
	ReasonBadChallenge Reason = "bad_challenge"
)

// The reasons that only whoever reads the body and keeps the replay memory can
// find. They are here so that there is one list of words.
const (
	// ReasonBodyTooLarge: the body is larger than the limit.
	ReasonBodyTooLarge Reason = "body_too_large"
	// ReasonReplayed: the message was delivered before.
	ReasonReplayed Reason = "replayed"
	// ReasonInFlight: a first copy of the message is still being worked on.
	ReasonInFlight Reason = "in_flight"
)

// Status is the HTTP status that goes with a reason: 401 unless it is about
// something else than the signature.
func (r Reason) Status() int {
	switch r {
	case ReasonMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case ReasonUnsupportedContentType:
		return http.StatusUnsupportedMediaType
	case ReasonBodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case ReasonReplayed, ReasonInFlight:
		return http.StatusConflict
	case ReasonUnreadableBody, ReasonBadChallenge:
		return http.StatusBadRequest
	case ReasonBadVerifyToken:
		return http.StatusForbidden
	}
	return http.StatusUnauthorized
}

// Error is a refusal. It says neither which secret nor which byte was wrong,
// nor what would have been right.
type Error struct {
	// Reason is why.
	Reason Reason
	// Status is the HTTP status to answer with.
	Status int
}

// Error returns the reason's word alone, since users show it.
func (e *Error) Error() string { return string(e.Reason) }
