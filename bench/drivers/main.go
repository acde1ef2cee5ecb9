// Command drivers measures three ways to reach SQLite from Go without cgo, with
// the work of a store of webhooks: see README.md.
//
//	go run . [-rounds 3] [-for 4s] [-dir DIR] [-only WORD]
//
// Every run is a process of its own with a new file. A round runs all drivers
// one after another, so that what else the machine does hits them alike; each
// figure is the median over the rounds, each ratio the median of the ratios to
// the first driver in the same round.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// variant is a row of settings that all drivers are measured with.
type variant struct {
	name string
	settings
}

var plain = settings{PageSize: 4096, CacheKiB: 2000, Insert: "row", Settle: "row", Checkpoint: "auto"}

// variants are the settings, most of them one step from the one before.
func variants() []variant {
	fdatasync := plain
	fdatasync.Fdatasync = true
	often := fdatasync
	often.Checkpoint = "often"
	beside := fdatasync
	beside.Checkpoint = "beside"
	inserts := beside
	inserts.Insert = "multi"
	settlement := inserts
	settlement.Settle = "multi"
	cache := inserts
	cache.CacheKiB = 32 << 10
	pages := inserts
	pages.PageSize = 8192
	return []variant{
		{"1 a row a statement", plain},
		{"2 = 1 + fdatasync", fdatasync},
		{"3 = 2 + checkpoint every 512 KiB", often},
		{"4 = 3 beside the writer", beside},
		{"5 = 4 + multi-row inserts", inserts},
		{"6 = 5 + multi-row settlement", settlement},
		{"7 = 5 + cache 32 MiB", cache},
		{"8 = 5 + pages of 8 KiB", pages},
	}
}

func main() {
	rounds := flag.Int("rounds", 3, "rounds of each variant")
	length := flag.Duration("for", 4*time.Second, "length of a run")
	dir := flag.String("dir", os.TempDir(), "where the databases are made")
	only := flag.String("only", "", "measure only variants whose name has this in it")
	one := flag.String("run", "", "do one run with these settings, as JSON")
	flag.Parse()
	var err error
	if *one != "" {
		err = child(*one, *dir, *length)
	} else {
		err = measure(*rounds, *length, *dir, *only)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "drivers:", err)
		os.Exit(1)
	}
}

func child(text, dir string, d time.Duration) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	r, err := run(s, dir, d)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// spawn does a run in a process of its own.
func spawn(s settings, dir string, d time.Duration) (r result, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return r, err
	}
	cmd := exec.Command(self, "-run", string(text), "-dir", dir, "-for", d.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("running %s: %w", text, err)
	}
	err = json.Unmarshal(out, &r)
	return r, err
}

func measure(rounds int, d time.Duration, parent, only string) error {
	dir, err := os.MkdirTemp(parent, "drivers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| variant\t| driver\t| events/s\t| ratio\t| CPU µs/event\t| ratio\t| p50 ms\t| p99 ms\t| max ms\t| events/commit\t| RSS MiB\t|")
	fmt.Fprintln(w, "|"+strings.Repeat(" ---\t|", 11))
	for _, v := range variants() {
		if !strings.Contains(v.name, only) {
			continue
		}
		results := make([][]result, len(drivers))
		for range rounds {
			for i := range drivers {
				s := v.settings
				s.Driver = drivers[i].name
				r, err := spawn(s, dir, d)
				if err != nil {
					return err
				}
				results[i] = append(results[i], r)
			}
		}
		for i := range drivers {
			row(w, v.name, drivers[i].name, results[i], results[0])
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func row(w *tabwriter.Writer, variant, driver string, rs, base []result) {
	mid := func(of func(r, base result) float64) float64 {
		var xs []float64
		for i := range rs {
			xs = append(xs, of(rs[i], base[i]))
		}
		slices.Sort(xs)
		return xs[len(xs)/2]
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	fmt.Fprintf(w, "| %s\t| %s\t| %.0f\t| %.2f\t| %.1f\t| %.2f\t| %.1f\t| %.1f\t| %.0f\t| %.0f\t| %.0f\t|\n", variant, driver,
		mid(func(r, _ result) float64 { return r.EventsPerSecond }),
		mid(func(r, b result) float64 { return r.EventsPerSecond / b.EventsPerSecond }),
		mid(func(r, _ result) float64 { return r.CPUMicros }),
		mid(func(r, b result) float64 { return r.CPUMicros / b.CPUMicros }),
		mid(func(r, _ result) float64 { return ms(r.P50) }),
		mid(func(r, _ result) float64 { return ms(r.P99) }),
		mid(func(r, _ result) float64 { return ms(r.Max) }),
		mid(func(r, _ result) float64 { return r.Batch }),
		mid(func(r, _ result) float64 { return r.RSSMiB }))
}
