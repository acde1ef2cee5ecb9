package handler

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// providers holds the trace provider for deliveries, of which the process has one.
// Deliveries outlive both the request that caused them and the config under which
// they began, so they can't use that of a request's span. It is configured with the
// standard OTEL_* variables; there is none unless they enable traces.
var providers = caddy.NewUsagePool()

const tracingKey = "tracing"

// tracing is the trace provider. A nil one is valid: it makes no traces.
type tracing struct{ *sdktrace.TracerProvider }

// flushTimeout is how long exporting the last spans may take.
const flushTimeout = 5 * time.Second

// Destruct implements caddy.Destructor: it exports the remaining spans.
func (t *tracing) Destruct() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	return t.Shutdown(ctx)
}

// tracingEnabled reports whether the environment enables traces.
func tracingEnabled() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	for _, name := range []string{"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// loadTracing returns the trace provider, or nil if traces aren't enabled. Each
// successful call must be matched by one of release.
func loadTracing(ctx context.Context) (*tracing, error) {
	if !tracingEnabled() {
		return nil, nil
	}
	v, _, err := providers.LoadOrNew(tracingKey, func() (caddy.Destructor, error) {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, err
		}
		// By default, the SDK sets the resource from OTEL_SERVICE_NAME and
		// OTEL_RESOURCE_ATTRIBUTES, and the sampler from OTEL_TRACES_SAMPLER.
		return &tracing{sdktrace.NewTracerProvider(sdktrace.WithBatcher(&quietExporter{SpanExporter: exporter}))}, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*tracing), nil
}

// quietExporter logs once when a collector begins to refuse spans, and once when it
// accepts them again. The SDK would log each batch, several per second under load.
type quietExporter struct {
	sdktrace.SpanExporter
	lost int // the number of spans refused since then
}

// ExportSpans implements sdktrace.SpanExporter. The SDK calls it from one goroutine
// at a time.
func (e *quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	logger := caddy.Log().Named("webhooks.tracing") // that of the current config
	switch {
	case err != nil && e.lost == 0:
		logger.Warn("spans are lost: the collector doesn't take them", zap.Error(err))
	case err == nil && e.lost > 0:
		logger.Info("spans are taken again", zap.Int("lost", e.lost))
		e.lost = 0
	}
	if err != nil {
		e.lost += len(spans)
	}
	return nil
}

// provider returns nil if traces aren't enabled.
func (t *tracing) provider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t
}

func (t *tracing) release() error {
	if t == nil {
		return nil
	}
	_, err := providers.Delete(tracingKey)
	return err
}
