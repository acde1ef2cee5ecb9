package cli

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// store makes the commands that work on the store's file itself, which must be on
// this machine. A running Caddy is only asked for the file's path.
func (t *tool) store() *cobra.Command {
	cmd := t.noun("store", "Checks, backs up and compacts the store's file",
		t.checkStore(), t.backupStore(), t.compactStore())
	f := cmd.PersistentFlags()
	f.String("store", "", "The store's file (default: that of the running Caddy)")
	_ = f.MarkHidden("api") // storeFile refuses it
	_ = f.MarkHidden("token-file")
	return cmd
}

func (t *tool) checkStore() *cobra.Command {
	return t.command(verb{
		use:   "check",
		short: "Reads the whole file and reports any damage",
		long: `
Reads the whole file, with or without a running Caddy, and reports any damage to
its structure and to events, and what was lost with damaged files that Caddy has
set aside. It doesn't change the file's contents. The exit code is 0 if the file
is sound, and 1 if it isn't.

You don't have to check the file of a running Caddy: if it comes across damage,
it moves whatever can be read to a new file, and continues.`,
		example: `
caddy webhooks store check
caddy webhooks store check --store /var/lib/caddy/webhooks.db`,
		run: func(c *call) error {
			path, err := c.storeFile()
			if err != nil {
				return err
			}
			found, err := sqlite.Check(c.cmd.Context(), path)
			if err != nil {
				return err
			}
			return c.printCheckup(path, found)
		},
	})
}

func (c *call) printCheckup(path string, found *sqlite.Checkup) error {
	var bad error
	if !found.Sound() {
		bad = &verdict{"the store is damaged"}
	}
	if c.json {
		return errors.Join(printValue(c.out, struct {
			Path          string    `json:"path"`
			Sound         bool      `json:"sound"`
			Events        int64     `json:"events"`
			DamagedEvents int64     `json:"damaged_events"`
			Damaged       []string  `json:"damaged"`
			Problems      []string  `json:"problems"`
			SetAside      []damaged `json:"set_aside"`
		}{path, found.Sound(), found.Events, found.DamagedEvents, append([]string{}, found.Damaged...), append([]string{}, found.Problems...), setAside(path)}), bad)
	}
	if bad == nil {
		fmt.Fprintf(c.out, "%s is sound: %s read.\n", clean(path), count(int(found.Events), "event was", "events were"))
		var f fields
		for _, d := range setAside(path) {
			f.addDamaged(c, &d)
		}
		return f.flush(c.out)
	}
	fmt.Fprintf(c.out, "%s is damaged.\n", clean(path))
	for _, p := range found.Problems {
		for line := range strings.Lines(p) {
			fmt.Fprintln(c.out, "  "+clean(strings.TrimSpace(line)))
		}
	}
	if n := found.DamagedEvents; n > 0 {
		fmt.Fprintf(c.out, "%s not what was published, and will become dead letters:\n", count(int(n), "event is", "events are"))
		for _, id := range found.Damaged {
			fmt.Fprintln(c.out, "  "+clean(id))
		}
	}
	fmt.Fprintln(c.out, "When Caddy comes across the damage, or is restarted, it moves what can be read to a new file; see \"Damage\" in docs/operate.md.")
	return bad
}

// setAside returns what was lost with earlier files at the path, which the one that is
// there now doesn't show.
func setAside(path string) []damaged {
	all := []damaged{}
	for _, s := range sqlite.Salvages(path) {
		all = append(all, damaged{s.Path, s.At, s.Cause, s.Kept, s.Lost, s.Repeated, s.Unreadable})
	}
	return all
}

func (t *tool) backupStore() *cobra.Command {
	return t.command(verb{
		use:   "backup <new-file>",
		short: "Backs up the file, even while Caddy is running",
		long: `
Copies the current contents of the file to a new file, with or without a running
Caddy. When the command returns, the copy is on disk. It is compacted, and only
readable by its owner, since it contains payloads and secrets.

To restore it, stop Caddy, delete the store's -wal and -shm files, which belong
to the old file and would corrupt the restored one, copy the backup to the
store's path, and start Caddy. Deliveries that were pending in the backup are
delivered again.`,
		example: `
caddy webhooks store backup /backup/webhooks.db`,
		min: 1, max: 1,
		run: func(c *call) error {
			path, err := c.storeFile()
			if err != nil {
				return err
			}
			to := c.args[0]
			if err := sqlite.Backup(c.cmd.Context(), path, to); err != nil {
				return withDamageHint(err)
			}
			return c.printFile("Copied to", to)
		},
	})
}

func (t *tool) compactStore() *cobra.Command {
	return t.command(verb{
		use:   "compact",
		short: "Returns the space of removed events to the disk, while Caddy is stopped",
		long: `
Returns the space of removed events to the disk. Caddy reuses that space, so
this is only useful for a file that will stay smaller than it was. Caddy must be
stopped, and the disk needs space for a second file in the meantime.`,
		example: `
caddy webhooks store compact --store /var/lib/caddy/webhooks.db`,
		run: func(c *call) error {
			path, err := c.storeFile()
			if err != nil {
				return err
			}
			before, err := size(path)
			if err != nil {
				return err
			}
			if err := sqlite.Compact(c.cmd.Context(), path); err != nil {
				if errors.Is(err, store.ErrInUse) {
					err = fmt.Errorf("%w (a running Caddy reuses the space by itself)", err)
				}
				return withDamageHint(err)
			}
			return c.printFile("Compacted from "+humanize.IBytes(before)+":", path)
		},
	})
}

// withDamageHint adds what to do about a damaged file, if that is the error.
func withDamageHint(err error) error {
	if errors.Is(err, store.ErrDamaged) {
		err = fmt.Errorf("%w: `caddy webhooks store check` shows the damage; when Caddy comes across it, it moves what can be read to a new file", err)
	}
	return err
}

// storeFile returns the path of the file: that of the flag, or of the running Caddy.
func (c *call) storeFile() (string, error) {
	if err := c.refuseEmpty("store"); err != nil {
		return "", err
	}
	f := c.cmd.Flags()
	if f.Changed("api") {
		return "", usagef("the store's file can't be reached with --api: run this on the machine that Caddy runs on")
	}
	if path, _ := f.GetString("store"); path != "" {
		return path, nil
	}
	client, err := c.connect("")
	if err != nil {
		return "", err
	}
	var s serverStatus
	if err := client.do(c.cmd.Context(), http.MethodGet, "/status", nil, nil, &s); err != nil {
		return "", fmt.Errorf("give the store's file with --store, since the running Caddy can't be asked for it: %w", err)
	}
	if strings.HasPrefix(s.Store.Path, "postgres://") {
		return "", fmt.Errorf("the store is the database %s: use its own tools, such as pg_dump --schema webhooks and VACUUM", s.Store.Path)
	}
	return s.Store.Path, nil
}

// printFile prints the path and size of a file that was written.
func (c *call) printFile(done, path string) error {
	bytes, err := size(path)
	if err != nil {
		return err
	}
	if c.json {
		return printValue(c.out, struct {
			Path  string `json:"path"`
			Bytes uint64 `json:"bytes"`
		}{path, bytes})
	}
	_, err = fmt.Fprintf(c.out, "%s %s (%s)\n", done, clean(path), humanize.IBytes(bytes))
	return err
}

func size(path string) (uint64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return uint64(info.Size()), nil
}
