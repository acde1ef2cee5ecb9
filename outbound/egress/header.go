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

// What a subscription and an event may each add to deliveries. Servers commonly take 8 KiB
// for all headers, and ours must fit beside these.
const (
	MaxHeaders     = 32
	MaxHeaderBytes = 4 << 10 // names and values together
)

// reserved are the headers that a user cannot set, each with the reason. A
// name that ends with * stands for all with that first word.
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
	// net/http takes these two as leave to send a POST again by itself, which
	// would be an attempt that nobody recorded.
	"idempotency-key":   "receivers tell repeats by webhook-id",
	"x-idempotency-key": "receivers tell repeats by webhook-id",
	"traceparent":       "it carries the delivery's own trace",
	"tracestate":        "it carries the delivery's own trace",
	"proxy-*":           "it belongs to the connection",
	"webhook-*":         "it belongs to the signature",
}

// CheckSigned refuses to sign by what sets a header that a delivery sets itself.
// firstSet finds the first of these that it sets, "" for none.
func CheckSigned(firstSet func([]string) string) error {
	if name := firstSet(slices.Sorted(maps.Keys(reserved))); name != "" {
		return fmt.Errorf("the header %s can't have a part of the signature, for %s", name, reserved[name])
	}
	return nil
}

// reservedFor says why neither a subscription nor an event can set a header, ""
// where they can: deliveries set it themselves.
func reservedFor(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-") // to many receivers it is the same
	if why, ok := reserved[name]; ok {
		return why
	}
	if word, _, more := strings.Cut(name, "-"); more {
		return reserved[word+"-*"]
	}
	return ""
}

// CheckHeader judges one header that a user wants on deliveries. Errors name
// the header, never its value, which may be a secret. Those named in free can be set
// although they are reserved.
func CheckHeader(name, value string, free ...string) error {
	isFree := slices.ContainsFunc(free, func(f string) bool { return strings.EqualFold(f, name) })
	switch {
	case name == "":
		return errors.New("checking the headers: a name is empty")
	case len(name)+len(value) > MaxHeaderBytes:
		return fmt.Errorf("checking the headers: one has %d bytes, and %d are the most for name and value", len(name)+len(value), MaxHeaderBytes)
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("checking the header %q: its name may have letters, digits and !#$%%&'*+-.^_`|~ only", name)
	case !isFree && reservedFor(name) != "":
		return fmt.Errorf("checking the header %q: it cannot be set, for %s", name, reservedFor(name))
	case !httpguts.ValidHeaderFieldValue(value):
		return fmt.Errorf("checking the header %q: its value has a line break or another control character: remove it", name)
	}
	return nil
}

// CheckHeaders judges all the headers of a subscription or an event together, each as
// [CheckHeader] does.
func CheckHeaders(h map[string]string, free ...string) error {
	if len(h) > MaxHeaders {
		return fmt.Errorf("checking the headers: there are %d, and %d are the most", len(h), MaxHeaders)
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
		return fmt.Errorf("checking the headers: they have %d bytes together, and %d are the most", size, MaxHeaderBytes)
	}
	return nil
}
