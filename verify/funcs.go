package verify

// contentFunc is code that a content names as {func.<name>}, for the few
// providers whose signed content is more than a template.
type contentFunc struct {
	// content appends what the word stands for.
	content func(in *input, l *lane, dst []byte) ([]byte, Reason)

	// body says that the content covers the whole body.
	body bool
}

// contentFuncs are the functions that contents name.
var contentFuncs = map[string]*contentFunc{}
