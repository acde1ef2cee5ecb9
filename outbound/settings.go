package outbound

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Settings configure an engine, and can be changed while it runs. The zero value of a
// field means the default, which is given in parentheses.
type Settings struct {
	Sign                string        // default signature schemes of deliveries, separated by single spaces (standard-webhooks)
	Schemes             verify.Table  // signature schemes of the configuration; built-in ones needn't be listed
	Retry               Schedule      // nil: StandardSchedule
	Timeout             time.Duration // of one attempt, from dialing to the end of the response (15s)
	Concurrency         int           // maximum attempts in flight on this node (512)
	EndpointConcurrency int           // maximum attempts in flight to one subscription (16)
	SecretGrace         time.Duration // how long a rotated secret is still used for signing (24h)
	DisableAfter        DisableAfter  // when a subscription is deactivated because its receiver fails (50 failures, 24h)
	RetainFor           time.Duration // how long events and their deliveries are kept (30 days); negative: forever
	RetainSize          int64         // bytes of the store beyond which the oldest events are removed (20 GiB); negative: no limit
	ResponseBody        int64         // bytes kept of a response body (4 KiB); -1 for none
	MaxPayload          int64         // maximum bytes of a payload (256 KiB)
	TenantRate          float64       // maximum events per second of each tenant (0: no limit)

	Policy *egress.Policy   // where deliveries may go; nil: public addresses only
	Proxy  *url.URL         // HTTP proxy for deliveries
	TLS    *tls.Config      // for receivers and an https Proxy; nil: the system's roots
	Own    []netip.AddrPort // this process's own endpoints, which no policy can allow

	EventTypes    []EventType        // entries of the catalogue that are in the configuration
	Subscriptions []SubscriptionSpec // those in the configuration; each has a Name

	Logger   *slog.Logger         // nil: slog.Default()
	Tracer   trace.TracerProvider // nil: no spans, except that Publish joins a trace of its context
	Observer Observer             // nil: none

	// DeadLetterLog appends dead letters to a log, and returns how many of them are
	// on disk. After an error, it is called again with the others; after a crash, it may
	// get some a second time. It isn't called concurrently. Nil: there is no log.
	DeadLetterLog func([]*Record) (int, error)
}

// config is a checked and complete Settings, with what is derived from it.
type config struct {
	Settings
	sender   *sender
	rates    *tenantRates
	unusable map[string]error // why schemes of the configuration can't sign deliveries, by name

	// unjudgedLog and lateLog limit what is logged of filters.
	unjudgedLog, lateLog rate.Sometimes
}

func newConfig(s Settings) (*config, error) {
	s, err := s.complete()
	if err != nil {
		return nil, err
	}
	rates, err := newTenantRates(s.TenantRate)
	if err != nil {
		return nil, err
	}
	return &config{
		Settings: s, sender: newSender(s), rates: rates, unusable: s.unusableSchemes(),
		unjudgedLog: rate.Sometimes{Interval: time.Minute}, lateLog: rate.Sometimes{Interval: time.Minute},
	}, nil
}

const (
	maxConcurrency    = 100_000
	maxResponseBody   = 1 << 20
	maxPayloadLimit   = 64 << 20
	defaultScheme     = "standard-webhooks"
	maxAttemptTimeout = 10 * time.Minute
	maxSecretGrace    = 365 * 24 * time.Hour
)

// Validate checks the settings. Errors name them as the configuration does.
func (s Settings) Validate() error {
	_, err := s.complete()
	return err
}

// complete fills in the defaults and checks the result.
func (s Settings) complete() (Settings, error) {
	s.setDefaults()
	return s, s.check()
}

func (s *Settings) setDefaults() {
	setDefault(&s.Sign, defaultScheme)
	setDefault(&s.Timeout, 15*time.Second)
	setDefault(&s.Concurrency, 512)
	setDefault(&s.EndpointConcurrency, 16)
	setDefault(&s.SecretGrace, 24*time.Hour)
	setDefault(&s.DisableAfter, DisableAfter{50, 24 * time.Hour})
	setDefault(&s.RetainFor, 30*24*time.Hour)
	setDefault(&s.RetainSize, 20<<30)
	setDefault(&s.ResponseBody, 4<<10)
	setDefault(&s.MaxPayload, 256<<10)
	if s.Retry == nil {
		s.Retry = StandardSchedule()
	}
	setDefault(&s.Policy, new(egress.Policy))
	setDefault(&s.Logger, slog.Default())
	setDefault[Observer](&s.Observer, noObserver{})
}

func (s *Settings) check() error {
	if _, err := s.signingSchemes(""); err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	if err := s.Retry.Validate(); err != nil {
		return fmt.Errorf("retry: %w", err)
	}
	for _, v := range []struct {
		name       string
		value, max int64
		written    string // the maximum, as the configuration has it
	}{
		{"timeout", int64(s.Timeout), int64(maxAttemptTimeout), "10m"},
		{"concurrency", int64(s.Concurrency), maxConcurrency, "100000"},
		{"endpoint_concurrency", int64(s.EndpointConcurrency), maxConcurrency, "100000"},
		{"max_payload", s.MaxPayload, maxPayloadLimit, "64MiB"},
		{"response_body", max(s.ResponseBody, 1), maxResponseBody, "1MiB"},
		{"secret_grace", int64(s.SecretGrace), int64(maxSecretGrace), "365d"},
	} {
		if v.value < 1 || v.value > v.max {
			return fmt.Errorf("%s is out of range: it must be over 0 and at most %s", v.name, v.written)
		}
	}
	if err := s.DisableAfter.check(); err != nil {
		return fmt.Errorf("disable_after: %w", err)
	}
	if err := checkRate(s.TenantRate); err != nil {
		return fmt.Errorf("tenant_rate_limit: %w", err)
	}
	for _, t := range s.EventTypes {
		if err := checkEventType(t); err != nil {
			return fmt.Errorf("event_type %s: %w", t.Name, err)
		}
	}
	for i := range s.Subscriptions {
		if err := s.Subscriptions[i].checkFromConfig(s); err != nil {
			return fmt.Errorf("subscription %s: %w", s.Subscriptions[i].Name, err)
		}
	}
	return nil
}

// setDefault sets *v if it is zero.
func setDefault[T comparable](v *T, fallback T) { *v = cmp.Or(*v, fallback) }
