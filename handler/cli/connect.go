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

// The variables that say which webhook_api to use, and by which token, where no
// flag does.
const (
	apiVariable   = "WEBHOOKS_API"
	tokenVariable = "WEBHOOKS_TOKEN"
)

// online gives a command, and those under it, the flags that say where Caddy is.
func online(cmd *cobra.Command) *cobra.Command {
	f := cmd.PersistentFlags()
	f.String("address", "", "Address of the administration API listener (if --config is not used)")
	f.StringP("config", "c", "", "Configuration file to read the address from (if --address is not used)")
	f.StringP("adapter", "a", "", "Name of config adapter to apply (if --config is used)")
	f.String("api", "", "URL of a webhook_api to use instead of the administration API (default: the variable "+apiVariable+")")
	f.String("token-file", "", "File to read the token for --api from, - for standard input (default: the variable "+tokenVariable+")")
	f.Duration("timeout", defaultTimeout, "How long to wait for a response")
	return cmd
}

// client connects to the Caddy that the flags name, or else the variables.
func (c *call) client() (*client, error) {
	if c.connection != nil {
		return c.connection, nil // its token may come from where it can be read once
	}
	if err := c.filled("api", "token-file"); err != nil {
		return nil, err
	}
	f := c.cmd.Flags()
	byAdmin := f.Changed("address") || f.Changed("config")
	api, _ := f.GetString("api")
	switch {
	case api != "" && byAdmin:
		return nil, usagef("--api is used instead of --address and --config: give one of them")
	case api == "" && !byAdmin:
		api = os.Getenv(apiVariable)
	}
	if api == "" && f.Changed("token-file") {
		return nil, usagef("--token-file is for a webhook_api: name that with --api")
	}
	var err error
	if api == "" {
		c.connection, err = c.adminClient()
	} else {
		c.connection, err = c.publicClient(api)
	}
	return c.connection, err
}

// timeout is how long to wait for an answer.
func (c *call) timeout() (time.Duration, error) {
	timeout, _ := c.cmd.Flags().GetDuration("timeout")
	if timeout <= 0 {
		return 0, usagef("--timeout must be over 0, as in 30s, not %v", timeout)
	}
	return timeout, nil
}

// adminClient connects to the admin endpoint.
func (c *call) adminClient() (*client, error) {
	timeout, err := c.timeout()
	if err != nil {
		return nil, err
	}
	f := c.cmd.Flags()
	address, _ := f.GetString("address")
	file, _ := f.GetString("config")
	adapter, _ := f.GetString("adapter")
	if strings.Contains(address, "://") {
		return nil, usagef("--address is no URL: write it as in %s or unix//run/caddy-admin.sock; the URL of a webhook_api is for --api", caddy.DefaultAdminListen)
	}
	address, err = findAddress(address, file, adapter)
	if err != nil {
		return nil, fmt.Errorf("finding Caddy's admin address in the configuration: %w", err)
	}
	return newAdminClient(address, timeout)
}

// findAddress finds Caddy's admin address.
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
	if config.Admin.Disabled { // another Caddy may have the default address
		return "", errors.New("it says `admin off`: turn the endpoint on, as in `admin unix//run/caddy-admin.sock`, or use a webhook_api with --api")
	}
	return cmp.Or(address, config.Admin.Listen, caddy.DefaultAdminListen), nil
}

// loadConfig reads a configuration, and keeps what Caddy logs of that away from what
// the command prints.
func loadConfig(file, adapter string) ([]byte, error) {
	_, log, buffer := caddy.BufferedLog()
	defer func() {
		buffer.FlushTo(zap.NewNop())
		caddy.UnbufferDefaultLogger(log)
	}()
	config, _, _, err := caddycmd.LoadConfig(file, adapter)
	return config, err
}

// publicClient connects to a webhook_api.
func (c *call) publicClient(api string) (*client, error) {
	timeout, err := c.timeout()
	if err != nil {
		return nil, err
	}
	token, from, err := c.token()
	if err != nil {
		return nil, err
	}
	return newPublicClient(api, token, from, timeout)
}

// token is the one for a webhook_api, and where it comes from: no place that
// others see, as they do the command line. It is "" where there is none.
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
