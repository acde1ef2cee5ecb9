package handler

import (
	"fmt"
	"strings"
)

// maxSecret is longer than any real secret. Caddy silently truncates a {file.*}
// at 1 MiB, so a wrong path could otherwise result in a wrong key.
const maxSecret = 64 << 10

// resolveSecret replaces the {env.*} and {file.*} placeholders in a secret. It
// never returns an empty secret, with which anyone could sign. Errors begin with
// the directive, say what to do, and never contain any part of the secret.
//
// Call it when a config is loaded, so that a config without its secret doesn't
// load.
func resolveSecret(directive, raw string) (string, error) {
	// The Caddyfile adapter mistakes {file.name} for its shorthand for the request's file.
	raw = strings.ReplaceAll(raw, "{http.request.uri.path.file.", "{file.")
	secret, err := resolveText(directive, raw)
	secret = strings.TrimRight(secret, "\r\n") // no secret ends with a line break; Caddy strips only that of files
	switch {
	case err != nil:
		return "", err
	case secret == "":
		return "", fmt.Errorf("%s: the secret is empty: write a placeholder such as {env.NAME} or {file./run/secrets/name}, or the secret itself", directive)
	case len(secret) > maxSecret:
		return "", fmt.Errorf("%s: the secret is longer than %d bytes: does its placeholder name the right file?", directive, maxSecret)
	}
	return secret, nil
}
