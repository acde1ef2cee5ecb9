package outbound

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/payload"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// SubscriptionSpec is what a user sets of a subscription.
type SubscriptionSpec struct {
	Name        string // for subscriptions of the configuration, whose id is sub_<name>
	ID          string // for others: their id, see checkID; "" to have one generated
	URL         string
	EventTypes  []string
	Tenant      string
	Description string
	Headers     map[string]string
	Scheme      string   // names of signature schemes with single spaces between them; "" for the engine's default
	Secrets     []string // newest first; if there are none, one is generated
	OAuth2      OAuth2
	Handshake   string            // the DNS name of the sender for which the receiver is asked for permission; "" if it isn't
	RateLimit   float64           // attempts a second; 0 for no limit
	Timeout     time.Duration     // of one attempt; 0 for the engine's default
	Retry       Schedule          // nil for the engine's default
	Metadata    map[string]string // any names and values that help its owner to identify it
	Ordered     bool
	Filter      string // CEL, such as payload.total > 100; "" for every event
	Transform   string // CEL, such as {"text": payload.title}; "" for payloads as they are
}

const (
	maxEventTypes   = 1000
	maxDescription  = 1024
	maxSecrets      = 10
	maxMetadata     = 50
	maxMetadataSize = 4 << 10 // of all names and values together
	maxRate         = 100_000
	minRate         = 1.0 / (24 * 3600) // attempts a second: one a day
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// MatchAll is the pattern that matches every event type.
const MatchAll = "*"

func checkPattern(p string) error {
	if p == MatchAll {
		return nil
	}
	if err := checkType("event_types", strings.TrimSuffix(p, ".*")); err != nil {
		return invalid("event_types", "has %q, which is neither an event type such as order.created, nor a prefix such as order.*, nor * for all", p)
	}
	return nil
}

func checkPatterns(types []string) error {
	if len(types) == 0 {
		return missing("event_types", "name the types to receive, such as order.created or invoice.*, or * for all")
	}
	if len(types) > maxEventTypes {
		return invalid("event_types", "has more than %d entries", maxEventTypes)
	}
	for _, t := range types {
		if err := checkPattern(t); err != nil {
			return err
		}
	}
	return nil
}

func checkDescription(d string) error {
	if utf8.RuneCountInString(d) > maxDescription || !utf8.ValidString(d) {
		return invalid("description", "must be text of %d characters at most", maxDescription)
	}
	return nil
}

func checkMetadata(m map[string]string) error {
	size := 0
	for name, value := range m {
		size += len(name) + len(value)
		if name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return invalid("metadata", "has an entry without a name, or one that isn't UTF-8")
		}
	}
	if len(m) > maxMetadata || size > maxMetadataSize {
		return invalid("metadata", "is too large: it may have %d entries at most, and 4 KiB of names and values", maxMetadata)
	}
	return nil
}

func checkRate(r float64) error {
	if r != 0 && !(r >= minRate && r <= maxRate) {
		return fmt.Errorf("must be at least one a day and at most %d a second, or 0 for no limit", maxRate)
	}
	return nil
}

func (s *SubscriptionSpec) checkURL(c *Settings) error {
	if s.URL == "" {
		return missing("url", "write where to deliver, as in https://example.com/hooks")
	}
	if _, err := c.Policy.CheckURL(s.URL); err != nil {
		return invalid("url", "is refused: %v", err)
	}
	return nil
}

func (s *SubscriptionSpec) checkNew(c *Settings) error {
	if err := s.checkURL(c); err != nil {
		return err
	}
	if err := checkTokenURL(&s.OAuth2, c.Policy); err != nil {
		return err
	}
	if err := s.check(c); err != nil {
		return err
	}
	return s.checkID()
}

// checkID checks an id that a caller chose. That of a tenant's subscription has the
// tenant in it, so that no tenant can take the id of another's, nor find out that it
// exists. A name has no dot, so the last one ends the tenant.
func (s *SubscriptionSpec) checkID() error {
	if s.ID == "" {
		return nil
	}
	prefix := store.SubscriptionPrefix
	if s.Tenant != "" {
		prefix += s.Tenant + "."
	}
	if name, ok := strings.CutPrefix(s.ID, prefix); !ok || !nameForm.MatchString(name) {
		return invalid("subscription_id", "must be %q and then up to 64 of the characters A-Z a-z 0-9 _ -, as in %q; leave it out to have one generated", prefix, prefix+"crm")
	}
	if _, ok := store.ParseID(store.SubscriptionPrefix, s.ID); ok {
		return invalid("subscription_id", "has the form of a generated id: choose a word, as in sub_crm")
	}
	return nil
}

// check checks everything but the URLs.
func (s *SubscriptionSpec) check(c *Settings) error {
	if err := checkPatterns(s.EventTypes); err != nil {
		return err
	}
	if err := CheckTenant(s.Tenant); err != nil {
		return err
	}
	if err := checkDescription(s.Description); err != nil {
		return err
	}
	if err := s.checkHeaders(); err != nil {
		return err
	}
	if err := checkOAuth2(&s.OAuth2); err != nil {
		return err
	}
	if err := checkHandshake(s.Handshake); err != nil {
		return err
	}
	if err := checkRate(s.RateLimit); err != nil {
		return invalid("rate_limit", "%v", err)
	}
	if s.Timeout < 0 || s.Timeout > maxAttemptTimeout {
		return invalid("timeout", "is out of range: it must be over 0 and at most 10m")
	}
	if err := s.Retry.Validate(); err != nil {
		return invalid("retry", "is wrong: %v", err)
	}
	if err := checkMetadata(s.Metadata); err != nil {
		return err
	}
	if _, err := payload.NewFilter(s.Filter); err != nil {
		return invalid("filter", "%v", err)
	}
	if _, err := payload.NewTransform(s.Transform); err != nil {
		return invalid("transform", "%v", err)
	}
	return s.checkScheme(c)
}

// checkHeaders checks the subscription's own headers. Content-Type is the event's,
// unless a transform makes the body: its JSON may have a media type of its own.
func (s *SubscriptionSpec) checkHeaders() error {
	var free []string
	if s.Transform != "" {
		free = []string{"Content-Type"}
	}
	if err := egress.CheckHeaders(s.Headers, free...); err != nil {
		return invalid("headers", "can't be sent: %v", err)
	}
	return nil
}

// checkScheme checks that deliveries can be signed with these secrets, and that the
// signatures don't collide with other headers.
func (s *SubscriptionSpec) checkScheme(c *Settings) error {
	list, err := c.signingSchemes(s.Scheme)
	if err != nil {
		return invalid("scheme", "is wrong: %v", err)
	}
	if len(s.Secrets) > 0 { // otherwise one is generated
		if err := list.checkSecrets(s.Secrets); err != nil {
			return err
		}
	}
	if err := s.checkAuthorization(list); err != nil {
		return err
	}
	// The signature would overwrite them.
	if name, scheme := list.firstSet(slices.Sorted(maps.Keys(s.Headers))); name != "" {
		return invalid("headers", "can't be sent: the header %q cannot be set, because it belongs to the signature of %s", name, scheme)
	}
	return nil
}

// checkKeptSecrets checks that the schemes can use the secrets that the subscription
// keeps.
func (s *SubscriptionSpec) checkKeptSecrets(c *Settings) error {
	list, err := c.signingSchemes(s.Scheme)
	if err != nil {
		return nil // check reports it
	}
	if scheme, err := list.misfit(s.Secrets); err != nil {
		return invalid("scheme", "can't be %s, since a secret of the subscription is not a key for it: first rotate to one that is, or create another subscription", scheme.Name)
	}
	return nil
}

func (s *SubscriptionSpec) checkFromConfig(c *Settings) error {
	if !nameForm.MatchString(s.Name) {
		return errors.New("its name may only have the characters A-Z a-z 0-9 _ - and 64 of them at most")
	}
	if _, ok := store.ParseID(store.SubscriptionPrefix, store.SubscriptionPrefix+s.Name); ok {
		return errors.New("its name has the form of an id made by the API: choose a word")
	}
	return s.checkNew(c)
}

// apply copies the spec into a subscription.
func (s *SubscriptionSpec) apply(row *store.Subscription) {
	old := *row
	row.URL, row.Description, row.Tenant = s.URL, s.Description, s.Tenant
	row.EventTypes, row.Headers = slices.Clone(s.EventTypes), cloneMap(s.Headers)
	row.OAuth2, row.Handshake = cloneOAuth2(s.OAuth2), s.Handshake
	row.Scheme, row.RateLimit, row.Ordered, row.Filter = s.Scheme, s.RateLimit, s.Ordered, s.Filter
	row.Timeout, row.Retry, row.Metadata, row.Transform = s.Timeout, slices.Clone(s.Retry), cloneMap(s.Metadata), s.Transform
	if !sameReceiver(&old, row) {
		row.FailingSince = time.Time{}
	}
	if len(s.Secrets) > 0 {
		row.Secrets = nil
		for _, v := range s.Secrets {
			row.Secrets = append(row.Secrets, store.Secret{Value: v})
		}
	}
}

// specOf returns the spec of a subscription, without its name.
func specOf(row *store.Subscription) SubscriptionSpec {
	s := SubscriptionSpec{
		URL: row.URL, Description: row.Description, Tenant: row.Tenant,
		EventTypes: slices.Clone(row.EventTypes), Headers: cloneMap(row.Headers),
		OAuth2: cloneOAuth2(row.OAuth2), Handshake: row.Handshake,
		Scheme: row.Scheme, RateLimit: row.RateLimit, Ordered: row.Ordered, Filter: row.Filter,
		Timeout: row.Timeout, Retry: slices.Clone(row.Retry), Metadata: cloneMap(row.Metadata), Transform: row.Transform,
	}
	for _, v := range row.Secrets {
		s.Secrets = append(s.Secrets, v.Value)
	}
	return s
}

// cloneMap returns nil for an empty map, as the store does: otherwise a comparison
// would show a change.
func cloneMap(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

// differs returns the fields, named as in the API, in which a stored subscription isn't
// what the spec asks for. Without secrets, it asks for none in particular.
func (s *SubscriptionSpec) differs(row *store.Subscription) (fields []string) {
	want := *row
	s.apply(&want)
	for _, f := range []struct {
		name      string
		asked, is any
	}{
		{"url", want.URL, row.URL},
		{"event_types", want.EventTypes, row.EventTypes},
		{"description", want.Description, row.Description},
		{"headers", want.Headers, row.Headers},
		{"oauth2", want.OAuth2, row.OAuth2},
		{"handshake", want.Handshake, row.Handshake},
		{"scheme", want.Scheme, row.Scheme},
		{"rate_limit", want.RateLimit, row.RateLimit},
		{"retry", want.Retry, row.Retry},
		{"timeout", want.Timeout, row.Timeout},
		{"ordered", want.Ordered, row.Ordered},
		{"filter", want.Filter, row.Filter},
		{"transform", want.Transform, row.Transform},
		{"metadata", want.Metadata, row.Metadata},
		{"secret", want.Secrets[0].Value, row.Secrets[0].Value},
	} {
		if a, b := digest(f.asked), digest(f.is); subtle.ConstantTimeCompare(a[:], b[:]) == 0 {
			fields = append(fields, f.name)
		}
	}
	return fields
}

// digest returns a hash of a value, since comparing secrets themselves takes a time that
// tells how much of them is the same.
func digest(v any) [sha256.Size]byte { return sha256.Sum256(fmt.Appendf(nil, "%#v", v)) }

// matches reports whether a subscription of the configuration is already stored
// like this.
func (s *SubscriptionSpec) matches(row *store.Subscription) bool {
	want := *row
	s.apply(&want)
	return row.FromConfig && row.Reason != ReasonRemoved && len(row.Secrets) > 0 && reflect.DeepEqual(*row, want)
}
