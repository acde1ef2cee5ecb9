package handler

import (
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// The words of the replay option.
const (
	replayOff    = "off"
	replayReject = "reject"
	replayAck    = "ack"
)

// minReplayFor is the shortest time for which messages can be remembered.
// Anything shorter is taken for a mistake, such as a number without a unit.
const minReplayFor = caddy.Duration(time.Second)

// replayCapacity is how many messages the replay memory holds. It then takes
// some 30 MB.
const replayCapacity = 1 << 17

// replayPool holds the replay memory, of which the process has one, so that it
// survives config reloads.
var replayPool = caddy.NewUsagePool()

const replayPoolKey = "replays"

// replayMemory makes the replay memory a caddy.Destructor, as the pool requires.
type replayMemory struct{ *verify.Replays }

// Destruct implements caddy.Destructor.
func (replayMemory) Destruct() error { return nil }

// acquireReplays returns the replay memory. Each successful call must be matched
// by one of releaseReplays.
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

// provisionReplay sets up the replay memory, unless it is off: by default it is
// on if the signed timestamp or replay_for limits how long to remember a message.
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
		return fmt.Errorf("replay %s: the signature covers neither the body nor an id, so two messages can't be told apart: write replay off", mode)
	}
	h.life = time.Duration(h.ReplayFor)
	if h.life == 0 {
		if !bounded {
			return fmt.Errorf("replay %s: no signed timestamp limits how long a message can be replayed: add how long to remember it, as in: replay %[1]s 24h", mode)
		}
		h.life = life
	}
	if h.life < life {
		return fmt.Errorf("replay %s %s: a message's timestamp is valid for %s, so it must be remembered for at least that long: leave the duration out", mode, outbound.FormatDuration(h.life), outbound.FormatDuration(life))
	}
	h.route = h.replayRoute()
	// Not until the first request: a handler that is provisioned later may load
	// the app.
	h.app = sync.OnceValue(func() *App {
		app, _ := ctx.AppIfConfigured("webhooks")
		a, _ := app.(*App)
		return a
	})
	var err error
	h.replays, err = acquireReplays()
	return err
}

// replayLife returns how long a message's timestamp is valid, which is how long a
// replay would be accepted; false if no signed timestamp limits that.
func replayLife(t verify.Timestamp, bounds verify.Bounds) (time.Duration, bool) {
	past, future := t.Tolerance()
	if !bounds.Replay() || past < 0 || future < 0 {
		return 0, false
	}
	return past + future, true
}

// replayRoute identifies this handler among others for the same provider, and
// stays the same when the rest of the config changes. It consists of the
// handler's number and its first secret as written, usually a placeholder, since
// that secret makes the MACs by which messages are recognized.
func (h *Verify) replayRoute() string {
	route := h.Provider + " " + h.Route
	if len(h.Secrets) > 0 {
		route += " " + h.Secrets[0]
	}
	return route
}

// reserve looks a verified message up in the replay memory and, if it is new,
// reserves its key until settle is called. Messages that can't be told apart are
// never replays, nor are messages without a timestamp if that is what limits how
// long they are remembered.
func (h *Verify) reserve(v *verdict) {
	bounded := h.ReplayFor > 0 || !v.message.Timestamp.IsZero()
	if h.replays == nil || v.message.MAC == nil || !bounded {
		return
	}
	if h.starting() {
		v.setReason(reasonBusy)
		return
	}
	v.key = verify.ReplayKey(h.route, v.message)
	switch h.replays.Begin(v.key, h.life) {
	case verify.Fresh:
		v.reserved = true
	case verify.Seen:
		v.setReason(verify.ReasonReplayed)
	case verify.InFlight:
		v.setReason(verify.ReasonInFlight)
	default:
		v.setReason(reasonBusy)
	}
}

// starting reports whether the store with the messages seen before a restart has
// not been opened yet.
func (h *Verify) starting() bool {
	app := h.app()
	return app != nil && app.current() == nil
}

// settle remembers the message if the app has accepted it with a 2xx response.
// Otherwise it forgets the message, so that the provider's retry is passed on, unless
// an error route accepts it after all.
func (h *Verify) settle(v *verdict, accepted bool) {
	if accepted {
		h.replays.Commit(v.key)
		h.persist(v.key)
		return
	}
	h.replays.Abort(v.key)
	v.accept = func() {
		h.replays.Restore(v.key, time.Now().Add(h.life))
		h.persist(v.key)
	}
}

// persist writes a key to the store, if there is one. It is open: see starting.
func (h *Verify) persist(key [32]byte) {
	if app := h.app(); app != nil {
		app.engine.Load().replays.keep(key, time.Now().Add(h.life))
	}
}

// succeeded reports whether a response was 2xx. If nothing was written, the status is
// 200, provided that the handler has returned without an error.
func succeeded(w caddyhttp.ResponseRecorder, returned bool) bool {
	if w.Status() < 200 {
		return returned
	}
	return w.Status() < 300
}
