package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// query has the parameters of a request, or the filters of a body, by name.
type query map[string]string

// readQuery reads the query parameters, of which only the known ones are allowed,
// each once.
func readQuery(r *http.Request, known []string) (query, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	sent, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(codeInvalidParameter, "the query can't be read: escape %% as %%25, and separate parameters by &")
	}
	q := query{}
	for name, values := range sent {
		if !slices.Contains(known, name) {
			return nil, unknownParameter(name, known)
		}
		if len(values) > 1 {
			return nil, refuse(codeInvalidParameter, "%s is given twice: keep one", name).at(name)
		}
		q[name] = values[0]
	}
	return q, nil
}

func unknownParameter(name string, known []string) error {
	switch {
	case slices.Contains(failureFilters, name):
		return refuse(codeInvalidParameter, "%s is only for dead letters: remove it, or ask /dead-letters", name).at(name)
	case len(known) == 0:
		return refuse(codeInvalidParameter, "there is no parameter %s here: remove it", quote(name)).at(name)
	}
	return refuse(codeInvalidParameter, "there is no parameter %s here: use %s", quote(name), strings.Join(known, ", ")).at(name)
}

// flag reads a parameter that is true or false, or left out, which is false.
func (q query) flag(name string) (bool, error) {
	switch q[name] {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, refuse(codeInvalidParameter, "%s must be true or false", name).at(name)
}
