package cli

import "github.com/spf13/cobra"

func (t *tool) status() *cobra.Command {
	return online(t.command(verb{
		use:   "status",
		short: "Shows what waits, what is under way, and how each subscription fares",
		example: `
caddy webhooks status`,
		run: func(c *call) error { return c.show("/status", nil, printStatus) },
	}))
}
func printStatus(c *call, answer []byte) error { return nil }
