package verify

// Lookup finds a scheme by its name or an alias.
func Lookup(name string) (Scheme, bool) { return Scheme{}, false }

// Schemes are all schemes, sorted by name.
func Schemes() []Scheme { return nil }
