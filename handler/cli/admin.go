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

// mount is where the API is on the admin endpoint.
const mount = "/webhooks"

// admin is Caddy's admin endpoint, by the address that the user wrote.
type admin string

func newAdminClient(address string, timeout time.Duration) (*client, error) {
	addr, err := caddy.ParseNetworkAddress(address)
	if err != nil {
		return nil, fmt.Errorf("reading the admin address %q: %w", address, err)
	}
	if addr.PortRangeSize() > 1 {
		return nil, fmt.Errorf("the admin address %q has several ports: give one", address)
	}
	network, at := addr.Network, addr.JoinHostPort(0)
	base, origin := "http://"+at, "http://"+at
	if addr.IsUnixNetwork() {
		at, _, _ = strings.Cut(at, "|")       // what follows are the socket's permissions
		base, origin = "http://127.0.0.1", "" // Caddy takes this for "no host", and asks for no origin
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	c := newClient(admin(address), base+mount, timeout, &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, at)
		},
	})
	if origin != "" {
		c.header.Set("Origin", origin)
	}
	return c, nil
}

func (a admin) strange(resp *http.Response, text []byte) error {
	if resp.StatusCode == http.StatusNotFound {
		return fmt.Errorf("the Caddy at %s has no webhooks API: %s", a,
			"it needs the webhooks module (see it in `caddy list-modules`) and the `webhooks` option at the top of its Caddyfile; a Caddy that runs with another config has another --address")
	}
	var refused struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(text, &refused) == nil && refused.Error != "" {
		return fmt.Errorf("the admin endpoint at %s refused the request: %s", a, refused.Error)
	}
	return fmt.Errorf("what listens at %s answered %s: is it the admin endpoint of a Caddy with the webhooks module?", a, resp.Status)
}

func (a admin) away(cause error) string {
	if errors.Is(cause, fs.ErrPermission) {
		return fmt.Sprintf("Caddy's admin socket %s may not be opened by this user: run the command as the user that Caddy runs as", a)
	}
	return fmt.Sprintf("Caddy's admin endpoint can't be reached at %s (%v): see that Caddy runs; where its admin address is another one, name it with --address, or with --config and the file that Caddy runs with; with `admin off` there is none; from another machine, use a webhook_api with --api", a, cause)
}

func (admin) denied(int) string {
	return "Here is a webhook_api, and --address is for Caddy's admin endpoint, such as localhost:2019, which takes no token: name it with --api, as in --api " + exampleAPI + "."
}
