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

// providers holds the one trace provider of the process while configs use it.
// Deliveries outlive the request that caused them and the config that they
// began under, so their spans need a provider of their own. It is configured
// by the standard OTEL_* variables, and there is none unless they ask for traces.
var providers = caddy.NewUsagePool()

const tracingKey = "tracing"

// tracing is the trace provider, nil where no traces are wanted.
type tracing struct{ *sdktrace.TracerProvider }

// flushTime is how long the last spans may take on their way out.
const flushTime = 5 * time.Second

// Destruct sends what is left.
func (t *tracing) Destruct() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	return t.Shutdown(ctx)
}

// tracingWanted tells whether the environment asks for traces.
func tracingWanted() bool {
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

// loadTracing gives the trace provider. Each call needs one of release.
func loadTracing(ctx context.Context) (*tracing, error) {
	if !tracingWanted() {
		return nil, nil
	}
	v, _, err := providers.LoadOrNew(tracingKey, func() (caddy.Destructor, error) {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, err
		}
		// The resource is by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES,
		// the sampler by OTEL_TRACES_SAMPLER: the SDK's defaults read them.
		return &tracing{sdktrace.NewTracerProvider(sdktrace.WithBatcher(&quietExporter{SpanExporter: exporter}))}, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*tracing), nil
}

// quietExporter tells of a collector that takes no spans when that begins and when
// it is over. The SDK would at each batch, several a second under load.
type quietExporter struct {
	sdktrace.SpanExporter
	lost int // spans, since it takes none
}

// ExportSpans is called by one goroutine at a time, as the SDK promises.
func (e *quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	logger := caddy.Log().Named("webhooks.tracing") // of the config that rules
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

// provider is nil where no traces are wanted.
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
