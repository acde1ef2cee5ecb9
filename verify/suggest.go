package verify

import (
	"cmp"
	"slices"
	"strings"
)

// Suggest returns the names of built-in schemes that are similar to a name that Lookup
// doesn't know: one or two letters are wrong, or it is a part of their name. There are
// at most five, the most similar first.
func Suggest(name string) []string { return Table(nil).Suggest(name) }

// Suggest is like the function, and suggests custom schemes too. Their names are the
// operator's: don't show them to tenants.
func (t Table) Suggest(name string) []string {
	const shortest, most = 3, 5
	if len(name) < shortest || len(name) > maxName { // the name may be from an API request
		return nil
	}
	type guess struct {
		name     string
		distance int
	}
	var near []guess
	for _, s := range t.Schemes() {
		g := guess{s.Name, noMatch}
		for _, known := range append([]string{s.Name}, s.Aliases...) {
			g.distance = min(g.distance, nameDistance(strings.ToLower(name), known))
		}
		if g.distance < noMatch {
			near = append(near, g)
		}
	}
	slices.SortStableFunc(near, func(a, b guess) int { return cmp.Compare(a.distance, b.distance) })
	var names []string
	for _, g := range near[:min(len(near), most)] {
		names = append(names, g.name)
	}
	return names
}

// The distances of names, in wrong letters up to maxTypos.
const (
	maxTypos     = 2 // fewer for short names, which two wrong letters make another name
	partialMatch = maxTypos + 1
	noMatch      = partialMatch + 1
)

// nameDistance returns how far a name is from a known one.
func nameDistance(name, known string) int {
	if wrong := distance(name, known); wrong <= min(maxTypos, len(name)/3) {
		return wrong
	}
	if strings.Contains(known, name) || len(known) > 2 && strings.HasPrefix(name, known) {
		return partialMatch
	}
	return noMatch
}

// distance returns the number of letters to change, add or remove to get from a to b
// (the Levenshtein distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
