package outbound

import "log/slog"

// Named returns the log attributes of a subscription: its id, and its tenant if it
// has one.
func Named(subscription, tenant string) slog.Attr {
	if tenant == "" {
		return slog.String("subscription_id", subscription)
	}
	return slog.Group("", "subscription_id", subscription, "tenant", tenant) // with no name, a group's attributes are inlined
}
