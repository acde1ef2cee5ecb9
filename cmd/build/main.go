// Command build builds Caddy with the webhooks module from this checkout, using the
// xcaddy library. What to build is in xcaddy.json, the JSON of an xcaddy.Builder:
//
//	go run ./cmd/build -o caddy
//
// In the recipe, even a plugin that is replaced by a local directory needs a
// version: without one, the go command would look its versions up on the network.
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
	recipe := flags.String("recipe", "xcaddy.json", "`file` that describes what to build; local paths in it are relative to its directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("reading the arguments: unexpected argument %q: to name the output file, use -o", flags.Arg(0))
	}
	if info, err := os.Stat(*output); err == nil && info.IsDir() {
		return fmt.Errorf("writing Caddy to %s: that is a directory: name a file in it, such as %s", *output, filepath.Join(*output, defaultOutput()))
	}
	builder, err := readRecipe(*recipe)
	if err != nil {
		return err
	}
	if err := builder.Build(ctx, *output); err != nil {
		return fmt.Errorf("building Caddy from %s: %w (see the output of the go command above)", *recipe, err)
	}
	fmt.Fprintln(out, "Built Caddy at", *output)
	return nil
}

// defaultOutput returns the name of the binary.
func defaultOutput() string {
	if runtime.GOOS == "windows" {
		return "caddy.exe"
	}
	return "caddy"
}

// readRecipe reads a Builder from a file. It makes local replacements absolute,
// since xcaddy builds in a temporary directory; xcaddy's own command does the same,
// but not its library.
func readRecipe(path string) (xcaddy.Builder, error) {
	var b xcaddy.Builder
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("reading the build recipe: there is no %s: run this at the top of the checkout, or name the file with -recipe", path)
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

// parseRecipe decodes a Builder. Unknown fields are errors, since a misspelled one
// would otherwise silently leave something out of the binary.
func parseRecipe(r io.Reader) (xcaddy.Builder, error) {
	var b xcaddy.Builder
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		return b, fmt.Errorf("it is not a valid xcaddy Builder in JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return b, errors.New("there is more after the JSON object: remove it")
	}
	if len(b.Plugins) == 0 {
		return b, errors.New("it has no plugins, so the result would be plain Caddy")
	}
	return b, nil
}

// isLocal reports whether a replacement is a relative path of a directory and not a
// module path, by the same rule as go.mod. Absolute paths can stay as they are.
func isLocal(replacement string) bool {
	return replacement == "." || replacement == ".." || strings.HasPrefix(replacement, "./") || strings.HasPrefix(replacement, "../")
}
