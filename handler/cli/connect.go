package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// The environment variables for the URL of a webhook_api and its token, used
// unless flags give them.
const (
	apiVariable   = "WEBHOOKS_API"
	tokenVariable = "WEBHOOKS_TOKEN"
)

// online adds the flags that say how to reach Caddy to a command and its
// subcommands.
func online(cmd *cobra.Command) *cobra.Command {
	f := cmd.PersistentFlags()
	f.String("address", "", "Address of Caddy's admin endpoint (if --config is not used)")
	f.StringP("config", "c", "", "Configuration file to read the address from (if --address is not used)")
	f.StringP("adapter", "a", "", "Name of config adapter to apply (if --config is used)")
	f.String("api", "", "URL of a webhook_api to use instead of the admin endpoint (default: the variable "+apiVariable+")")
	f.String("token-file", "", "File to read the token for --api from, - for standard input (default: the variable "+tokenVariable+")")
	f.Duration("timeout", defaultTimeout, "How long to wait for a response")
	return cmd
}

// client returns the client for the API that the flags, or else the environment
// variables, select. It is made once per command.
func (c *call) client() (*client, error) {
	if c.connection != nil {
		return c.connection, nil // standard input, where the token may come from, can only be read once
	}
	if err := c.refuseEmpty("api", "token-file"); err != nil {
		return nil, err
	}
	f := c.cmd.Flags()
	byAdmin := f.Changed("address") || f.Changed("config")
	api, _ := f.GetString("api")
	switch {
	case api != "" && byAdmin:
		return nil, usagef("--api can't be given together with --address or --config")
	case api == "" && !byAdmin:
		api = os.Getenv(apiVariable)
	}
	if api == "" && f.Changed("token-file") {
		return nil, usagef("--token-file is for a webhook_api: give its URL with --api")
	}
	var err error
	c.connection, err = c.connect(api)
	return c.connection, err
}

// connect returns a client for the webhook_api at a URL or, without one, for the admin
// endpoint.
func (c *call) connect(api string) (client *client, err error) {
	timeout, _ := c.cmd.Flags().GetDuration("timeout")
	switch {
	case timeout <= 0:
		return nil, usagef("--timeout must be greater than 0, such as 30s, not %v", timeout)
	case api == "":
		client, err = c.adminClient(timeout)
	default:
		client, err = c.publicClient(api, timeout)
	}
	if err != nil {
		return nil, err
	}
	client.line = c.line
	return client, nil
}

// line returns one of our commands in backquotes, with the flags of this one that say
// how to reach Caddy, for the user to copy.
func (c *call) line(command string) string {
	text := "caddy webhooks " + command
	for _, name := range []string{"address", "config", "adapter", "api", "token-file"} {
		if flag := c.cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			text += " --" + name + " " + shellWord(clean(flag.Value.String()))
		}
	}
	return "`" + text + "`"
}

func (c *call) adminClient(timeout time.Duration) (*client, error) {
	if err := c.refuseEmpty("address", "config"); err != nil { // the default may be another Caddy
		return nil, err
	}
	f := c.cmd.Flags()
	address, _ := f.GetString("address")
	file, _ := f.GetString("config")
	adapter, _ := f.GetString("adapter")
	if strings.Contains(address, "://") {
		return nil, usagef("--address is not a URL, but an address such as %s or unix//run/caddy-admin.sock; for the URL of a webhook_api, use --api", caddy.DefaultAdminListen)
	}
	forFile := f.Lookup("store") != nil
	address, err := findAddress(address, file, adapter)
	if errors.Is(err, errAdminOff) {
		instead := "use a webhook_api with --api"
		if forFile {
			instead = "give the store's file with --store"
		}
		err = fmt.Errorf("%w: enable it, for example with `admin unix//run/caddy-admin.sock`, or %s", err, instead)
	}
	if err != nil {
		return nil, fmt.Errorf("finding Caddy's admin address in the configuration: %w", err)
	}
	return newAdminClient(admin{address, forFile}, timeout)
}

var errAdminOff = errors.New("the endpoint is disabled (`admin off`)")

// findAddress returns Caddy's admin address: the given one, that of the
// configuration file, or Caddy's default.
func findAddress(address, file, adapter string) (string, error) {
	var config struct {
		Admin caddy.AdminConfig `json:"admin"`
	}
	if address == "" && file != "" {
		text, err := loadConfig(file, adapter)
		if err != nil {
			return "", err
		}
		if err := json.Unmarshal(text, &config); err != nil {
			return "", err
		}
	}
	if config.Admin.Disabled { // don't fall back to the default address: another Caddy may have it
		return "", errAdminOff
	}
	return cmp.Or(address, config.Admin.Listen, caddy.DefaultAdminListen), nil
}

// loadConfig reads a configuration file. What Caddy logs meanwhile is discarded,
// since it would mix with the command's output.
func loadConfig(file, adapter string) ([]byte, error) {
	_, log, buffer := caddy.BufferedLog()
	defer func() {
		buffer.FlushTo(zap.NewNop())
		caddy.UnbufferDefaultLogger(log)
	}()
	config, _, _, err := caddycmd.LoadConfig(file, adapter)
	return config, err
}

// publicClient returns a client for the webhook_api at a URL.
func (c *call) publicClient(api string, timeout time.Duration) (*client, error) {
	token, from, err := c.token()
	if err != nil {
		return nil, err
	}
	return newPublicClient(api, token, from, timeout)
}

// token returns the token for a webhook_api, "" if there is none, and where it
// comes from: a file or the environment, since others can see the command line.
func (c *call) token() (token, from string, err error) {
	if from, _ = c.cmd.Flags().GetString("token-file"); from == "" {
		return strings.TrimSpace(os.Getenv(tokenVariable)), tokenVariable, nil
	}
	text, err := c.read(from, "the token")
	if err != nil {
		return "", "", err
	}
	if token = strings.TrimSpace(string(text)); token == "" {
		return "", "", usagef("there is no token in %s", from)
	}
	return token, from, nil
}
