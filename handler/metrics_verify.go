package handler

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// verifyMetrics are the collectors of all webhook_verify handlers. They are created
// once and registered with each config's registry, so that a reload doesn't reset
// them. The values of all labels are from the config or fixed lists.
var verifyMetrics = struct {
	requests  *prometheus.CounterVec
	secrets   *prometheus.CounterVec
	evictions prometheus.Counter
	memory    prometheus.GaugeFunc
}{
	requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhooks_verify_requests_total",
		Help: "Inbound webhooks by provider, verdict (verified, handshake, acknowledged, refused, unenforced) and the reason of a refusal.",
	}, []string{"provider", "verdict", "reason"}),
	secrets: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhooks_verify_secret_matches_total",
		Help: "Verified webhooks by provider and the index of the secret that matched (0 is the first). An old secret whose count no longer increases can be removed.",
	}, []string{"provider", "secret_index"}),
	evictions: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_webhooks_verify_replay_evictions_total",
		Help: "Messages that the replay memory forgot too early because it was full.",
	}),
	memory: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "caddy_webhooks_verify_body_memory_bytes",
		Help: "Memory used by the bodies of inbound webhooks.",
	}, func() float64 { return float64(bodies.Taken()) }),
}

// registerVerifyMetrics registers these collectors with a config's registry.
func registerVerifyMetrics(r *prometheus.Registry) error {
	return register(r, verifyMetrics.requests, verifyMetrics.secrets, verifyMetrics.evictions, verifyMetrics.memory)
}

// tally counts the verdicts of a handler. It looks the most frequent counters up
// once, which also exports a count of 0 for secrets that have never matched.
type tally struct {
	verified prometheus.Counter
	secrets  []prometheus.Counter
}

func newTally(provider string, secrets int) *tally {
	t := &tally{verified: verifyMetrics.requests.WithLabelValues(provider, string(kindVerified), "")}
	for i := range secrets {
		t.secrets = append(t.secrets, verifyMetrics.secrets.WithLabelValues(provider, strconv.Itoa(i)))
	}
	return t
}

func (t *tally) count(v *verdict) {
	if v.kind == kindVerified {
		t.verified.Inc()
	} else {
		verifyMetrics.requests.WithLabelValues(v.provider, string(v.kind), string(v.reason)).Inc()
	}
	if v.message != nil && v.kind != kindHandshake {
		t.secrets[v.message.SecretIndex].Inc()
	}
}
