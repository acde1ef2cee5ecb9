// Package api is the HTTP API as a plain http.Handler. It can be mounted
// anywhere: it expects request paths without the mount's prefix, and its answers
// contain no absolute paths.
//
// What a request may do is decided (auth.go), its route is looked up (here), its query
// is read (query.go), and the route's method on call answers it. These methods are in
// files named after their nouns, and use the engine through a view (view.go), which
// confines a request to one tenant. Every error becomes a problem document
// (problem.go). Bodies are read in one pass of a scanner (scan.go, object.go,
// envelope.go).
// openapi.json is the contract: tests compare it with the routes and with their
// answers.
package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// Config configures the API.
type Config struct {
	Tokens []Token
	// NoAuth lets every request in, for an API behind another handler that
	// authenticates. Tokens must be empty then.
	NoAuth bool
	// Tenant returns the tenant that a request is confined to: it sees and
	// changes only what is that tenant's. An error, or "", refuses the request.
	// Nil: requests see everything.
	Tenant func(*http.Request) (string, error)
	// Engine is called for each request. While it returns nil, requests are
	// answered with 503.
	Engine func() *outbound.Engine
	// Context returns the context of the Caddy config that is in effect. A request
	// that doesn't end by itself ends when the config under which it began is replaced,
	// or when Caddy exits.
	Context func() context.Context
	Logger  *slog.Logger // nil: slog.Default
}

// New returns the API's handler. It returns an error if Config contradicts
// itself or doesn't say who is allowed in.
func New(c Config) (http.Handler, error) {
	auth, err := newAuth(c)
	if err != nil {
		return nil, err
	}
	if c.Engine == nil || c.Context == nil {
		return nil, errors.New("setting up the API: there is no engine, or no context")
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return &api{config: c, auth: auth, logLimit: rate.Sometimes{Interval: time.Second}, bodies: room.New(bodiesLimit), answers: room.New(answersLimit), turns: make(chan struct{}, maxTurns), searches: make(chan struct{}, maxTurns)}, nil
}

type api struct {
	config   Config
	auth     *auth
	logLimit rate.Sometimes // so that a full disk is not filled with errors about it
	bodies   *room.Room     // for the bodies of all requests until they are answered
	answers  *room.Room     // for large answers while they are written
	turns    chan struct{}  // has an element for each large answer that is being made
	searches chan struct{}  // the same for those made while the store is searched
}

// call is one request being answered.
type call struct {
	*api
	w       http.ResponseWriter
	r       *http.Request
	engine  view
	granted Scope
	id      string    // from the path
	sent    query     // the query parameters
	body    room.Part // of api.bodies
	held    room.Part // of api.answers, for the answer
}

// route is one method of a path.
type route struct {
	method string
	path   string // {id} stands for one segment
	need   need
	query  []string // its query parameters; others are refused, since one that is ignored, such as tenant, would do harm
	serve  func(*call) error
}

// Routes are tried in this order, so the most frequent one comes first.
var routes = []route{
	{"POST", "/events", needPublish, nil, (*call).publish},
	{"GET", "/events", needRead, eventParameters, (*call).listEvents},
	{"DELETE", "/events", needManage, withAll(eventFilters), (*call).deleteEvents},
	{"GET", "/events/{id}", needRead, []string{"limit", "cursor", "tenant"}, (*call).showEvent},
	{"DELETE", "/events/{id}", needManage, []string{"tenant"}, (*call).deleteEvent},

	{"POST", "/subscriptions", needManage, nil, (*call).createSubscription},
	{"GET", "/subscriptions", needRead, []string{"tenant", "limit", "cursor"}, (*call).listSubscriptions},
	{"GET", "/subscriptions/{id}", needRead, nil, (*call).showSubscription},
	{"PATCH", "/subscriptions/{id}", needManage, nil, (*call).updateSubscription},
	{"DELETE", "/subscriptions/{id}", needManage, nil, (*call).deleteSubscription},
	// Whoever knows a signing secret can forge deliveries, so the scope read is
	// not enough.
	{"GET", "/subscriptions/{id}/secret", needManage, nil, (*call).showSecret},
	{"POST", "/subscriptions/{id}/rotate-secret", needManage, nil, (*call).rotateSecret},
	{"POST", "/subscriptions/{id}/deactivate", needManage, nil, (*call).deactivate},
	{"POST", "/subscriptions/{id}/activate", needManage, nil, (*call).activate},
	{"POST", "/subscriptions/{id}/test", needManage, nil, (*call).testSubscription},
	{"POST", "/subscriptions/{id}/preview", needManage, nil, (*call).previewEvent},
	{"POST", "/subscriptions/{id}/replay", needManage, nil, (*call).replay},

	{"GET", "/deliveries", needRead, listParameters, (*call).listDeliveries},
	{"GET", "/deliveries/{id}", needRead, nil, (*call).showDelivery},
	{"GET", "/deliveries/{id}/attempts", needRead, pageParameters, (*call).listAttempts},
	{"POST", "/deliveries/redeliver", needManage, nil, (*call).redeliverDelivered},
	{"POST", "/deliveries/{id}/redeliver", needManage, nil, (*call).redeliver},
	{"POST", "/deliveries/{id}/cancel", needManage, nil, (*call).cancel},
	{"POST", "/attempts/{id}/redeliver", needManage, nil, (*call).redeliverAttempt},

	{"GET", "/dead-letters", needRead, deadLetterParameters, (*call).listDeadLetters},
	{"DELETE", "/dead-letters", needManage, withAll(deadLetterFilters), (*call).deleteDeadLetters},
	{"POST", "/dead-letters/redeliver", needManage, withAll(deadLetterFilters), (*call).redeliverDeadLetters},
	{"GET", "/dead-letters/{id}", needRead, nil, (*call).showDeadLetter},
	{"DELETE", "/dead-letters/{id}", needManage, nil, (*call).deleteDeadLetter},
	{"POST", "/dead-letters/{id}/redeliver", needManage, nil, (*call).redeliverDeadLetter},

	{"GET", "/event-types", needRead, pageParameters, (*call).listEventTypes},
	{"GET", "/event-types/{id}", needRead, nil, (*call).showEventType},
	{"PUT", "/event-types/{id}", needManage, nil, (*call).putEventType},
	{"DELETE", "/event-types/{id}", needManage, nil, (*call).deleteEventType},

	{"DELETE", "/tenants/{id}", needManage, nil, (*call).deleteTenant},
	{"POST", "/tenants/{id}/tokens", needManage, nil, (*call).issueToken},

	{"GET", "/status", needRead, nil, (*call).showStatus},
	{"GET", "/tail", needRead, tailParameters, (*call).tail},
	{"GET", "/openapi.json", needAny, nil, (*call).showOpenAPI},
}

// match reports whether the route is for the path, and returns the path's
// segment for {id}.
func (t *route) match(path string) (id string, ok bool) {
	prefix, suffix, hasID := strings.Cut(t.path, "{id}")
	if !hasID {
		return "", path == t.path
	}
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return "", false
	}
	id, ok = strings.CutSuffix(rest, suffix)
	return id, ok && id != "" && !strings.Contains(id, "/")
}

// lookUp returns the route of a request and the id in its path.
func lookUp(method, path string) (*route, string, error) {
	if method == http.MethodHead {
		method = http.MethodGet // the server leaves the body out
	}
	var allowed []string
	for i := range routes {
		t := &routes[i]
		id, ok := t.match(path)
		if !ok {
			continue
		}
		if t.method == method {
			return t, id, nil
		}
		allowed = append(allowed, t.method)
	}
	if len(allowed) == 0 {
		return nil, "", noRoute(path)
	}
	slices.Sort(allowed)
	list := strings.Join(slices.Compact(allowed), ", ")
	return nil, "", refuse(codeMethod, "%s allows only %s: GET /openapi.json says what each of them does", path, list).with("Allow", list)
}

// noRoute refuses a path that no route has. If it ends in one that a route has,
// the mount's prefix was not stripped, and the error says how to.
func noRoute(path string) error {
	const maxPrefix = 8 // segments
	rest := strings.TrimPrefix(path, "/")
	for range maxPrefix {
		var more bool
		if _, rest, more = strings.Cut(rest, "/"); !more {
			break
		}
		isRoute := func(t route) bool { _, ok := t.match("/" + rest); return ok }
		if slices.ContainsFunc(routes, isRoute) {
			return refuse(codeNoRoute, "there is no path %s here, but there is /%s: mount the API with handle_path (or uri strip_prefix), which strips the prefix", quote(path), rest)
		}
	}
	return refuse(codeNoRoute, "there is no path %s here: GET /openapi.json lists all paths", quote(path))
}

// ServeHTTP answers a request.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a.serve(w, r); err != nil {
		p := problemOf(err)
		a.report(r, p)
		if p.Code == codeTooSlow {
			room.EndConnection(w, r)
		}
		p.write(w)
	}
}

// report logs the cause of a problem that isn't the caller's fault.
func (a *api) report(r *http.Request, p *problem) {
	if p.cause == nil {
		return
	}
	a.logLimit.Do(func() {
		a.config.Logger.Error("answering a request to the API", "method", r.Method, "path", r.URL.Path, "status", p.Status, "error", p.cause)
	})
}

// startupTime is how long a new configuration takes to start its engine.
const startupTime = 2 * time.Second

func (a *api) serve(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		showDashboard(w)
		return nil
	}
	granted, err := a.auth.check(r)
	if err != nil {
		return err
	}
	t, id, err := lookUp(r.Method, r.URL.Path)
	if err != nil {
		return err
	}
	if err := t.need.allow(granted.scope, r); err != nil {
		return err
	}
	e := a.config.Engine()
	if e == nil {
		return refuse(codeUnavailable, "the delivery engine is not running (yet): try again in %v", startupTime).retryAfter(startupTime)
	}
	r, end := granted.bound(r)
	defer end()
	sent, err := readQuery(r, t.query)
	if err != nil {
		return err
	}
	c := &call{api: a, w: w, r: r, engine: view{e, granted.tenant}, granted: granted.scope, id: id, sent: sent, held: a.answers.PartOf(granted.tenant)}
	defer c.body.Release()
	defer c.held.Release()
	return t.serve(c)
}
