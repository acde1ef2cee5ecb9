package outbound

import (
	"context"
	"maps"
	"math"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// The abuse protection of CloudEvents' "HTTP 1.1 Web Hooks for Event Delivery", section
// 4: a receiver is asked by OPTIONS whether it wants deliveries, and at which rate.
// https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md
const (
	requestOrigin = "WebHook-Request-Origin" // also sent with each delivery
	requestRate   = "WebHook-Request-Rate"   // a minute
	allowedOrigin = "WebHook-Allowed-Origin"
	allowedRate   = "WebHook-Allowed-Rate" // a minute
	anyone        = "*"                    // instead of an origin
	unlimited     = "*"                    // instead of a rate
)

// permissionLife is how long a permission is used. The specification doesn't limit it,
// but a receiver may change its mind.
const permissionLife = 24 * time.Hour

const maxOrigin = 253

// originForm is a host name whose last label begins with a letter, unlike an address.
var originForm = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

func checkHandshake(origin string) error {
	if origin != "" && (len(origin) > maxOrigin || !originForm.MatchString(origin)) {
		return invalid("handshake", "must be the DNS name by which receivers know this sender, such as hooks.example.com, without scheme, port and path")
	}
	return nil
}

// permission asks a receiver for permission to deliver to it. The value of a result is
// how many requests a second it allows.
type permission struct {
	precondition[rate.Limit]
	header http.Header
}

// setPermission keeps the old target's permission if the same was asked of the same URL.
// The request has the subscription's own headers, as a delivery does, since a gateway may
// demand them.
func (t *target) setPermission(old *target) {
	if t.sub.Handshake == "" {
		return
	}
	t.header.Set(requestOrigin, t.sub.Handshake)
	h := http.Header{"User-Agent": userAgent}
	maps.Copy(h, t.header)
	h.Del("Content-Type")
	if perMinute := math.Ceil(t.sub.RateLimit * 60); perMinute > 0 {
		h.Set(requestRate, strconv.Itoa(int(perMinute)))
	}
	if old != nil && old.permission != nil && old.sub.URL == t.sub.URL && reflect.DeepEqual(old.permission.header, h) {
		t.permission = old.permission
		return
	}
	t.permission = &permission{precondition: newPrecondition[rate.Limit](), header: h}
}

// given reports whether the receiver has given permission.
func (p *permission) given(at time.Time) bool { return p.last.Load().valid(at) }

// askPermission asks the receiver, unless it has given permission already. If it gives
// none, the result is the outcome with which the attempt fails.
func (t *target) askPermission(ctx context.Context, s *sender, at time.Time) outcome {
	r := t.permission.get(ctx, at, func() *result[rate.Limit] { return t.requestPermission(ctx, s, at) })
	o := r.outcome
	if !o.ok() {
		o.message = "handshake: " + o.message
	}
	return o
}

// requestPermission makes the request. The status decides nothing, since many servers
// answer OPTIONS without any thought of deliveries, except that a redirect isn't followed
// and a receiver may be gone.
func (t *target) requestPermission(ctx context.Context, s *sender, at time.Time) *result[rate.Limit] {
	resp, err := s.exchange(ctx, http.MethodOptions, &t.endpoint, t.permission.header, nil)
	if err != nil {
		return &result[rate.Limit]{outcome: failure(err)}
	}
	resp.Body.Close()
	o := judge(resp, at)
	if o.class == ClassRedirect || o.class == ClassGone {
		return &result[rate.Limit]{outcome: o}
	}
	origin := strings.TrimSpace(resp.Header.Get(allowedOrigin))
	limit, ok := parseAllowedRate(resp.Header)
	wanted := allowedOrigin + ": " + t.sub.Handshake
	var got string
	switch {
	case origin == "":
		got = statusText(resp.StatusCode) + " without it"
	case origin != anyone && !strings.EqualFold(origin, t.sub.Handshake):
		got = "another origin"
	case !ok:
		wanted, got = allowedRate+": <requests a minute>", "something else"
	default:
		return &result[rate.Limit]{value: limit, until: at.Add(permissionLife)}
	}
	o.class = ClassHandshake
	o.message = "to get deliveries, the receiver must answer OPTIONS with " + wanted + " (or *), but it answered with " + got
	return &result[rate.Limit]{outcome: o}
}

// parseAllowedRate returns the rate that a receiver allows, per second. Many name none,
// although the specification demands one.
func parseAllowedRate(h http.Header) (limit rate.Limit, ok bool) {
	v := strings.TrimSpace(h.Get(allowedRate))
	if v == "" || v == unlimited {
		return rate.Inf, true
	}
	n, _ := strconv.ParseUint(v, 10, 64) // 0 if it isn't a number, the largest one if it is larger
	return rate.Limit(n) / 60, n > 0
}

// rate returns how many requests a second the receiver has allowed.
func (p *permission) rate() rate.Limit {
	if r := p.last.Load(); r != nil && r.ok() {
		return r.value
	}
	return rate.Inf
}
