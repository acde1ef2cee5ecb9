package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// subscription is a subscription in the API.
type subscription struct {
	ID          string            `json:"subscription_id"`
	URL         string            `json:"url"`
	EventTypes  []string          `json:"event_types"`
	Tenant      string            `json:"tenant"`
	Description string            `json:"description"`
	Headers     map[string]string `json:"headers"`
	OAuth2      oauth2            `json:"oauth2"`
	Handshake   string            `json:"handshake"`
	Scheme      string            `json:"scheme"`
	RateLimit   string            `json:"rate_limit"`
	Retry       []string          `json:"retry"` // nil for the server's default
	Timeout     string            `json:"timeout"`
	Ordered     bool              `json:"ordered"`
	Filter      string            `json:"filter"`
	Transform   string            `json:"transform"`
	Metadata    map[string]string `json:"metadata"`
	Active      bool              `json:"active"`
	Reason      string            `json:"reason"`
	FromConfig  bool              `json:"from_config"`
	Created     time.Time         `json:"created_at"`
	Updated     time.Time         `json:"updated_at"`
	Secret      string            `json:"secret"`
	PublicKey   string            `json:"public_key"`
	Duplicate   bool              `json:"duplicate"` // it was there already
}

func (s *subscription) state() string {
	if s.Active {
		return "active"
	}
	return "inactive"
}

// schedule formats the retry schedule: "" for the server's default, "off" for no
// retries.
func (s *subscription) schedule() string {
	if s.Retry != nil && len(s.Retry) == 0 {
		return off
	}
	return strings.Join(s.Retry, ", ")
}

func (t *tool) subscriptions() *cobra.Command {
	return t.noun("subscriptions", "Manages subscriptions",
		t.createSubscription(), t.listSubscriptions(), t.showSubscription(),
		t.updateSubscription(), t.deleteSubscription(), t.rotateSecret(),
		t.activateSubscription(), t.deactivateSubscription(), t.testSubscription(), t.previewEvent(), t.replay())
}

func (t *tool) createSubscription() *cobra.Command {
	var s subscriptionFlags
	var secrets secretFlags
	var id, tenant string
	cmd := t.command(verb{
		use:   "create --url <url> --event-types <types>",
		short: "Creates a subscription, and prints its secret",
		long: `
Creates a subscription. From now on, events that match it are delivered to its
URL, signed with its secret.

Unless a secret is given, one is generated and printed, for the receiver to
verify with. Treat it like a password. If the scheme has key pairs, the public
key is printed too, which is all that the receiver needs.

With --id, it is safe to create a subscription again: a second one with the same
id and fields changes nothing, and one with other fields is refused.`,
		example: `
caddy webhooks subscriptions create --url https://crm.example.com/hooks --event-types 'order.*,customer.created'
caddy webhooks subscriptions create --id sub_crm --url https://crm.example.com/hooks --event-types 'order.*'
caddy webhooks subscriptions create --url https://crm.example.com/hooks --event-types '*' --scheme github --secret-file crm.secret`,
		run: func(c *call) error {
			f := c.cmd.Flags()
			if !f.Changed("url") || !f.Changed("event-types") {
				return usagef("--url and --event-types are required: where to deliver, and what")
			}
			if err := c.refuseEmpty("id", "tenant"); err != nil {
				return err
			}
			body, err := s.body(c)
			if err != nil {
				return err
			}
			if id != "" {
				body["subscription_id"] = id
			}
			if tenant != "" {
				body["tenant"] = tenant
			}
			if err := secrets.addTo(c, body); err != nil {
				return err
			}
			err = c.act(http.MethodPost, "/subscriptions", body, printing(printCreated))
			return c.withRetryHint(err, "id", "The subscription may have been created", "subscriptions list")
		},
	})
	s.register(cmd.Flags())
	secrets.register(cmd.Flags())
	cmd.Flags().StringVar(&id, "id", "", "The subscription's id, such as sub_crm; with a tenant, sub_<tenant>.crm (default: generated)")
	cmd.Flags().StringVar(&tenant, "tenant", "", "The tenant whose events to deliver")
	return cmd
}

func printCreated(c *call, s *subscription) error {
	var f fields
	f.addText("Subscription", s.ID)
	f.addText("URL", s.URL)
	f.addText("Event types", strings.Join(s.EventTypes, ", "))
	f.addText("Secret", s.Secret)
	f.addText("Public key", s.PublicKey)
	if s.Duplicate {
		fmt.Fprintf(c.err, "It was created before, and is %s: nothing was done.\n", s.state())
	}
	return f.flush(c.out)
}

func (t *tool) listSubscriptions() *cobra.Command {
	return listCommand(t, "/subscriptions", verb{
		short: "Lists subscriptions",
		example: `
caddy webhooks subscriptions list
caddy webhooks subscriptions list --tenant acme --json`,
		filters: []string{"tenant"},
	}, []string{"SUBSCRIPTION", "STATE", "EVENT TYPES", "URL", "TENANT", "CREATED"}, func(c *call, s *subscription) []string {
		return []string{clean(s.ID), s.state(), cell(strings.Join(s.EventTypes, ", "), 40), cell(s.URL, 60), cell(s.Tenant, 24), c.when(s.Created)}
	})
}

func (t *tool) showSubscription() *cobra.Command {
	var secret, publicKey bool
	cmd := t.command(verb{
		use:   "show <subscription-id>",
		short: "Shows a subscription",
		example: `
caddy webhooks subscriptions show sub_0199d3c2a4e00001
caddy webhooks subscriptions show sub_0199d3c2a4e00001 --show-secret`,
		min: 1, max: 1,
		run: func(c *call) error {
			switch {
			case secret && publicKey:
				return usagef("--show-secret and --show-public-key can't be given together")
			case secret:
				return c.show(pathOf("/subscriptions", c.args[0])+"/secret", nil, printing(printSecret))
			case publicKey:
				return c.show(pathOf("/subscriptions", c.args[0])+"/secret", nil, printing(printPublicKey))
			}
			return c.show(pathOf("/subscriptions", c.args[0]), nil, printing(printSubscription))
		},
	})
	cmd.Flags().BoolVar(&secret, "show-secret", false, "Show its secret instead")
	cmd.Flags().BoolVar(&publicKey, "show-public-key", false, "Show its public key instead, if its scheme has key pairs")
	return cmd
}

func printSecret(c *call, s *subscription) error {
	_, err := fmt.Fprintln(c.out, clean(s.Secret))
	return err
}

func printPublicKey(c *call, s *subscription) error {
	if s.PublicKey == "" {
		return errors.New("the subscription's scheme has no public key: the receiver needs the secret, which --show-secret shows")
	}
	_, err := fmt.Fprintln(c.out, clean(s.PublicKey))
	return err
}

func printSubscription(c *call, s *subscription) error {
	var f fields
	f.addText("Subscription", s.ID)
	f.addText("URL", s.URL)
	f.addText("Event types", strings.Join(s.EventTypes, ", "))
	state := s.state()
	if s.Reason != "" {
		state += ": " + s.Reason
	}
	f.addText("State", state)
	f.addText("Tenant", s.Tenant)
	f.addText("Description", s.Description)
	f.addAll("Header", s.Headers)
	f.addText("OAuth2", s.OAuth2.String())
	f.addText("Handshake", s.Handshake)
	f.addText("Scheme", cmp.Or(s.Scheme, "the server's default"))
	f.addText("Rate limit", s.RateLimit)
	f.addText("Retry", s.schedule())
	f.addText("Timeout", s.Timeout)
	if s.Ordered {
		f.add("Ordered", "yes")
	}
	f.addText("Filter", s.Filter)
	f.addText("Transform", s.Transform)
	f.addAll("Metadata", s.Metadata)
	if s.FromConfig {
		f.add("Defined by", "the server's configuration")
	}
	f.add("Created", c.when(s.Created))
	f.add("Updated", c.when(s.Updated))
	return f.flush(c.out)
}

func (t *tool) updateSubscription() *cobra.Command {
	var s subscriptionFlags
	cmd := t.command(verb{
		use:   "update <subscription-id>",
		short: "Changes the fields of a subscription that flags are given for",
		example: `
caddy webhooks subscriptions update sub_0199d3c2a4e00001 --url https://crm.example.com/v2/hooks
caddy webhooks subscriptions update sub_0199d3c2a4e00001 --event-types 'order.*' --rate-limit 50/s --remove-header X-Env`,
		min: 1, max: 1,
		run: func(c *call) error {
			body, err := s.body(c)
			if err != nil {
				return err
			}
			if len(body) == 0 {
				return usagef("there is nothing to change: give at least one flag, such as --url")
			}
			return c.act(http.MethodPatch, pathOf("/subscriptions", c.args[0]), body, printing(printSubscription))
		},
	})
	s.register(cmd.Flags())
	cmd.Flags().StringArrayVar(&s.removeHeaders, "remove-header", nil, "Name of a header to remove from deliveries")
	return cmd
}

func (t *tool) deleteSubscription() *cobra.Command {
	return t.command(verb{
		use:   "delete <subscription-id>…",
		short: "Deletes subscriptions; their pending deliveries become dead letters",
		example: `
caddy webhooks subscriptions delete sub_0199d3c2a4e00001`,
		min: 1, max: -1,
		run: change{method: http.MethodDelete, list: "/subscriptions", done: "deleted"}.run,
	})
}

func (t *tool) rotateSecret() *cobra.Command {
	var secrets secretFlags
	cmd := t.command(verb{
		use:   "rotate-secret <subscription-id>",
		short: "Gives a subscription a new secret, and prints it",
		long: `
Gives a subscription a new secret, generated unless one is given, and prints it.
Until the old secret expires, deliveries are signed with both: give the receiver
the new one before then. If a scheme only has room for one signature, such as
github, the new secret replaces the old one immediately. In this case, generate a
secret yourself, have the receiver accept both, and then set it with
--secret-file.`,
		example: `
caddy webhooks subscriptions rotate-secret sub_0199d3c2a4e00001
caddy webhooks subscriptions rotate-secret sub_0199d3c2a4e00001 --secret-file new.secret`,
		min: 1, max: 1,
		run: func(c *call) error {
			body := map[string]any{}
			if err := secrets.addTo(c, body); err != nil {
				return err
			}
			return c.act(http.MethodPost, pathOf("/subscriptions", c.args[0])+"/rotate-secret", body, printing(printRotated))
		},
	})
	secrets.register(cmd.Flags())
	return cmd
}

// rotated is the API's response with a new secret.
type rotated struct {
	Secret    string    `json:"secret"`
	PublicKey string    `json:"public_key"`
	Expires   time.Time `json:"previous_secret_expires"`
}

func printRotated(c *call, r *rotated) error {
	var f fields
	f.addText("Secret", r.Secret)
	f.addText("Public key", r.PublicKey)
	if r.Expires.IsZero() {
		f.add("Previous secret", "no longer used where a scheme only has room for one signature")
	} else {
		f.add("Previous secret expires", c.when(r.Expires))
	}
	return f.flush(c.out)
}

func (t *tool) activateSubscription() *cobra.Command {
	return t.command(verb{
		use:   "activate <subscription-id>…",
		short: "Activates subscriptions; held deliveries are due immediately",
		example: `
caddy webhooks subscriptions activate sub_0199d3c2a4e00001 sub_0199d3c2a4e00002`,
		min: 1, max: -1,
		run: change{method: http.MethodPost, list: "/subscriptions", action: "/activate", done: "activated"}.run,
	})
}

func (t *tool) deactivateSubscription() *cobra.Command {
	var reason string
	cmd := t.command(verb{
		use:   "deactivate <subscription-id>…",
		short: "Deactivates subscriptions; their deliveries are held until they are activated",
		example: `
caddy webhooks subscriptions deactivate sub_0199d3c2a4e00001
caddy webhooks subscriptions deactivate sub_0199d3c2a4e00001 --reason 'moving to another host'`,
		min: 1, max: -1,
		run: func(c *call) error {
			return change{method: http.MethodPost, list: "/subscriptions", action: "/deactivate", body: encode(map[string]string{"reason": reason}), done: "deactivated"}.run(c)
		},
	})
	cmd.Flags().StringVar(&reason, "reason", "", "The reason, as shown with the subscription")
	return cmd
}

func (t *tool) testSubscription() *cobra.Command {
	var eventType string
	var payload bodyFlags
	cmd := t.command(verb{
		use:   "test <subscription-id>",
		short: "Sends a test event to one subscription",
		long: `
Sends an event to one subscription, whatever its event types and filter are.
Unless another type is given, it is a webhook.test event. Without a payload, an
event of another type has the first example in the schema of that type.`,
		example: `
caddy webhooks subscriptions test sub_0199d3c2a4e00001
caddy webhooks subscriptions test sub_0199d3c2a4e00001 --event-type order.created --payload '{"order":7}'`,
		min: 1, max: 1,
		run: func(c *call) error {
			body, err := testBody(c, eventType, nil, &payload)
			if err != nil {
				return err
			}
			return c.request(http.MethodPost, pathOf("/subscriptions", c.args[0])+"/test", nil, body, printing(printTested))
		},
	})
	cmd.Flags().StringVar(&eventType, "event-type", "webhook.test", "The type of the event")
	payload.register(cmd.Flags(), "payload", "payload")
	return cmd
}

// testBody makes the body of a request for a test or a preview.
func testBody(c *call, eventType string, headers map[string]string, payload *bodyFlags) ([]byte, error) {
	if err := c.refuseEmpty("event-type"); err != nil {
		return nil, err
	}
	head := struct {
		Type    string            `json:"event_type"`
		Headers map[string]string `json:"headers,omitempty"`
	}{eventType, headers}
	if !payload.given(c.cmd.Flags()) {
		return encode(head), nil
	}
	text, err := payload.read(c, "the payload")
	if err != nil {
		return nil, err
	}
	return envelope(head, text)
}

func printTested(c *call, d *delivery) error {
	_, err := fmt.Fprintf(c.out, "%s queued: %s shows the outcome\n", clean(d.ID), c.line("deliveries show "+clean(d.ID)))
	return err
}
