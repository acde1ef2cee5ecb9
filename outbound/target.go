package outbound

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/payload"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// target is what attempts need to know of a subscription. It is made anew whenever
// the subscription or the settings change.
type target struct {
	endpoint
	sub          *store.Subscription
	header       http.Header // set over the event's headers; the values are shared by all deliveries
	signers      signers
	secretExpiry time.Time          // when the first secret expires; zero for never
	filter       *payload.Filter    // nil for every event of its types
	transform    *payload.Transform // nil for payloads as they are
	maxPayload   int64              // bytes that the transform may produce
	concurrency  int
	timeout      time.Duration
	retry        Schedule
	permission   *permission // nil if the receiver isn't asked for it
	tokens       *tokens     // nil if the receiver needs no access token
	err          error       // why no attempt can be made
}

// newTarget makes a target. It takes over from old, which may be nil, the compiled
// filter and transform, the receiver's permission and the access tokens, where these
// still apply.
func newTarget(c *config, s *store.Subscription, now time.Time, old *target) *target {
	t := &target{
		sub: s, header: http.Header{}, maxPayload: c.MaxPayload,
		concurrency: c.EndpointConcurrency, timeout: cmp.Or(s.Timeout, c.Timeout), retry: s.Retry,
	}
	if t.retry == nil {
		t.retry = c.Retry
	}
	t.header.Set("Accept-Encoding", "identity")
	for k, v := range s.Headers {
		t.header.Set(k, v)
	}
	if u, err := c.Policy.CheckURL(s.URL); err != nil {
		t.err = fmt.Errorf("the URL is refused: %w", err)
	} else {
		t.url, t.err = u, t.setSigners(c, now)
	}
	t.setFilter(old)
	t.setTransform(old)
	t.setPermission(old)
	t.setTokens(old)
	return t
}

// rate returns how many attempts a second may be made: the lower one of what the
// subscription and the receiver allow.
func (t *target) rate() rate.Limit {
	limit := rate.Inf
	if t.sub.RateLimit > 0 {
		limit = rate.Limit(t.sub.RateLimit)
	}
	if t.permission != nil {
		limit = min(limit, t.permission.rate())
	}
	return limit
}

// setFilter compiles the filter. If it can no longer be compiled, every event
// matches but none can be delivered, so that none is lost.
func (t *target) setFilter(old *target) {
	if old != nil && old.sub.Filter == t.sub.Filter && old.filter != nil {
		t.filter = old.filter
		return
	}
	var err error
	if t.filter, err = payload.NewFilter(t.sub.Filter); err != nil && t.err == nil {
		t.err = fmt.Errorf("the filter %w", err)
	}
}

// setTransform compiles the transform. If it can no longer be compiled, nothing is
// sent.
func (t *target) setTransform(old *target) {
	if old != nil && old.sub.Transform == t.sub.Transform && old.transform != nil {
		t.transform = old.transform
		return
	}
	var err error
	if t.transform, err = payload.NewTransform(t.sub.Transform); err != nil && t.err == nil {
		t.err = fmt.Errorf("the transform %w", err)
	}
}

// setSigners makes the signers from the secrets that haven't expired.
func (t *target) setSigners(c *config, now time.Time) error {
	list, err := c.usableSchemes(t.sub.Scheme)
	if err != nil {
		return err
	}
	secrets, expiry := validSecrets(t.sub, now)
	t.secretExpiry = expiry
	if t.signers, err = list.signers(secrets); err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	return nil
}

// setTarget gives the lane a new target.
func (l *lane) setTarget(c *config, s *store.Subscription) {
	l.target.Store(newTarget(c, s, l.e.now(), l.target.Load()))
	l.e.dispatch.kick(l)
}

// currentTarget returns the target for an attempt now, without secrets that have
// expired.
func (l *lane) currentTarget() *target {
	t := l.target.Load()
	if now := l.e.now(); !t.secretExpiry.IsZero() && !now.Before(t.secretExpiry) {
		renewed := newTarget(l.e.config.Load(), t.sub, now, t)
		if l.target.CompareAndSwap(t, renewed) {
			return renewed
		}
		return l.target.Load()
	}
	return t
}

// host returns the URL's host for the log; the rest may contain a secret.
func (t *target) host() string {
	u, err := url.Parse(t.sub.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// headers merges the event's headers with the target's, which take precedence. The
// signature's are set over both.
func (t *target) headers(ev *store.Event) http.Header {
	// With up to 8 headers, a map is small. These are User-Agent, Content-Type and,
	// usually, three of each signature.
	h := make(http.Header, len(t.header)+len(ev.Headers)+2+3*len(t.signers))
	h["User-Agent"] = userAgent
	for k, v := range ev.Headers {
		h.Set(k, v)
	}
	h["Content-Type"] = []string{ev.ContentType}
	if t.transform != nil {
		h["Content-Type"] = []string{"application/json"} // the target may override it
		delete(h, "Content-Encoding")                    // which was the payload's
	}
	maps.Copy(h, t.header)
	return h
}
