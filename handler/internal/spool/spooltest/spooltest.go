// Package spooltest contains helpers for tests of request bodies.
package spooltest

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// Bytes returns n random bytes, always the same ones, so that no chunk repeats.
func Bytes(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b) // never fails
	return b
}

// TempDir makes a directory for temporary files. The test fails if any are left at
// its end.
func TempDir(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
			t.Errorf("temporary files are left: %v", left)
		}
	})
}
