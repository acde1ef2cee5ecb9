package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// publishers limits how many events are published at the same time.
const publishers = 16

// publish publishes at a steady rate until the context ends.
func publish(ctx context.Context, s *server, l *ledger, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: publishers}, Timeout: 30 * time.Second}
	var workers sync.WaitGroup
	defer workers.Wait()
	free := make(chan struct{}, publishers)
	padding := strings.Repeat("x", 480)
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		free <- struct{}{}
		workers.Go(func() {
			defer func() { <-free }()
			kind := n % subscriptions
			body := fmt.Sprintf(`{"event_type":"soak.%d","payload":{"n":%d,"padding":%q}`, kind, n, padding)
			own := n%2 == 0
			if own { // an event with an id of its own is sent until it is answered
				body += fmt.Sprintf(`,"event_id":"soak-%d"`, n)
			}
			for {
				event, err := post(client, s, body+"}")
				if err == nil {
					l.accept(event, kind)
					return
				}
				l.refused.Add(1)
				if !own || ctx.Err() != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
}

// post publishes one event and returns the number of its id.
func post(client *http.Client, s *server, body string) (uint64, error) {
	req, err := http.NewRequest(http.MethodPost, s.site+"/webhooks/events", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.GetBody = nil // so that the transport can't repeat the POST silently
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusAccepted && resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("publishing: %s: %s", resp.Status, text)
	}
	var answer struct {
		ID string `json:"event_id"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return 0, err
	}
	return number(answer.ID), nil
}
