package verify

import (
	"slices"
	"strings"
)

// schemes has the rows of all tables, sorted by name. byName has their indexes, by
// name and by alias.
var (
	schemes = sortSchemes(rowsBody, rowsTime, rowsStandard, rowsURL, rowsInBody, rowsToken, rowsKeyPair, rowsCustom)
	byName  = indexSchemes(schemes)
)

func sortSchemes(tables ...[]Scheme) []Scheme {
	return slices.SortedFunc(slices.Values(slices.Concat(tables...)), func(a, b Scheme) int { return strings.Compare(a.Name, b.Name) })
}

func indexSchemes(list []Scheme) map[string]int {
	index := make(map[string]int)
	for i, s := range list {
		for _, name := range append([]string{s.Name}, s.Aliases...) {
			if _, ok := index[name]; ok {
				panic("verify: two schemes are called " + name)
			}
			index[name] = i
		}
	}
	return index
}

// Lookup returns the built-in scheme with this name or alias. Treat its lists as
// read-only.
func Lookup(name string) (Scheme, bool) {
	i, ok := byName[name]
	if !ok {
		return Scheme{}, false
	}
	return schemes[i], true
}

// Schemes returns all built-in schemes, sorted by name. Treat their lists as
// read-only.
func Schemes() []Scheme { return slices.Clone(schemes) }
