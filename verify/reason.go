package verify

import "net/http"

// Reason is why a request was refused: a short, stable word that is safe to show
// to anyone and to use as a metric label.
type Reason string

// The reasons for which a Verifier refuses a request.
const (
	// ReasonMethodNotAllowed: the method is neither POST nor the handshake's.
	ReasonMethodNotAllowed Reason = "method_not_allowed"
	// ReasonUnsupportedContentType: the scheme doesn't accept this media type.
	ReasonUnsupportedContentType Reason = "unsupported_content_type"
	// ReasonMissingSignature: there is no signature, or an empty one.
	ReasonMissingSignature Reason = "missing_signature"
	// ReasonMalformedSignature: the signature doesn't have the scheme's format.
	ReasonMalformedSignature Reason = "malformed_signature"
	// ReasonBadSignature: no signature matches any secret.
	ReasonBadSignature Reason = "bad_signature"
	// ReasonMissingTimestamp: there is no timestamp, or an empty one.
	ReasonMissingTimestamp Reason = "missing_timestamp"
	// ReasonMalformedTimestamp: the timestamp doesn't have the scheme's format.
	ReasonMalformedTimestamp Reason = "malformed_timestamp"
	// ReasonStaleTimestamp: the timestamp is older than the tolerance allows.
	ReasonStaleTimestamp Reason = "stale_timestamp"
	// ReasonFutureTimestamp: the timestamp is further ahead than the tolerance allows.
	ReasonFutureTimestamp Reason = "future_timestamp"
	// ReasonMissingID: the signature covers an id that isn't there.
	ReasonMissingID Reason = "missing_id"
	// ReasonMalformedID: the id is too long, has characters or a form that the scheme
	// doesn't allow, or makes the signed content ambiguous.
	ReasonMalformedID Reason = "malformed_id"
	// ReasonMissingField: another value that the signature covers isn't there.
	ReasonMissingField Reason = "missing_field"
	// ReasonMalformedField: such a value doesn't have the scheme's format, or makes
	// the signed content ambiguous.
	ReasonMalformedField Reason = "malformed_field"
	// ReasonRepeatedHeader: a header that the scheme reads occurs twice.
	ReasonRepeatedHeader Reason = "repeated_header"
	// ReasonRepeatedField: another value that the scheme reads occurs twice.
	ReasonRepeatedField Reason = "repeated_field"
	// ReasonMalformedBody: the body can't be parsed as the scheme requires, or makes
	// the signed content ambiguous.
	ReasonMalformedBody Reason = "malformed_body"
	// ReasonUnboundBody: the signature doesn't cover the body, or a part of it.
	ReasonUnboundBody Reason = "unbound_body"
	// ReasonUnreadableBody: the body could not be read to its end.
	ReasonUnreadableBody Reason = "unreadable_body"
	// ReasonBadVerifyToken: a handshake had the wrong verify token, or none is set.
	ReasonBadVerifyToken Reason = "bad_verify_token"
	// ReasonBadChallenge: a handshake's challenge is malformed, or could pass for
	// content that the provider signs.
	ReasonBadChallenge Reason = "bad_challenge"
)

// Reasons for the server that reads the body and keeps the replay memory. They are
// here so that one list has all words.
const (
	// ReasonBodyTooLarge: the body is larger than the limit, or too large for a
	// scheme that has to hold it in memory.
	ReasonBodyTooLarge Reason = "body_too_large"
	// ReasonReplayed: the message was delivered before.
	ReasonReplayed Reason = "replayed"
	// ReasonInFlight: the first copy of the message is still being handled.
	ReasonInFlight Reason = "in_flight"
)

// Status returns the HTTP status for a reason: 401, unless it is about something
// other than the signature.
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

// Error is a refusal. It doesn't reveal which secret or which byte was wrong, nor
// the expected value.
type Error struct {
	// Reason is why the request was refused.
	Reason Reason
	// Status is the HTTP status of the response.
	Status int
}

// Error returns only the reason's word, since users print it in responses.
func (e *Error) Error() string { return string(e.Reason) }
