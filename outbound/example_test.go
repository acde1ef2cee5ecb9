package outbound_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// An engine on a store: subscribe, publish, deliver.
func Example() {
	ctx := context.Background()
	delivered := make(chan string)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		delivered <- string(body)
	}))
	defer receiver.Close()

	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "webhooks.db")})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	// Deliveries reach public addresses only, unless told otherwise.
	policy, err := egress.NewPolicy([]string{"127.0.0.1"}, nil)
	if err != nil {
		log.Fatal(err)
	}
	engine, err := outbound.Open(ctx, store, outbound.Settings{Policy: policy, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	if _, err := engine.CreateSubscription(ctx, outbound.SubscriptionSpec{URL: receiver.URL, EventTypes: []string{"order.*"}}); err != nil {
		log.Fatal(err)
	}
	published, err := engine.Publish(ctx, &outbound.NewEvent{ID: "order-42", Type: "order.created", Payload: []byte(`{"id":42}`)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(published.EventID, published.Deliveries)
	fmt.Println(<-delivered)
	// Output:
	// order-42 1
	// {"id":42}
}

// A schedule that grows by a factor.
func ExampleExponentialSchedule() {
	schedule, err := outbound.ExponentialSchedule(1e9, 2, 10e9, 6)
	fmt.Println(schedule, err)
	// Output: [1s 2s 4s 8s 10s] <nil>
}
