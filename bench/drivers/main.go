// Command drivers measures three ways to use SQLite from Go without cgo, with
// the work of the webhooks store: see README.md.
//
//	go run . [-rounds 3] [-for 4s] [-dir DIR] [-only WORD]
//
// Every run is a process of its own with a new file. A round runs all drivers
// one after another, so that other load on the machine affects them alike. Each
// figure is the median over the rounds, and each ratio the median of the ratios
// to the first driver in the same round.
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

// variant is a set of settings that all drivers are measured with.
type variant struct {
	name string
	settings
}

var plain = settings{PageSize: 4096, CacheKiB: 2000, Insert: "row", Settle: "row", Checkpoint: "auto"}

// variants returns the variants, most of which change one setting of another.
func variants() []variant {
	fdatasync := plain
	fdatasync.Fdatasync = true
	often := fdatasync
	often.Checkpoint = "often"
	beside := fdatasync
	beside.Checkpoint = "beside" // by another connection
	inserts := beside
	inserts.Insert = "multi"
	settlement := inserts
	settlement.Settle = "multi"
	cache := inserts
	cache.CacheKiB = 32 << 10
	pages := inserts
	pages.PageSize = 8192
	return []variant{
		{"1 one row per statement", plain},
		{"2 = 1 + fdatasync", fdatasync},
		{"3 = 2 + checkpoint every 512 KiB", often},
		{"4 = 3 by another connection", beside},
		{"5 = 4 + multi-row inserts", inserts},
		{"6 = 5 + multi-row settlement", settlement},
		{"7 = 5 + cache 32 MiB", cache},
		{"8 = 5 + pages of 8 KiB", pages},
	}
}

func main() {
	rounds := flag.Int("rounds", 3, "rounds of each variant")
	length := flag.Duration("for", 4*time.Second, "length of a run")
	dir := flag.String("dir", os.TempDir(), "folder for the databases")
	only := flag.String("only", "", "measure only variants whose name contains this")
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

// child does one run with the settings in text, and prints its result as JSON.
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

// spawn does one run in a process of its own.
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

// measure prints the table of all variants and drivers.
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

// row prints the medians of a driver's results, and of their ratios to the base
// driver's.
func row(w *tabwriter.Writer, variant, driver string, results, base []result) {
	median := func(figure func(r, base result) float64) float64 {
		var all []float64
		for i := range results {
			all = append(all, figure(results[i], base[i]))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	fmt.Fprintf(w, "| %s\t| %s\t| %.0f\t| %.2f\t| %.1f\t| %.2f\t| %.1f\t| %.1f\t| %.0f\t| %.0f\t| %.0f\t|\n", variant, driver,
		median(func(r, _ result) float64 { return r.EventsPerSecond }),
		median(func(r, b result) float64 { return r.EventsPerSecond / b.EventsPerSecond }),
		median(func(r, _ result) float64 { return r.CPUMicros }),
		median(func(r, b result) float64 { return r.CPUMicros / b.CPUMicros }),
		median(func(r, _ result) float64 { return ms(r.P50) }),
		median(func(r, _ result) float64 { return ms(r.P99) }),
		median(func(r, _ result) float64 { return ms(r.Max) }),
		median(func(r, _ result) float64 { return r.Batch }),
		median(func(r, _ result) float64 { return r.RSSMiB }))
}
