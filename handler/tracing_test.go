package handler

import "testing"

// Tracing is enabled by OpenTelemetry's standard variables. An empty one counts as not
// set.
func TestTracingEnabled(t *testing.T) {
	const (
		disabled = "OTEL_SDK_DISABLED"
		exporter = "OTEL_TRACES_EXPORTER"
		endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
		ofTraces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	)
	for name, tt := range map[string]struct {
		env  map[string]string
		want bool
	}{
		"nothing is set":         {nil, false},
		"an exporter":            {map[string]string{exporter: "console"}, true},
		"an endpoint":            {map[string]string{endpoint: "http://localhost:4318"}, true},
		"an endpoint for traces": {map[string]string{ofTraces: "http://localhost:4318"}, true},
		"no exporter for traces": {map[string]string{exporter: "none", endpoint: "http://localhost:4318"}, false},
		"the SDK is disabled":    {map[string]string{disabled: "True", exporter: "otlp", endpoint: "http://localhost:4318"}, false},
		"the SDK isn't disabled": {map[string]string{disabled: "false", endpoint: "http://localhost:4318"}, true},
		"a value that is none":   {map[string]string{disabled: "1", endpoint: "http://localhost:4318"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{disabled, exporter, endpoint, ofTraces} {
				t.Setenv(variable, tt.env[variable])
			}
			if got := tracingEnabled(); got != tt.want {
				t.Errorf("got enabled: %t, want %t", got, tt.want)
			}
		})
	}
}
