package cli

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// subscriptionFlags are the flags that set the fields of a subscription.
type subscriptionFlags struct {
	url           string
	eventTypes    []string
	description   string
	headers       []string
	handshake     string
	schemes       []string
	rateLimit     string
	retry         []string
	timeout       string
	ordered       bool
	filter        string
	transform     string
	metadata      []string
	removeHeaders []string
	oauth2        oauth2Flags
}

func (s *subscriptionFlags) register(f *pflag.FlagSet) {
	f.StringVar(&s.url, "url", "", "Where deliveries go")
	f.StringSliceVar(&s.eventTypes, "event-types", nil, "The event types to receive, such as order.created, order.* or *; separate several with commas")
	f.StringVar(&s.description, "description", "", "What the subscription is for")
	f.StringArrayVarP(&s.headers, "header", "H", nil, "Header to add to each delivery, as \"Name: value\"")
	f.StringVar(&s.handshake, "handshake", "", "The server's DNS name, such as hooks.example.com, for which the receiver must give permission (CloudEvents); empty for no handshake")
	f.StringSliceVar(&s.schemes, "scheme", nil, "The signature scheme, as listed by providers, or one of the server's configuration; separate several with commas, to sign with each (default: the server's)")
	f.StringVar(&s.rateLimit, "rate-limit", "", "The maximum rate of deliveries, such as 50/s or 3000/m; off for no limit")
	f.StringSliceVar(&s.retry, "retry", nil, "How long to wait after each failed attempt, such as 5s,5m,2h; off for a single attempt, empty for the server's schedule")
	f.StringVar(&s.timeout, "attempt-timeout", "", "How long an attempt may take, such as 30s; empty for the server's")
	f.BoolVar(&s.ordered, "ordered", false, "Deliver one event at a time, in the order of publishing")
	f.StringVar(&s.filter, "filter", "", "CEL expression that selects events of these types, such as 'payload.total > 100'; empty for all")
	f.StringVar(&s.transform, "transform", "", "CEL expression whose value is sent in place of the payload, such as '{\"text\": payload.title}'; empty for the payload as published")
	f.StringArrayVar(&s.metadata, "metadata", nil, "Text of your own, such as customer=42; removed if the value is empty")
	s.oauth2.register(f)
}

// off is the value of flags that turn something off, such as a limit.
const off = "off"

// apiName returns the API's name for what a flag sets.
func apiName(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// changedFields returns the fields of a request whose flags are set. A flag's name
// is the prefix and that of the value.
func (c *call) changedFields(prefix string, values map[string]any) map[string]any {
	fields := map[string]any{}
	for name, value := range values {
		if c.cmd.Flags().Changed(prefix + name) {
			fields[apiName(name)] = value
		}
	}
	return fields
}

// body makes the body of a request from the flags that are set.
func (s *subscriptionFlags) body(c *call) (map[string]any, error) {
	body := c.changedFields("", map[string]any{
		"url": s.url, "event-types": s.eventTypes, "description": s.description, "handshake": s.handshake, "scheme": strings.Join(strings.Fields(strings.Join(s.schemes, " ")), " "),
		"rate-limit": s.rateLimit, "ordered": s.ordered, "filter": s.filter, "transform": s.transform,
	})
	if s.rateLimit == off {
		body["rate_limit"] = nil
	}
	if c.cmd.Flags().Changed("retry") {
		body["retry"] = s.schedule()
	}
	if c.cmd.Flags().Changed("attempt-timeout") {
		body["timeout"] = nil
		if s.timeout != "" {
			body["timeout"] = s.timeout
		}
	}
	metadata, err := pairs("metadata", s.metadata)
	if err != nil {
		return nil, err
	}
	if len(metadata) > 0 {
		body["metadata"] = metadata
	}
	h, err := parseHeaders(s.headers)
	if err != nil {
		return nil, err
	}
	headers := map[string]any{}
	for name, value := range flat(h) {
		headers[name] = value
	}
	for _, name := range s.removeHeaders {
		headers[name] = nil
	}
	if len(headers) > 0 {
		body["headers"] = headers
	}
	return body, s.oauth2.addTo(c, body)
}

// schedule is nil for the server's default, and empty for no retries.
func (s *subscriptionFlags) schedule() []string {
	switch {
	case len(s.retry) == 0:
		return nil
	case slices.Equal(s.retry, []string{off}):
		return []string{}
	}
	return s.retry
}

// addTo adds the secret, if one is given, to the body of a request.
func (s *secretFlags) addTo(c *call, body map[string]any) error {
	secrets, err := s.read(c)
	switch {
	case err != nil:
		return err
	case len(secrets) > 1:
		return usagef("only one secret can be given here, not %d", len(secrets))
	case len(secrets) == 1:
		body["secret"] = secrets[0]
	}
	return nil
}
