//go:build linux

// Command speed measures caddy-webhooks against the raw signed POST loop of
// the same load generator, in the same run: loadgen, sink and Caddy share the
// machine, and the loop is measured before and after.
//
//	go run ./bench/speed -loadgen ../shared/loadgen
//
// prints a table in Markdown. See bench/README.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	var b bench
	source := flag.String("loadgen", "../shared/loadgen", "folder of the load generator's source")
	only := flag.String("only", "", "scenarios to run, separated by commas (default: those of the hot path)")
	rounds := flag.Int("rounds", 3, "how often each scenario is measured")
	flag.StringVar(&b.caddy, "caddy", "", "binary to measure (default: ./cmd/caddy is built)")
	flag.StringVar(&b.postgres, "postgres", "", "URL of a Postgres server for the stores of the hot path, instead of files: databases are created and dropped there")
	flag.DurationVar(&b.span, "for", 5*time.Second, "how long each measurement takes")
	flag.BoolVar(&b.profile, "profile", false, "write a CPU profile of each scenario to the current folder")
	flag.Parse()
	if err := run(&b, *source, *only, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

func run(b *bench, source, only string, rounds int) error {
	dir, err := os.MkdirTemp("", "speed")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	defer b.dropDatabases()
	if b.loadgen, err = build(source, filepath.Join(dir, "loadgen")); err != nil {
		return err
	}
	if b.caddy == "" {
		if b.caddy, err = build("./cmd/caddy", filepath.Join(dir, "caddy")); err != nil {
			return err
		}
	}
	var rows []row
	for _, s := range slices.Concat(scenarios, byName) {
		if s.alone != nil && (only == "" || b.postgres != "") { // these need files
			continue
		}
		if only != "" && !slices.Contains(strings.Split(only, ","), s.name) {
			continue
		}
		r := row{name: s.name}
		each := func(round func() (figures, error)) error {
			for range rounds {
				f, err := round()
				if err != nil {
					return err
				}
				fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, f)
				r.rounds = append(r.rounds, f)
			}
			return nil
		}
		if s.alone != nil {
			err = s.alone(b, each)
		} else {
			err = each(func() (figures, error) { return b.measure(s) })
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return fmt.Errorf("-only %s names no scenario that can be measured: bench/README.md has their names", only)
	}
	fmt.Print(table(rows))
	return nil
}

func build(pkg, to string) (string, error) {
	cmd := exec.Command("go", "build", "-o", to, pkg)
	if filepath.Base(pkg) == "loadgen" { // a module of its own
		cmd = exec.Command("go", "build", "-C", pkg, "-o", to, ".")
	}
	cmd.Stderr = os.Stderr
	return to, cmd.Run()
}

// row is a scenario with the figures of each round.
type row struct {
	name   string
	rounds []figures
}

// figures are the figures of one round; the first one matters most.
type figures []figure

type figure struct {
	name  string
	value float64
}

func (fs figures) String() string {
	var b strings.Builder
	for i, f := range fs {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %.3g", f.name, f.value)
	}
	return b.String()
}

// table returns the median, minimum and maximum of each figure in Markdown.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| scenario | figure | median | min | max |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		for i, f := range r.rounds[0] {
			var all []float64
			for _, round := range r.rounds {
				all = append(all, round[i].value)
			}
			slices.Sort(all)
			fmt.Fprintf(&b, "| %s | %s | %.3g | %.3g | %.3g |\n", r.name, f.name, all[len(all)/2], all[0], all[len(all)-1])
		}
	}
	return b.String()
}
