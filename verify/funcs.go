package verify

import (
	"cmp"
	"slices"
	"strings"
)

// contentFunc makes a part of the signed content, for the few providers for which a
// template is not enough. A content calls it as {func.<name>}.
type contentFunc struct {
	// content appends the value of the placeholder.
	content func(in *input, cand *candidate, dst []byte) ([]byte, Reason)

	// item makes an item of the signature's list that the content depends on, for
	// signing; nil if there is none. The headers of the message are already set.
	item func(in *input) pair

	// signsURL: the content includes the URL or its path.
	signsURL bool

	// covers are the places whose values the content covers.
	covers []place

	// coversBody: the content parses and covers the whole body, which must be a form.
	coversBody bool

	// hasAltForm: the content has a second form, for candidates with altForm. The
	// provider may have signed either.
	hasAltForm bool
}

// contentFuncs are the functions that a content can call.
var contentFuncs = map[string]*contentFunc{
	"contentful_path": {content: contentfulPath, signsURL: true},
	"contentful_headers": {
		content: contentfulHeaders,
		covers:  []place{{in: "header", name: "X-Contentful-Timestamp"}},
	},
	"hook0_values": {
		content: hook0Values,
		item:    hook0Names,
		covers:  nil, // the request says which headers are signed
	},
	"hubspot_url": {content: hubspotURL, signsURL: true, hasAltForm: true},
	"mercado_pago": {
		content:    mercadoPago,
		covers:     []place{{in: "query", name: "data.id"}, {in: "header", name: "X-Request-Id"}},
		hasAltForm: true,
	},
	"plivo_v3":    {content: plivoV3, signsURL: true, coversBody: true, hasAltForm: true},
	"twilio_form": {content: twilioForm, coversBody: true},
}

// contentfulPath is the path and query, escaped once more: the query as one component,
// then the whole as a URI. What follows a second question mark isn't signed by Contentful's
// library, so that anyone could add it.
func contentfulPath(in *input, cand *candidate, dst []byte) ([]byte, Reason) {
	path, query, _ := strings.Cut(string(in.appendURI(nil)), "?")
	if strings.Contains(query, "?") {
		return dst, ReasonMalformedField
	}
	if query != "" {
		path += "?" + escapeAll(query, "-_.!~*'()")
	}
	return append(dst, escapeAll(path, ";,/?:@&=+$-_.!~*'()#")...), ""
}

// escapeAll percent-encodes everything but letters, digits and the characters in keep,
// including existing percent signs.
func escapeAll(s, keep string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if isAlphanumeric(c) || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// contentfulHeaders are the headers that the request itself lists, sorted. The list must
// have the timestamp and the list itself, or neither would be signed.
func contentfulHeaders(in *input, cand *candidate, dst []byte) ([]byte, Reason) {
	const list, timestamp = "x-contentful-signed-headers", "x-contentful-timestamp"
	text, found, reason := in.headerOnce(canonical(list))
	if reason != "" {
		return dst, reason
	}
	if !found || text == "" {
		return dst, ReasonMissingField
	}
	if len(text) > maxValue || strings.Count(text, ",") >= maxItems {
		return dst, ReasonMalformedField
	}
	names := strings.Split(strings.ToLower(text), ",")
	for i := range names {
		names[i] = trim(names[i])
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) < len(names) || !slices.Contains(names, list) || !slices.Contains(names, timestamp) {
		return dst, ReasonMalformedField
	}
	for i, name := range names {
		next := ""
		if i+1 < len(names) {
			next = ";" + names[i+1] + ":"
		}
		value, reason := listedHeader(in, name)
		if reason != "" {
			return dst, reason
		}
		if next != "" && strings.Contains(value, next) {
			return dst, ReasonMalformedField // it could be read as two headers
		}
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = append(append(append(dst, name...), ':'), value...)
	}
	return dst, ""
}

// listedHeader returns the value of a header that the request lists as signed. It must be
// there, or an attacker could remove it and the signature would still match.
func listedHeader(in *input, name string) (string, Reason) {
	if !isToken(name) {
		return "", ReasonMalformedField
	}
	value, found, reason := in.headerOnce(canonical(name))
	switch {
	case reason != "":
		return "", reason
	case !found:
		return "", ReasonMissingField
	case len(value) > maxValue:
		return "", ReasonMalformedField
	}
	return trim(value), ""
}

// hook0Names is the signature's item h, which lists the signed headers: those that Hook0
// sends with every delivery, without any whose end would not be clear. Its receivers accept
// any list.
func hook0Names(in *input) pair {
	var names []string
	for _, name := range [...]string{"content-type", "x-event-id", "x-event-type"} {
		if value, reason := listedHeader(in, name); reason == "" && hook0IsClear(name, value) {
			names = append(names, name)
		}
	}
	return pair{"h", strings.Join(names, " ")}
}

// hook0IsClear reports whether it is clear where a header's value ends, since dots separate
// it from what is signed next: it has none, except an event type, which in Hook0 is a
// service, a resource and a verb, so that it always has two.
func hook0IsClear(name, value string) bool {
	dots := 0
	if strings.EqualFold(name, "x-event-type") {
		dots = 2
	}
	return strings.Count(value, ".") == dots
}

// hook0Values are the values of the headers that the signature's item h lists, joined by
// dots.
func hook0Values(in *input, cand *candidate, dst []byte) ([]byte, Reason) {
	list, found, reason := lookup(cand.items, "h")
	if reason != "" {
		return dst, reason
	}
	if !found || list == "" {
		return dst, ReasonMissingField
	}
	if strings.Count(list, " ") >= maxItems {
		return dst, ReasonMalformedField
	}
	for i, name := range strings.Split(list, " ") {
		value, reason := listedHeader(in, name)
		if reason != "" {
			return dst, reason
		}
		if !hook0IsClear(name, value) {
			return dst, ReasonMalformedField
		}
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = append(dst, value...)
	}
	return dst, ""
}

// hubspotURL is the URL with the escapes of hubspotDecode decoded, and no others, according
// to HubSpot's documentation, or as it was sent, according to its libraries.
func hubspotURL(in *input, cand *candidate, dst []byte) ([]byte, Reason) {
	if path := in.path; strings.Contains(path, "%3F") || strings.Contains(path, "%3f") {
		return dst, ReasonMalformedField // decoded, it would start a query
	}
	url := string(in.appendURI([]byte(cand.origin)))
	if !cand.altForm {
		url = hubspotDecode.Replace(url)
	}
	return append(dst, url...), ""
}

var hubspotDecode = strings.NewReplacer(
	"%3A", ":", "%3a", ":", "%2F", "/", "%2f", "/", "%3F", "?", "%3f", "?", "%40", "@", "%21", "!", "%24", "$",
	"%27", "'", "%28", "(", "%29", ")", "%2A", "*", "%2a", "*", "%2C", ",", "%2c", ",", "%3B", ";", "%3b", ";",
)

// mercadoPago is a manifest without the parts that a request doesn't have. The id is signed
// as it was sent, according to Mercado Pago's libraries since June 2026, or in lower case,
// according to its documentation.
func mercadoPago(in *input, cand *candidate, dst []byte) ([]byte, Reason) {
	id, _, reason := in.queryOnce("data.id")
	if reason != "" {
		return dst, reason
	}
	request, _, reason := in.headerOnce("X-Request-Id")
	if reason != "" {
		return dst, reason
	}
	for _, value := range [...]string{id, request} {
		if len(value) > maxID || !isPrintable(value) || strings.Contains(value, ";") {
			return dst, ReasonMalformedField
		}
	}
	if cand.altForm {
		id = strings.ToLower(id)
	}
	if id != "" {
		dst = append(append(append(dst, "id:"...), id...), ';')
	}
	if request != "" {
		dst = append(append(append(dst, "request-id:"...), request...), ';')
	}
	return dst, ""
}

// plivoV3 is the URL with its query and the form, both sorted. The form is decoded; the query
// is decoded in Plivo's libraries for Python and Node, and as it was sent in those for Go, Java
// and PHP. The text between them depends on which of them the request has.
func plivoV3(in *input, cand *candidate, dst []byte) ([]byte, Reason) {
	query, ok := parsePairs(in.url.RawQuery)
	if !ok {
		return dst, ReasonMalformedField
	}
	form, reason := in.form()
	if reason != "" {
		return dst, reason
	}
	if cand.altForm {
		query = rawPairs(in.url.RawQuery) // the other form refuses names that only differ in their escapes
	}
	dst = append(append(dst, cand.origin...), in.path...)
	if len(query) > 0 || len(form) > 0 {
		dst = append(dst, '?')
	}
	if dst, reason = appendSorted(dst, query, "=", "&"); reason != "" {
		return dst, reason
	}
	if len(query) > 0 && len(form) > 0 {
		dst = append(dst, '.')
	}
	return appendSorted(dst, form, "", "")
}

// twilioForm are the names and values of the form's fields, sorted by name and then by
// value. A field may be repeated; one with the same value is signed only once.
func twilioForm(in *input, cand *candidate, dst []byte) ([]byte, Reason) {
	form, reason := in.form()
	if reason != "" {
		return dst, reason
	}
	sorted := slices.SortedFunc(slices.Values(form), func(a, b pair) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	for _, p := range slices.Compact(sorted) {
		dst = append(append(dst, p.name...), p.value...)
	}
	return dst, ""
}
