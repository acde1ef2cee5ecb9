package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
)

// These tests use the product like its users: they start this command with Caddyfiles, and
// call it over real sockets. They have their own implementation of signatures.

// binary is the Caddy that the tests run: a link to this test's own program, which is the
// command if asCaddy is set. Building the command as well would take as long again.
var binary string

// asCaddy is the environment variable that makes a process Caddy instead of the tests.
const asCaddy = "WEBHOOKS_TEST_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		main()
		return
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "caddy-webhooks-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "caddy")
	if err := os.Symlink(self, binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// underRace reports whether the tests run with the race detector. So does the Caddy that
// they start.
func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
