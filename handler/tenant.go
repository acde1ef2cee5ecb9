package handler

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// checkTenant checks the value of a tenant option, as far as that is possible
// without a request.
func checkTenant(raw string) error {
	if err := checkPlaceholders("tenant", raw); err != nil {
		return err
	}
	known := caddy.NewReplacer().ReplaceKnown(raw, "")
	if wrong, ok := errors.AsType[*outbound.Invalid](outbound.CheckTenant(known)); ok && !strings.Contains(known, "{") {
		return fmt.Errorf("tenant %q: it %s", known, wrong.What)
	}
	return nil
}

// tenantOf returns the tenant of a request. If one of the placeholders is empty,
// it returns an error, since the rest of the text could be another tenant's name.
func tenantOf(r *http.Request, raw string) (string, error) {
	tenant, err := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).ReplaceOrErr(raw, true, true)
	if err != nil {
		return "", fmt.Errorf("this request has no tenant: %w", err)
	}
	return tenant, nil
}
