// Package must ends a test at a step that has failed, if the rest of the test makes no
// sense without it. It also waits for what must happen.
package must

// T is a testing.TB, or what stands in for one.
type T interface {
	Helper()
	Fatal(args ...any)
}

// Do fails the test if there is an error.
func Do(t T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Get returns a function that returns v, or fails the test if there is an error. It is
// called as in Get(f())(t), since Go passes two results on only if they are all there
// is.
func Get[V any](v V, err error) func(T) V {
	return func(t T) V {
		t.Helper()
		Do(t, err)
		return v
	}
}
