// Command build makes a Caddy with the webhooks module from this checkout. It
// reads the recipe xcaddy.json, which has the fields of xcaddy's Builder, and
// builds with the xcaddy library:
//
//	go run ./cmd/build -o caddy
//
// A plugin whose replacement is a local directory has a version in the recipe
// all the same: without one, the go command asks the network which there are.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/caddyserver/xcaddy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	flags.SetOutput(out)
	output := flags.String("o", defaultOutput(), "`file` to write Caddy to")
	recipe := flags.String("recipe", "xcaddy.json", "`file` that says what to build; local paths in it are relative to it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("reading the arguments: %q is not known: name the file to write by -o", flags.Arg(0))
	}
	if info, err := os.Stat(*output); err == nil && info.IsDir() {
		return fmt.Errorf("writing Caddy to %s: it is a directory: name a file in it, such as %s", *output, filepath.Join(*output, defaultOutput()))
	}
	builder, err := readRecipe(*recipe)
	if err != nil {
		return err
	}
	if err := builder.Build(ctx, *output); err != nil {
		return fmt.Errorf("building Caddy by %s: %w (what the go command said stands above)", *recipe, err)
	}
	fmt.Fprintln(out, "Caddy is at", *output)
	return nil
}

func defaultOutput() string {
	if runtime.GOOS == "windows" {
		return "caddy.exe"
	}
	return "caddy"
}

// readRecipe reads a Builder, and makes its local replacements absolute: the
// build happens in a temporary directory, and only xcaddy's own command does
// this.
func readRecipe(path string) (xcaddy.Builder, error) {
	var b xcaddy.Builder
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("reading the build recipe: there is no %s: run this at the top of the checkout, or name the file by -recipe", path)
	}
	if err != nil {
		return b, fmt.Errorf("reading the build recipe: %w", err)
	}
	defer file.Close()
	if b, err = parseRecipe(file); err != nil {
		return b, fmt.Errorf("reading the build recipe %s: %w", path, err)
	}
	for i, r := range b.Replacements {
		if !isLocal(r.New.String()) {
			continue
		}
		abs, err := filepath.Abs(filepath.Join(filepath.Dir(path), r.New.String()))
		if err != nil {
			return b, fmt.Errorf("reading the build recipe %s: finding the replacement %s: %w", path, r.New, err)
		}
		if _, err := os.Stat(filepath.Join(abs, "go.mod")); err != nil {
			return b, fmt.Errorf("reading the build recipe %s: the replacement %s of %s has no Go module: correct its \"new\"", path, abs, r.Old)
		}
		b.Replacements[i].New = xcaddy.ReplacementPath(abs)
	}
	return b, nil
}

// parseRecipe is strict, since a field with a slip in its name would leave
// something out of the binary without a word.
func parseRecipe(r io.Reader) (xcaddy.Builder, error) {
	var b xcaddy.Builder
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		return b, fmt.Errorf("it is not the JSON of an xcaddy Builder: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return b, errors.New("something follows after its JSON object: remove it")
	}
	if len(b.Plugins) == 0 {
		return b, errors.New("it names no plugins: it would build a plain Caddy")
	}
	return b, nil
}

// isLocal tells a directory from a module path, as go.mod does. An absolute
// path needs nothing done.
func isLocal(replacement string) bool {
	return replacement == "." || replacement == ".." || strings.HasPrefix(replacement, "./") || strings.HasPrefix(replacement, "../")
}
