package egress

import (
	"errors"
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Limits of the headers that a subscription, and an event, may each add to a
// delivery. Servers commonly accept 8 KiB of headers, including ours.
const (
	MaxHeaders     = 32
	MaxHeaderBytes = 4 << 10 // of names and values together
)

// reserved are the headers that users can't set, with the reason. A name that
// ends in "-*" stands for all names with the same first word.
var reserved = map[string]string{
	"host":              "it comes from the URL",
	"content-length":    "it comes from the payload",
	"content-type":      "it comes with the event",
	"transfer-encoding": "it belongs to the connection",
	"connection":        "it belongs to the connection",
	"keep-alive":        "it belongs to the connection",
	"te":                "it belongs to the connection",
	"trailer":           "it belongs to the connection",
	"upgrade":           "it belongs to the connection",
	"expect":            "it belongs to the connection",
	"http2-settings":    "it belongs to the connection",
	"accept-encoding":   "answers are kept as they come, never decompressed",
	// These two would allow net/http to send a POST again by itself, an attempt
	// that nobody records.
	"idempotency-key":   "receivers recognise repeats by webhook-id",
	"x-idempotency-key": "receivers recognise repeats by webhook-id",
	"traceparent":       "it carries the delivery's own trace",
	"tracestate":        "it carries the delivery's own trace",
	"proxy-*":           "it belongs to the connection",
	"webhook-*":         "it belongs to the signature",
}

// CheckSigned refuses a signature scheme that sets a reserved header. firstSet
// returns the first of the given names that the scheme sets, "" if it sets none.
func CheckSigned(firstSet func([]string) string) error {
	if name := firstSet(slices.Sorted(maps.Keys(reserved))); name != "" {
		return fmt.Errorf("the header %s can't have a part of the signature, because %s", name, reserved[name])
	}
	return nil
}

// reservedFor returns why a header is reserved, "" if it isn't.
func reservedFor(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-") // many receivers don't distinguish these
	if why, ok := reserved[name]; ok {
		return why
	}
	if word, _, more := strings.Cut(name, "-"); more {
		return reserved[word+"-*"]
	}
	return ""
}

// CheckHeader checks a header that a user wants on deliveries. Errors name the
// header, but never its value, which may be a secret. The names in free are
// allowed although they are reserved.
func CheckHeader(name, value string, free ...string) error {
	isFree := slices.ContainsFunc(free, func(f string) bool { return strings.EqualFold(f, name) })
	switch {
	case name == "":
		return errors.New("checking the headers: a name is empty")
	case len(name)+len(value) > MaxHeaderBytes:
		return fmt.Errorf("checking the headers: the name and value of one have %d bytes, and may have at most %d", len(name)+len(value), MaxHeaderBytes)
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("checking the header %q: its name may have letters, digits and !#$%%&'*+-.^_`|~ only", name)
	case !isFree && reservedFor(name) != "":
		return fmt.Errorf("checking the header %q: it cannot be set, because %s", name, reservedFor(name))
	case !httpguts.ValidHeaderFieldValue(value):
		return fmt.Errorf("checking the header %q: its value has a line break or another control character: remove it", name)
	}
	return nil
}

// CheckHeaders checks all the headers of a subscription or an event: each one as
// [CheckHeader] does, and their number and size.
func CheckHeaders(h map[string]string, free ...string) error {
	if len(h) > MaxHeaders {
		return fmt.Errorf("checking the headers: there are %d, and there may be at most %d", len(h), MaxHeaders)
	}
	size := 0
	seen := make(map[string]bool, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) { // sorted, so that the same mistake gives the same error
		value := h[name]
		if err := CheckHeader(name, value, free...); err != nil {
			return err
		}
		key := textproto.CanonicalMIMEHeaderKey(name)
		if seen[key] {
			return fmt.Errorf("checking the header %q: it is given twice, in different cases: keep one", key)
		}
		seen[key] = true
		size += len(name) + len(value)
	}
	if size > MaxHeaderBytes {
		return fmt.Errorf("checking the headers: they have %d bytes together, and may have at most %d", size, MaxHeaderBytes)
	}
	return nil
}
