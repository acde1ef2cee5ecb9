package handler

import (
	"fmt"
	"strings"
)

// maxSecret is longer than any secret. {file.*} cuts what it reads at 1 MiB
// without a word, so that a wrong path could make a wrong key.
const maxSecret = 64 << 10

// resolveSecret returns the secret that a user wrote, its {env.*} and {file.*}
// placeholders replaced. It never returns an empty one: whoever has no secret
// could sign. Directive opens the error, which says what to do and never holds
// anything of the secret.
//
// To be called when a config is loaded, so that a secret that can't be had is a
// config that doesn't load.
func resolveSecret(directive, raw string) (string, error) {
	// the Caddyfile adapter takes {file.name} for its shorthand of a request's file
	raw = strings.ReplaceAll(raw, "{http.request.uri.path.file.", "{file.")
	secret, err := resolveText(directive, raw)
	secret = strings.TrimRight(secret, "\r\n") // of a variable, as Caddy drops that of a file: no secret ends so
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
