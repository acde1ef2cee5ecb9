// Package spooltest has what the tests of bodies share.
package spooltest

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// Bytes are n bytes that repeat at no chunk's distance.
func Bytes(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b) // it never fails
	return b
}

// TempDir makes a directory for temporary files, of which none may be left.
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
