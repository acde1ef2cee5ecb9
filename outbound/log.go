package outbound

import "log/slog"

// Named is how the log names a subscription: with the tenant, where there is one.
func Named(subscription, tenant string) slog.Attr {
	if tenant == "" {
		return slog.String("subscription_id", subscription)
	}
	return slog.Group("", "subscription_id", subscription, "tenant", tenant) // side by side
}
