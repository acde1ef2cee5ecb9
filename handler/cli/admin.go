package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// mount is the path of the API on the admin endpoint.
const mount = "/webhooks"

// admin is Caddy's admin endpoint.
type admin struct {
	address string // as the user wrote it
	forFile bool   // whether it is asked for the store's file, which a webhook_api can't replace
}

func (a admin) String() string { return a.address }

func newAdminClient(a admin, timeout time.Duration) (*client, error) {
	addr, err := caddy.ParseNetworkAddress(a.address)
	if err != nil {
		return nil, fmt.Errorf("reading the admin address %q: %w", a.address, err)
	}
	if addr.PortRangeSize() > 1 {
		return nil, fmt.Errorf("the admin address %q has a range of ports: give a single one", a.address)
	}
	network, at := addr.Network, addr.JoinHostPort(0)
	base, origin := "http://"+at, "http://"+at
	if addr.IsUnixNetwork() {
		at, _, _ = strings.Cut(at, "|")       // the socket's permissions may follow
		base, origin = "http://127.0.0.1", "" // Caddy treats this as "no host", and requires no origin
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	c := newClient(a, base+mount, timeout, &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, at)
		},
	})
	if origin != "" {
		c.header.Set("Origin", origin)
	}
	return c, nil
}

func (a admin) unexpected(resp *http.Response, text []byte) error {
	if resp.StatusCode == http.StatusNotFound {
		return fmt.Errorf("the Caddy at %s has no webhooks API: it needs the webhooks module (`caddy list-modules` lists it) and the `webhooks` option at the top of its Caddyfile; for a Caddy with another admin address, use --address", a)
	}
	var refused struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(text, &refused) == nil && refused.Error != "" {
		return fmt.Errorf("the admin endpoint at %s refused the request: %s: give the address as `admin` has it in the Caddyfile, or --config with the file that Caddy runs with", a, refused.Error)
	}
	return fmt.Errorf("the server at %s answered %s: is it the admin endpoint of a Caddy with the webhooks module?", a, resp.Status)
}

func (a admin) notConnected(cause error) string {
	if errors.Is(cause, fs.ErrPermission) {
		return fmt.Sprintf("this user may not open Caddy's admin socket %s: run the command as the user that Caddy runs as", a)
	}
	text := fmt.Sprintf("Caddy's admin endpoint can't be reached at %s (%v): check that Caddy is running. If it has another admin address, use --address, or --config with the file that Caddy runs with.", a, cause)
	if !a.forFile {
		text += " If the endpoint is disabled (`admin off`) or on another machine, use a webhook_api with --api."
	}
	return text
}

func (admin) deniedHint(int) string {
	return "This address belongs to a webhook_api, but --address is for Caddy's admin endpoint, such as localhost:2019, which needs no token: use --api instead, as in --api " + exampleAPI + "."
}
