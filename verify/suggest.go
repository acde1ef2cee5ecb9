package verify

import (
	"cmp"
	"slices"
	"strings"
)

// Suggest names the schemes that may be meant by a name that Lookup doesn't
// know, the nearest first and five at most: a letter or two are wrong, or it is
// a part of their names.
func Suggest(name string) []string {
	const shortest, most = 3, 5
	if len(name) < shortest || len(name) > maxName { // a caller of an API may send anything
		return nil
	}
	type guess struct {
		name string
		off  int
	}
	var near []guess
	for _, s := range schemes {
		g := guess{s.Name, noMatch}
		for _, known := range append([]string{s.Name}, s.Aliases...) {
			g.off = min(g.off, nameDistance(strings.ToLower(name), known))
		}
		if g.off < noMatch {
			near = append(near, g)
		}
	}
	slices.SortStableFunc(near, func(a, b guess) int { return cmp.Compare(a.off, b.off) })
	var names []string
	for _, g := range near[:min(len(near), most)] {
		names = append(names, g.name)
	}
	return names
}

// How far a name may be from one that it is taken for.
const (
	maxTypos     = 2 // letters of a long name; a short one with two wrong is another
	partialMatch = maxTypos + 1
	noMatch      = partialMatch + 1
)

// apart is how far a name is from a known one.
func nameDistance(name, known string) int {
	if wrong := distance(name, known); wrong <= min(maxTypos, len(name)/3) {
		return wrong
	}
	if strings.Contains(known, name) || len(known) > 2 && strings.HasPrefix(name, known) {
		return partialMatch
	}
	return noMatch
}

// distance is the number of letters to change, add or drop from a to b.
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
