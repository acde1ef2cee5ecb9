package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// document is the part of openapi.json that this file reads.
type document struct {
	Paths map[string]map[string]struct {
		ID         string `json:"operationId"`
		Scope      string `json:"x-scope"`
		Parameters []struct {
			Name string `json:"name"`
			In   string `json:"in"`
			Ref  string `json:"$ref"`
		} `json:"parameters"`
	} `json:"paths"`
	Components struct {
		Parameters map[string]struct {
			Name string `json:"name"`
		} `json:"parameters"`
		Schemas map[string]struct {
			Properties map[string]struct {
				Enum []any `json:"enum"`
			} `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

func readDocument(t *testing.T) (d document) {
	t.Helper()
	must.Do(t, json.Unmarshal(openAPI, &d))
	return d
}

func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	parameter := regexp.MustCompile(`\{[a-z]+\}`)
	scopes := map[need]string{needPublish: "publish", needRead: "read", needManage: "manage", needAny: "any"}
	var have, documented []string
	for _, r := range routes {
		have = append(have, fmt.Sprint(r.method, " ", r.path, " for ", scopes[r.need], " with ", slices.Sorted(slices.Values(r.query))))
	}
	ids := map[string]bool{}
	d := readDocument(t)
	for path, operations := range d.Paths {
		for method, op := range operations {
			var query []string
			for _, p := range op.Parameters {
				if name, shared := strings.CutPrefix(p.Ref, "#/components/parameters/"); shared {
					query = append(query, d.Components.Parameters[name].Name)
				} else if p.In == "query" {
					query = append(query, p.Name)
				}
			}
			slices.Sort(query)
			documented = append(documented, fmt.Sprint(strings.ToUpper(method), " ", parameter.ReplaceAllString(path, "{id}"), " for ", op.Scope, " with ", query))
			if ids[op.ID] {
				t.Errorf("there are two operations with operationId %s", op.ID)
			}
			ids[op.ID] = true
		}
	}
	slices.Sort(have)
	slices.Sort(documented)
	if !slices.Equal(have, documented) {
		t.Errorf("got routes:\n%s\ndocumented:\n%s", strings.Join(have, "\n"), strings.Join(documented, "\n"))
	}
}

func TestCodesAreThoseOfTheDocument(t *testing.T) {
	var documented []string
	for _, code := range readDocument(t).Components.Schemas["Problem"].Properties["code"].Enum {
		documented = append(documented, code.(string))
	}
	if have := slices.Sorted(maps.Keys(kinds)); !slices.Equal(have, documented) {
		t.Errorf("got codes %v, documented %v", have, documented)
	}
}

func TestFieldsAreThoseOfTheDocument(t *testing.T) {
	for name, known := range map[string][]string{
		"NewEvent": eventFields, "NewSubscription": creatable, "SubscriptionChange": changeable, "EventFilter": withAll(eventFilters), "DeadLetterFilter": withAll(deadLetterFilters), "Replay": replayFields, "DeliveredFilter": filters, "NewTenantToken": tenantTokenFields,
	} {
		documented := slices.Sorted(maps.Keys(readDocument(t).Components.Schemas[name].Properties))
		if have := slices.Sorted(slices.Values(known)); !slices.Equal(have, documented) {
			t.Errorf("%s: got fields %v, documented %v", name, have, documented)
		}
	}
}

// A path with a prefix that should have been stripped has another error than an unknown
// path.
func TestLookUpBehindAPrefix(t *testing.T) {
	for path, mounted := range map[string]bool{
		"/webhooks/events": true, "/a/b/c/deliveries/dlv_1/attempts": true, "/webhooks/dead-letters/redeliver": true,
		"/event": false, "/events/": false, "/webhooks/event": false, "/": false, "": false,
		"/1/2/3/4/5/6/7/8/events": true, "/1/2/3/4/5/6/7/8/9/events": false,
	} {
		_, _, err := lookUp("GET", path)
		p := problemOf(err)
		if p.Code != codeNoRoute || strings.Contains(p.Detail, "handle_path") != mounted {
			t.Errorf("%q: %s, %s", path, p.Code, p.Detail)
		}
	}
}

func TestLookUp(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         string // the route's path, or the problem's code
		id, allow    string
	}{
		{"POST", "/events", "/events", "", ""},
		{"HEAD", "/events/evt_1", "/events/{id}", "evt_1", ""},
		{"POST", "/dead-letters/redeliver", "/dead-letters/redeliver", "", ""},
		{"POST", "/deliveries/redeliver", "/deliveries/redeliver", "", ""},
		{"POST", "/dead-letters/dlv_1/redeliver", "/dead-letters/{id}/redeliver", "dlv_1", ""},
		{"GET", "/dead-letters/redeliver", "/dead-letters/{id}", "redeliver", ""},
		{"PUT", "/dead-letters/redeliver", codeMethod, "", "DELETE, GET, POST"},
		{"PUT", "/subscriptions/sub_1", codeMethod, "", "DELETE, GET, PATCH"},
		{"OPTIONS", "/events", codeMethod, "", "DELETE, GET, POST"},
		{"GET", "/subscriptions/sub_1/rotate-secret", codeMethod, "", "POST"},
		{"GET", "/event-types/order.created", "/event-types/{id}", "order.created", ""},
		{"GET", "", codeNoRoute, "", ""},
		{"GET", "/", codeNoRoute, "", ""},
		{"GET", "/events/", codeNoRoute, "", ""},
		{"GET", "/events//", codeNoRoute, "", ""},
		{"GET", "/Events", codeNoRoute, "", ""},
		{"GET", "/events/a/b", codeNoRoute, "", ""},
		{"GET", "/deliveries//attempts", codeNoRoute, "", ""},
		{"GET", "/deliveries/a/b/attempts", codeNoRoute, "", ""},
		{"GET", "/deliveries/attempts/../x", codeNoRoute, "", ""},
	} {
		r, id, err := lookUp(c.method, c.path)
		if err != nil {
			p := problemOf(err)
			if p.Code != c.want || p.header.Get("Allow") != c.allow {
				t.Errorf("%s %s: %s, Allow %q", c.method, c.path, p.Code, p.header.Get("Allow"))
			}
		} else if r.path != c.want || id != c.id {
			t.Errorf("%s %s: %s with %q", c.method, c.path, r.path, id)
		}
	}
}
