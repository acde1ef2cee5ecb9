package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// smallDisk mounts a disk of 8 MiB with a file that can be removed to make room.
type smallDisk struct {
	t   *testing.T
	dir string
}

func newSmallDisk(t *testing.T) smallDisk {
	t.Helper()
	d := smallDisk{t, t.TempDir()}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("mounting a small disk needs the right to, as root has it: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, 0); err != nil {
			t.Error(err)
		}
	})
	d.write("ballast", 4<<20)
	return d
}

func (d smallDisk) path(name string) string { return filepath.Join(d.dir, name) }

func (d smallDisk) write(name string, size int64) {
	d.t.Helper()
	must.Do(d.t, os.WriteFile(d.path(name), make([]byte, size), 0o600))
}

// use takes all the room that is left.
func (d smallDisk) use(name string) {
	d.t.Helper()
	var s syscall.Statfs_t
	must.Do(d.t, syscall.Statfs(d.dir, &s))
	d.write(name, int64(s.Bavail)*int64(s.Frsize))
}

// makeRoom removes the ballast.
func (d smallDisk) makeRoom() {
	d.t.Helper()
	must.Do(d.t, os.Remove(d.path("ballast")))
}

// onSmallDisk is a Caddyfile of which each version is known to the store: only
// limits differ.
func onSmallDisk(version int, more string) string {
	return strings.Replace(withOptions(fmt.Sprintf(`
		retry 100ms 100ms
		timeout 60s
		concurrency %d
		egress {
			allow 127.0.0.1
		}
		event_type order.created "An order"
		subscription main {
			url http://{$RECEIVER}/main
			event_types order.*
			header X-Test yes
		}
`, 100+version)+more), "handle_path", "handle /in {\n\t\twebhook_publish order.received\n\t}\n\thandle_path", 1)
}

// another is a subscription that the store doesn't know.
const another = `
		subscription another {
			url http://{$RECEIVER}/another
			event_types invoice.*
		}
`

// publishUntilFull publishes from several goroutines until each was refused a few times,
// and returns the ids of the accepted events. A refusal must have Retry-After.
func (s *server) publishUntilFull() (accepted []string) {
	s.t.Helper()
	const publishers, refusals, most = 4, 20, 10_000
	body := fmt.Sprintf(`{"event_type":"order.created","payload":{"note":%q}}`, strings.Repeat("x", 4096))
	var mu sync.Mutex
	var work sync.WaitGroup
	for range publishers {
		work.Go(func() {
			refused := 0
			for range most {
				id, err := s.tryPublish(body)
				if err != nil {
					s.t.Error(err)
					return
				}
				if id == "" {
					if refused++; refused == refusals {
						return
					}
					continue
				}
				mu.Lock()
				accepted = append(accepted, id)
				mu.Unlock()
			}
			s.t.Error("the disk is never full")
		})
	}
	work.Wait()
	return accepted
}

// tryPublish publishes an event, and returns its id, or none where the answer
// is that of a full disk.
func (s *server) tryPublish(body string) (id string, err error) {
	req, err := http.NewRequest("POST", s.url("/webhooks/events"), strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+publishToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := plain.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var answer struct {
		ID   string `json:"event_id"`
		Code string
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return "", err
	}
	switch {
	case res.StatusCode == http.StatusAccepted && answer.ID != "":
		return answer.ID, nil
	case res.StatusCode == http.StatusServiceUnavailable && answer.Code == "store_full" && res.Header.Get("Retry-After") != "":
		return "", nil
	}
	return "", fmt.Errorf("publishing: status %d, code %q, Retry-After %q", res.StatusCode, answer.Code, res.Header.Get("Retry-After"))
}

// refuses checks that both ways to publish say that the disk is full.
func (s *server) refuses(when string) {
	s.t.Helper()
	if id, err := s.tryPublish(`{"event_type":"order.created","payload":{}}`); id != "" || err != nil {
		s.t.Fatalf("%s: event %q was accepted: %v", when, id, err)
	}
	a := send(s.t, "POST", s.url("/in"), strings.NewReader("{}"), nil)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		s.t.Fatalf("%s: webhook_publish answers %d, Retry-After %q", when, a.status, a.header.Get("Retry-After"))
	}
}

// TestFullDisk fills the disk during deliveries. Events are refused, none that was accepted
// is lost, attempts in progress are settled, and the config can be reloaded and the server
// restarted. When there is room, everything works again.
func TestFullDisk(t *testing.T) {
	disk := newSmallDisk(t)
	r := newReceiver(t)
	answer := make(chan struct{})
	r.answer(func(_ http.ResponseWriter, d *request) {
		select {
		case <-answer:
		case <-d.gone:
		}
	})
	s := newServer(t, onSmallDisk(0, ""), "RECEIVER="+r.addr, "DB="+disk.path("webhooks.db"))
	s.start()
	accepted := s.publishUntilFull()
	t.Logf("%d events were accepted", len(accepted))
	s.refuses("while nothing is settled")
	s.reload(onSmallDisk(1, ""))
	s.refuses("after a reload")

	close(answer)
	s.drained()
	arrived := map[string]int{}
	for _, d := range r.all() {
		arrived[d.id()]++
	}
	for _, id := range accepted {
		if arrived[id] != 1 {
			t.Fatalf("event %s came %d times", id, arrived[id])
		}
	}
	if len(arrived) != len(accepted) {
		t.Errorf("%d events came, %d were accepted", len(arrived), len(accepted))
	}
	s.refuses("when all is settled")
	for _, id := range []string{accepted[0], accepted[len(accepted)-1]} {
		s.settled(id, "sub_main", "delivered")
	}

	s.stop()
	disk.use("others")
	s.start()
	disk.use("more")
	s.refuses("after a start")
	s.kill()
	s.start()
	s.reload(onSmallDisk(2, ""))
	s.refuses("after a start from a crash")

	refusal := s.load(onSmallDisk(3, another))
	t.Log(refusal)
	for _, word := range []string{"another", "full", "free some space"} {
		if !strings.Contains(refusal, word) {
			t.Errorf("a config that must be stored is refused without %q: %s", word, refusal)
		}
	}
	if subs := s.manager().list("/subscriptions"); len(subs) != 1 {
		t.Errorf("after a refused config the subscriptions are %v", subs)
	}
	s.refuses("after a refused config")

	r.forget()
	disk.makeRoom()
	id := s.publish(event{Type: "order.created"})
	if d := r.waitID(id); d.header.Get("X-Test") != "yes" {
		t.Errorf("event %s came with %v", id, d.header)
	}
	s.settled(id, "sub_main", "delivered")
	s.reload(onSmallDisk(3, another))
	if d := r.waitID(s.publish(event{Type: "invoice.paid"})); d.path != "/another" {
		t.Errorf("an event of the new config came to %s", d.path)
	}
	if n := len(s.reader().list("/dead-letters")); n != 0 {
		t.Errorf("there are %d dead letters", n)
	}
}

// drained waits until no delivery is pending.
func (s *server) drained() {
	s.t.Helper()
	must.Eventually(s.t, "the end of the deliveries", func() bool { return s.reader().get("/status").num("pending") == 0 })
}
