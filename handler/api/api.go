// Package api is the HTTP API as a plain http.Handler, which can be mounted
// anywhere: paths are those that are left when the mounter has stripped its
// prefix, and answers hold no path of their own.
//
// The way of a request: its token is looked up (auth.go), its route is found
// (here), and the route's method on call answers it, in the file of its noun,
// from what the request may see of the engine (view.go).
// Every error becomes a problem document (problem.go). Bodies are read with
// one pass of a scanner (scan.go, object.go, envelope.go). openapi.json is the
// contract; a test compares it with the routes and with their answers.
package api

import (
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

// Config is what the API is made from.
type Config struct {
	Tokens []Token
	// NoAuth lets everybody in, for use behind another handler that asks who
	// they are. There are no Tokens then.
	NoAuth bool
	// Tenant tells whose request it is: what is that tenant's is all that it sees and
	// changes. An error, or "", refuses it. Nil: requests see everything.
	Tenant func(*http.Request) (string, error)
	// Engine is asked for with each request. While it returns nil, requests
	// are answered with 503.
	Engine func() *outbound.Engine
	// Ending is called when a request begins that has no end of its own, and
	// returns what tells whether the server waits for it. Nil: it never does.
	Ending func() func() bool
	Logger *slog.Logger // nil: slog.Default
}

// New makes the API. It fails where Config contradicts itself or has no way to
// tell who is allowed in.
func New(c Config) (http.Handler, error) {
	auth, err := newAuth(c.Tokens, c.NoAuth)
	if err != nil {
		return nil, err
	}
	if c.Engine == nil {
		return nil, errors.New("setting up the API: there is no engine to ask for")
	}
	a := &api{auth: auth, tenant: c.Tenant, find: c.Engine, ending: c.Ending, log: c.Logger, bodies: room.New(bodiesLimit), failures: rate.Sometimes{Interval: time.Second}}
	if a.ending == nil {
		a.ending = func() func() bool { return func() bool { return false } }
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	return a, nil
}

type api struct {
	auth     *auth
	tenant   func(*http.Request) (string, error) // nil: everybody sees everything
	find     func() *outbound.Engine
	ending   func() func() bool
	log      *slog.Logger
	failures rate.Sometimes // bounds the log: a full disk must not be filled with complaints
	bodies   *room.Room     // for all that are read and not answered
}

// call is one request on its way.
type call struct {
	*api
	w       http.ResponseWriter
	r       *http.Request
	engine  view
	granted Scope
	id      string    // from the path
	body    room.Part // of api.bodies
}

// route is a line of the API's table.
type route struct {
	method string
	path   string // {id} stands for one segment
	need   need
	serve  func(*call) error
}

// The first line is the one that is asked for most.
var routes = []route{
	{"POST", "/events", needPublish, (*call).publish},
	{"GET", "/events", needRead, (*call).listEvents},
	{"DELETE", "/events", needManage, (*call).deleteEvents},
	{"GET", "/events/{id}", needRead, (*call).showEvent},
	{"DELETE", "/events/{id}", needManage, (*call).deleteEvent},

	{"POST", "/subscriptions", needManage, (*call).createSubscription},
	{"GET", "/subscriptions", needRead, (*call).listSubscriptions},
	{"GET", "/subscriptions/{id}", needRead, (*call).showSubscription},
	{"PATCH", "/subscriptions/{id}", needManage, (*call).updateSubscription},
	{"DELETE", "/subscriptions/{id}", needManage, (*call).deleteSubscription},
	// Whoever has a signing secret can forge deliveries: that is more than
	// reading.
	{"GET", "/subscriptions/{id}/secret", needManage, (*call).showSecret},
	{"POST", "/subscriptions/{id}/rotate-secret", needManage, (*call).rotateSecret},
	{"POST", "/subscriptions/{id}/deactivate", needManage, (*call).deactivate},
	{"POST", "/subscriptions/{id}/activate", needManage, (*call).activate},
	{"POST", "/subscriptions/{id}/test", needManage, (*call).testSubscription},
	{"POST", "/subscriptions/{id}/replay", needManage, (*call).replay},

	{"GET", "/deliveries", needRead, (*call).listDeliveries},
	{"GET", "/deliveries/{id}", needRead, (*call).showDelivery},
	{"GET", "/deliveries/{id}/attempts", needRead, (*call).listAttempts},
	{"POST", "/deliveries/redeliver", needManage, (*call).redeliverDelivered},
	{"POST", "/deliveries/{id}/redeliver", needManage, (*call).redeliver},
	{"POST", "/deliveries/{id}/cancel", needManage, (*call).cancel},
	{"POST", "/attempts/{id}/redeliver", needManage, (*call).redeliverAttempt},

	{"GET", "/dead-letters", needRead, (*call).listDeadLetters},
	{"DELETE", "/dead-letters", needManage, (*call).deleteDeadLetters},
	{"POST", "/dead-letters/redeliver", needManage, (*call).redeliverDeadLetters},
	{"GET", "/dead-letters/{id}", needRead, (*call).showDeadLetter},
	{"DELETE", "/dead-letters/{id}", needManage, (*call).deleteDeadLetter},
	{"POST", "/dead-letters/{id}/redeliver", needManage, (*call).redeliverDeadLetter},

	{"GET", "/event-types", needRead, (*call).listEventTypes},
	{"GET", "/event-types/{id}", needRead, (*call).showEventType},
	{"PUT", "/event-types/{id}", needManage, (*call).putEventType},
	{"DELETE", "/event-types/{id}", needManage, (*call).deleteEventType},

	{"DELETE", "/tenants/{id}", needManage, (*call).deleteTenant},

	{"GET", "/status", needRead, (*call).showStatus},
	{"GET", "/tail", needRead, (*call).tail},
	{"GET", "/openapi.json", needAny, (*call).showOpenAPI},
}

// match tells whether the route is for the path, and what stands for its {id}.
func (t *route) match(path string) (id string, ok bool) {
	head, tail, has := strings.Cut(t.path, "{id}")
	if !has {
		return "", path == t.path
	}
	rest, ok := strings.CutPrefix(path, head)
	if !ok {
		return "", false
	}
	id, ok = strings.CutSuffix(rest, tail)
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
		switch {
		case !ok:
		case t.method == method:
			return t, id, nil
		default:
			allowed = append(allowed, t.method)
		}
	}
	if len(allowed) == 0 {
		return nil, "", noRoute(path)
	}
	slices.Sort(allowed)
	list := strings.Join(slices.Compact(allowed), ", ")
	return nil, "", refuse(codeMethod, "%s takes %s only: GET /openapi.json says what each of them does", path, list).with("Allow", list)
}

// noRoute tells a path that nobody has from one with a prefix that was to be
// taken off.
func noRoute(path string) error {
	const most = 8 // parts of a prefix that are looked at
	rest := strings.TrimPrefix(path, "/")
	for range most {
		var more bool
		if _, rest, more = strings.Cut(rest, "/"); !more {
			break
		}
		if isRoute := func(t route) bool { _, ok := t.match("/" + rest); return ok }; slices.ContainsFunc(routes, isRoute) {
			return refuse(codeNoRoute, "there is no path %s here, but there is /%s: mount the API with handle_path (or uri strip_prefix), which takes the prefix off", quote(path), rest)
		}
	}
	return refuse(codeNoRoute, "there is no path %s here: GET /openapi.json lists all of them", quote(path))
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

// report logs the cause of a problem that isn't the caller's.
func (a *api) report(r *http.Request, p *problem) {
	if p.cause == nil {
		return
	}
	a.failures.Do(func() {
		a.log.Error("answering a request to the API", "method", r.Method, "path", r.URL.Path, "status", p.Status, "error", p.cause)
	})
}

// restarting is how long a new configuration takes to bring its engine up.
const restarting = 2 * time.Second

func (a *api) serve(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		showDashboard(w)
		return nil
	}
	granted, err := a.auth.check(r)
	if err != nil {
		return err
	}
	tenant, err := a.tenantOf(r)
	if err != nil {
		return err
	}
	t, id, err := lookUp(r.Method, r.URL.Path)
	if err != nil {
		return err
	}
	if err := t.need.allow(granted, r); err != nil {
		return err
	}
	e := a.find()
	if e == nil {
		return refuse(codeUnavailable, "the delivery engine is not running (yet): try again in %v", restarting).retryAfter(restarting)
	}
	c := &call{api: a, w: w, r: r, engine: view{e, tenant}, granted: granted, id: id}
	defer c.body.Release()
	return t.serve(c)
}
