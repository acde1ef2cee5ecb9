package cli

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

type signFlags struct {
	body        bodyFlags
	scheme      schemeFlags
	headers     []string
	id          string
	eventType   string
	timestamp   string
	method      string
	url         string
	curl        string
	contentType string
}

func (t *tool) sign() *cobra.Command {
	var s signFlags
	cmd := t.command(verb{
		use:   "sign [<provider>]",
		short: "Signs a body like a provider, and prints the headers or a curl command",
		long: `
Signs a body with a provider's scheme and a secret, and prints the headers of
the signed request. It works offline.

With --curl, it prints a curl command that sends the signed body to that URL, to
test a webhook_verify route. The signature is valid for as long as the
provider's tolerance.

The body is read from --body, --body-file or standard input, and signed byte for
byte. The secret is read from --secret-file, --secret or the variable
` + secretVariable + `, or the file of --config.
` + schemeHelp,
		example: `
caddy webhooks sign github --body '{"zen":"hi"}' --secret-file github.secret
caddy webhooks sign stripe --body-file event.json --curl https://hooks.example.com/stripe | sh
caddy webhooks sign acme --config Caddyfile --body-file event.json --curl http://localhost:8080/acme | sh
` + secretVariable + `=whsec_… caddy webhooks sign standard-webhooks <event.json`,
		max: 1,
		run: s.run,
	})
	f := cmd.Flags()
	s.body.register(f, "body", "body")
	s.scheme.register(f)
	f.StringArrayVarP(&s.headers, "header", "H", nil, "Additional header of the request, as \"Name: value\"")
	f.StringVar(&s.id, "id", "", "The delivery id, if the scheme has one (default: generated)")
	f.StringVar(&s.eventType, "event-type", "", "The event type, if the scheme has one")
	f.StringVar(&s.timestamp, "timestamp", "", "The time of signing (default: now)")
	f.StringVar(&s.method, "method", http.MethodPost, "The request's method")
	f.StringVar(&s.url, "url", "", "The URL that the provider calls, if the scheme signs it (default: that of --curl, with the configuration's public_url)")
	f.StringVar(&s.curl, "curl", "", "Print a curl command that sends the signed request to this URL")
	f.StringVar(&s.contentType, "content-type", "application/json", "The body's media type")
	return cmd
}

func (s *signFlags) run(c *call) error {
	row, options, err := s.scheme.read(c)
	if err != nil {
		return err
	}
	signer, err := verify.NewSigner(row, options.Secrets)
	if err != nil {
		return err
	}
	m := &verify.Outgoing{Method: s.method, URL: cmp.Or(s.url, publicURL(options.PublicURL, s.curl)), ID: s.id, EventType: s.eventType, Timestamp: c.now()}
	if s.timestamp != "" {
		if m.Timestamp, err = c.parseTime(s.timestamp); err != nil {
			return usagef("--timestamp: %v", err)
		}
	}
	if m.ID == "" && row.ID.In == "header" {
		m.ID = uuid.NewString() // which most providers' ids could be
	}
	h, err := parseHeaders(s.headers)
	if err != nil {
		return err
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", s.contentType)
	}
	if m.Body, err = s.body.read(c, "the body"); err != nil {
		return err
	}
	if err := signer.Sign(h, m); err != nil {
		return err
	}
	tellUnused(c, row)
	switch {
	case s.curl != "":
		return s.printCurl(c, h, m)
	case c.json:
		return printValue(c.out, flat(h))
	}
	_, err = fmt.Fprintln(c.out, strings.Join(headerLines(h), "\n"))
	return err
}

// tellUnused says which flags made no difference, since the scheme has no place for
// their value in a request, or has it in the body.
func tellUnused(c *call, row verify.Scheme) {
	for _, f := range []struct{ flag, what, in, name string }{
		{"id", "id", row.ID.In, row.ID.Name},
		{"event-type", "event type", row.EventType.In, row.EventType.Name},
		{"timestamp", "timestamp", row.Timestamp.In, row.Timestamp.Name},
	} {
		if !c.cmd.Flags().Changed(f.flag) {
			continue
		}
		switch f.in {
		case "header", "field", "first":
		case "":
			fmt.Fprintf(c.err, "--%s is ignored: the scheme has no %s.\n", f.flag, f.what)
		default:
			fmt.Fprintf(c.err, "--%s is ignored: the scheme has its %s elsewhere (%s).\n", f.flag, f.what, where(f.in, f.name))
		}
	}
}

// publicURL returns a URL as the provider knows it, with the scheme and host of
// the option public_url, if that is set.
func publicURL(option, address string) string {
	public, err := url.Parse(option)
	u, err2 := url.Parse(address)
	if option == "" || address == "" || err != nil || err2 != nil {
		return address
	}
	u.Scheme, u.Host = public.Scheme, public.Host
	return u.String()
}

// headerLines returns headers as a request has them, by name.
func headerLines(h http.Header) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			lines = append(lines, name+": "+v)
		}
	}
	return lines
}

// printCurl prints a curl command for a shell. The body is on the command line,
// unless it came from a file.
func (s *signFlags) printCurl(c *call, h http.Header, m *verify.Outgoing) error {
	words := []string{"curl", "-X", s.method, s.curl}
	for _, line := range headerLines(h) {
		words = append(words, "-H", line)
	}
	switch {
	case s.body.file != stdin:
		words = append(words, "--data-binary", "@"+s.body.file)
	case !isTypeable(m.Body):
		return usagef("this body is too long for a command line, or has characters that don't fit there: give it with --body-file")
	default:
		words = append(words, "--data-raw", string(m.Body))
	}
	for i := range words {
		words[i] = shellWord(words[i])
	}
	_, err := fmt.Fprintln(c.out, strings.Join(words, " "))
	return err
}

// maxInline is the size of the largest body on the command line of curl.
const maxInline = 64 << 10

// isTypeable reports whether a body stays the same if pasted into a shell.
func isTypeable(body []byte) bool {
	if len(body) > maxInline {
		return false
	}
	for _, r := range string(body) {
		if r == unicode.ReplacementChar || unicode.IsControl(r) && r != '\n' && r != '\t' {
			return false
		}
	}
	return true
}
