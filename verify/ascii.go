package verify

import "strings"

// isMadeOf reports whether a text is not empty and has only letters, digits and these
// marks.
func isMadeOf(s, marks string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte(marks, s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// isPrintable reports whether a text is ASCII without control characters.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isAlphanumeric(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || isDigit(b)
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }
