package handler

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// The words of the replay option.
const (
	replayOff    = "off"
	replayReject = "reject"
	replayAck    = "ack"
)

// minReplayFor is the least that a message is remembered: less is a slip.
const minReplayFor = caddy.Duration(time.Second)

// replayCapacity bounds the replay memory: some 30 MB when it is full.
const replayCapacity = 1 << 17

// replayPool holds the one replay memory of the process, so that it outlives a
// config reload.
var replayPool = caddy.NewUsagePool()

const replayPoolKey = "replays"

// replayMemory is the replay memory as the pool wants it.
type replayMemory struct{ *verify.Replays }

// Destruct implements caddy.Destructor.
func (replayMemory) Destruct() error { return nil }

// acquireReplays gives the replay memory of the process. Each call needs one of
// releaseReplays.
func acquireReplays() (*verify.Replays, error) {
	memory, _, err := replayPool.LoadOrNew(replayPoolKey, func() (caddy.Destructor, error) {
		return replayMemory{verify.NewReplays(replayCapacity, verifyMetrics.evictions.Inc, time.Now)}, nil
	})
	if err != nil {
		return nil, err
	}
	return memory.(replayMemory).Replays, nil
}

func releaseReplays() error {
	_, err := replayPool.Delete(replayPoolKey)
	return err
}

// provisionReplay decides which messages are remembered, and for how long.
func (h *Verify) provisionReplay(ctx caddy.Context, scheme verify.Scheme) error {
	bounds := h.verifier.Bounds()
	life, bounded := replayLife(scheme.Timestamp, bounds)
	mode := h.Replay
	if mode == "" && (bounded || h.ReplayFor > 0) {
		mode = replayAck
	}
	switch {
	case mode == "", mode == replayOff:
		return nil
	case !bounds.Message:
		return fmt.Errorf("replay %s: the signature covers neither the body nor an id, so that two messages could pass for one: write replay off", mode)
	}
	h.life = time.Duration(h.ReplayFor)
	if h.life == 0 {
		if !bounded {
			return fmt.Errorf("replay %s: no signed time bounds how long a message could be sent again: say how long it is remembered, such as: replay %[1]s 24h", mode)
		}
		h.life = life
	}
	if h.life < life {
		return fmt.Errorf("replay %s %v: a message passes for fresh for %v, and would be forgotten before: leave the time out", mode, h.life, life)
	}
	h.route = h.replayRoute()
	// asked when all handlers are there: one may bring the app with it
	h.app = sync.OnceValue(func() *App {
		app, _ := ctx.AppIfConfigured("webhooks")
		a, _ := app.(*App)
		return a
	})
	var err error
	h.replays, err = acquireReplays()
	return err
}

// replayLife is how long a message of a scheme can pass for fresh, where its
// signed time bounds that.
func replayLife(t verify.Timestamp, bounds verify.Bounds) (time.Duration, bool) {
	past, future := t.Tolerance()
	if !bounds.Replay() || past < 0 || future < 0 {
		return 0, false
	}
	return past + future, true
}

// replayRoute tells this handler from others for the same provider, whatever else
// is changed in the config: by its number and the placeholder of the secret that
// makes the MACs by which messages are known.
func (h *Verify) replayRoute() string {
	route := h.Provider + " " + h.Route
	if len(h.Secrets) > 0 {
		route += " " + h.Secrets[0]
	}
	return route
}

// reserve looks a verified message up in the replay memory, and holds its place
// while the app works on it. Messages that nothing tells apart are no replays, nor
// are those without a time where that is what bounds how long they are remembered.
func (h *Verify) reserve(v *verdict) {
	bounded := h.ReplayFor > 0 || !v.message.Timestamp.IsZero()
	if h.replays == nil || v.message.MAC == nil || !bounded {
		return
	}
	if h.starting() {
		v.because(reasonBusy)
		return
	}
	v.key = verify.ReplayKey(h.route, v.message)
	switch h.replays.Begin(v.key, h.life) {
	case verify.Fresh:
		v.reserved = true
	case verify.Seen:
		v.because(verify.ReasonReplayed)
	case verify.InFlight:
		v.because(verify.ReasonInFlight)
	default:
		v.because(reasonBusy)
	}
}

// starting tells whether the store that has the messages of the time before is
// still being opened.
func (h *Verify) starting() bool {
	app := h.app()
	return app != nil && app.current() == nil
}

// settle keeps the message in the replay memory if the app has answered 2xx,
// and forgets it otherwise, so that the provider's retry passes.
func (h *Verify) settle(v *verdict, answered bool) {
	if answered {
		h.replays.Commit(v.key)
		h.app().keeper().keep(v.key, time.Now().Add(h.life))
	} else {
		h.replays.Abort(v.key)
	}
}

// statusRecorder remembers the status of the app's answer.
type statusRecorder struct {
	*caddyhttp.ResponseWriterWrapper
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	if w.status < 200 {
		w.status = status
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

func (w *statusRecorder) Write(p []byte) (int, error) {
	if w.status < 200 {
		w.status = http.StatusOK
	}
	return w.ResponseWriterWrapper.Write(p)
}

// succeeded says whether the answer was 2xx; returned, whether the app's
// handler came back without an error, in which case no status means 200.
func (w *statusRecorder) succeeded(returned bool) bool {
	if w.status < 200 {
		return returned
	}
	return w.status < 300
}
