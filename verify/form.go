package verify

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"slices"
	"strings"
)

// maxPairs limits the fields of a form and the parameters of a query.
const maxPairs = 1000

// pair is a field of a form or a parameter of a query, decoded.
type pair struct{ name, value string }

// parsePairs parses a URL-encoded string. Bad escapes and semicolons are errors.
func parsePairs(raw string) ([]pair, bool) {
	if raw == "" {
		return nil, true
	}
	if strings.Count(raw, "&") >= maxPairs {
		return nil, false
	}
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		if strings.Contains(part, ";") {
			return nil, false
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, false
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return nil, false
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, true
}

// rawPairs are the parameters of a query as they were sent, without decoding them.
func rawPairs(query string) []pair {
	var pairs []pair
	for part := range strings.SplitSeq(query, "&") {
		if part != "" {
			name, value, _ := strings.Cut(part, "=")
			pairs = append(pairs, pair{name, value})
		}
	}
	return pairs
}

// lookup returns the value of a name, which must occur only once.
func lookup(pairs []pair, name string) (value string, found bool, reason Reason) {
	for _, p := range pairs {
		if p.name != name {
			continue
		}
		if found {
			return "", false, ReasonRepeatedField
		}
		value, found = p.value, true
	}
	return value, found, ""
}

// appendSorted appends names and values, sorted by the bytes of the names, with assign
// between a name and its value and separator between pairs. A name that occurs twice is
// refused, since parsers differ on which one counts.
func appendSorted(dst []byte, pairs []pair, assign, separator string) ([]byte, Reason) {
	sorted := slices.SortedStableFunc(slices.Values(pairs), func(a, b pair) int { return strings.Compare(a.name, b.name) })
	for i, p := range sorted {
		if i > 0 && sorted[i-1].name == p.name {
			return dst, ReasonRepeatedField
		}
		if i > 0 {
			dst = append(dst, separator...)
		}
		dst = append(append(append(dst, p.name...), assign...), p.value...)
	}
	return dst, ""
}

// mediaType returns the media type of a Content-Type header, in lower case.
func mediaType(header string) string {
	t, _, _ := strings.Cut(header, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

const (
	typeForm      = "application/x-www-form-urlencoded"
	typeMultipart = "multipart/form-data"
)

// multipartField returns the value of a field of a multipart body, which must occur only
// once.
func multipartField(contentType string, body []byte, name string) ([]byte, Reason) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return nil, ReasonUnsupportedContentType
	}
	reader := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	var value []byte
	found := false
	for range maxPairs {
		part, err := reader.NextRawPart()
		if err == io.EOF { //nolint:errorlint // a wrapped io.EOF means that the body is cut off
			if !found {
				return nil, ReasonMissingField
			}
			return value, ""
		}
		if err != nil {
			return nil, ReasonMalformedBody
		}
		if !isUnambiguous(part) {
			return nil, ReasonMalformedBody
		}
		if part.FormName() != name {
			continue
		}
		if found {
			return nil, ReasonRepeatedField
		}
		found = true
		if value, err = io.ReadAll(part); err != nil {
			return nil, ReasonMalformedBody
		}
	}
	return nil, ReasonMalformedBody
}

// isUnambiguous reports whether every parser of forms finds the same name and the same
// bytes in a part.
func isUnambiguous(part *multipart.Part) bool {
	switch strings.ToLower(part.Header.Get("Content-Transfer-Encoding")) {
	case "", "7bit", "8bit", "binary":
		return part.FormName() != "" && len(part.Header["Content-Disposition"]) == 1
	}
	return false
}
