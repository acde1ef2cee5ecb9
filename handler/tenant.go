package handler

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// checkTenant says what is wrong with an option tenant, as far as can be told
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

// tenantOf is the tenant that a request gives. Where one of the placeholders gives
// nothing there is none: what stands around it would be another's.
func tenantOf(r *http.Request, raw string) (string, error) {
	tenant, err := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).ReplaceOrErr(raw, true, true)
	if err != nil {
		return "", fmt.Errorf("this request gives no tenant: %w", err)
	}
	return tenant, nil
}
