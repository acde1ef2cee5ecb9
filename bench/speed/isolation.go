//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// isolation are scenarios that measure what one user of the server costs the others.
var isolation = []scenario{
	{name: "endpoints", alone: badEndpoints},
	{name: "tenants", alone: greedyTenant},
	{name: "flood", alone: flood},
	{name: "connections", alone: idleConnections},
	{name: "uploads", alone: slowUploads},
}

// slice is how long one variant is measured before the next has its turn. It is
// short, so that other load on the machine affects all of them.
const slice = 500 * time.Millisecond

// inTurns measures variants of the same thing in turns, each for a span in all, and
// returns the latencies of each.
func inTurns(variants int, span time.Duration, measure func(variant int) ([]int64, error)) ([][]int64, error) {
	took := make([][]int64, variants)
	for turn := range max(int(span/slice), 1) {
		for i := range variants {
			variant := (turn + i) % variants
			latencies, err := measure(variant)
			if err != nil {
				return nil, err
			}
			took[variant] = append(took[variant], latencies...)
		}
	}
	return took, nil
}

// badEndpoints compares two servers with a thousand endpoints each. It publishes 900
// events a second to 995 good ones, and 100 to the other five. With one server these
// are good too; with the other they are dead, slow, endless, late and broken. What
// is compared is the latency of the 995.
func badEndpoints(b *bench, each rounds) error {
	r, err := receive()
	if err != nil {
		return err
	}
	defer r.close()
	dead, release, err := blackhole()
	if err != nil {
		return err
	}
	defer release()
	bad := []string{"http://" + dead + "/"}
	var twins []string
	for i, path := range []string{"loris", "endless", "late", "reset"} {
		bad = append(bad, r.endpoint(goodEndpoints+i, path))
	}
	for i := range bad {
		twins = append(twins, r.endpoint(goodEndpoints+i, ""))
	}
	var servers [2]*server
	for i, rest := range [][]string{twins, bad} {
		if servers[i], err = b.thousand(r, rest); err != nil {
			return err
		}
		defer servers[i].stop()
	}
	good := stream{rate: 900, event: func(i int) (string, string) { return fmt.Sprintf("good.e%d", i%goodEndpoints), "" }, count: true}
	rest := stream{rate: 100, event: func(i int) (string, string) { return fmt.Sprintf("rest.e%d", i%len(bad)), "" }}
	return each(func() (figures, error) {
		took, err := inTurns(2, b.span, func(variant int) ([]int64, error) {
			return servers[variant].received(r, slice, good, rest)
		})
		if err != nil {
			return nil, servers[1].explain(err)
		}
		p50, p99 := quantileOf(took, .5), quantileOf(took, .99)
		return figures{
			{"p99 with ÷ without", p99[1] / p99[0]}, {"p50 with ÷ without", p50[1] / p50[0]},
			{"p99 with, ms", p99[1]}, {"p99 without, ms", p99[0]}, {"p50 with, ms", p50[1]}, {"p50 without, ms", p50[0]},
			{"RSS with, MiB", servers[1].rss()}, {"RSS without, MiB", servers[0].rss()},
		}, nil
	})
}

const goodEndpoints = 995

// thousand starts a server with goodEndpoints good endpoints, and the rest.
func (b *bench) thousand(r *receiver, rest []string) (*server, error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	var f filling
	for i := range goodEndpoints {
		f.urls, f.types = append(f.urls, r.endpoint(i, "")), append(f.types, fmt.Sprintf("good.e%d", i))
	}
	for i, url := range rest {
		f.urls, f.types = append(f.urls, url), append(f.types, fmt.Sprintf("rest.e%d", i))
	}
	return b.filled(dir, f, r.endpoint(0, ""))
}

// greedyTenant has eleven tenants that publish 20 events a second each. In turns, one
// of them publishes a hundred times as many, or as fast as events are accepted, to a
// server without a rate limit and to one with a limit of twice the share. What is
// compared is the latency of the other ten.
func greedyTenant(b *bench, each rounds) error {
	const tenants, share = 10, 20
	r, err := receive()
	if err != nil {
		return err
	}
	defer r.close()
	var servers [2]*server
	for i, options := range []string{"", fmt.Sprintf("\n\t\ttenant_rate_limit %d/s", 2*share)} {
		if servers[i], err = b.serve(options, r.endpoint(0, "")); err != nil {
			return err
		}
		defer servers[i].stop()
		for t := range tenants + 1 {
			if err := servers[i].subscribeAs(fmt.Sprintf("t%d", t), r.endpoint(t, ""), "load.*"); err != nil {
				return err
			}
		}
	}
	modest := stream{rate: tenants * share, count: true, event: func(i int) (string, string) {
		return "load.test", fmt.Sprintf("t%d", i%tenants)
	}}
	variants := []struct {
		server *server
		rate   float64
	}{{servers[0], share}, {servers[0], 100 * share}, {servers[0], 0}, {servers[1], share}, {servers[1], 100 * share}}
	return each(func() (figures, error) {
		took, err := inTurns(len(variants), b.span, func(i int) ([]int64, error) {
			v := variants[i]
			latencies, err := v.server.received(r, slice, modest, stream{rate: v.rate, over: true, event: func(int) (string, string) {
				return "load.test", fmt.Sprintf("t%d", tenants)
			}})
			if err = errors.Join(err, v.server.idle()); err != nil {
				err = v.server.explain(err)
			}
			return latencies, err
		})
		if err != nil {
			return nil, err
		}
		p50, p99 := quantileOf(took, .5), quantileOf(took, .99)
		return figures{
			{"p99 beside 100 × the share ÷ alone, limited", p99[4] / p99[3]}, {"p50 beside 100 × the share ÷ alone, limited", p50[4] / p50[3]},
			{"p99 beside 100 × the share ÷ alone", p99[1] / p99[0]}, {"p50 beside 100 × the share ÷ alone", p50[1] / p50[0]},
			{"p99 beside all that is accepted ÷ alone", p99[2] / p99[0]},
			{"p99 alone, ms", p99[0]}, {"p99 beside 100 ×, ms", p99[1]}, {"p99 beside all, ms", p99[2]}, {"p50 alone, ms", p50[0]},
		}, nil
	})
}

// idle waits until no delivery is pending.
func (s *server) idle() error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var status struct {
			Pending int `json:"pending"`
		}
		if err := s.ask(http.MethodGet, "/status", nil, &status); err != nil {
			return err
		}
		if status.Pending == 0 {
			return nil
		}
	}
	return errors.New("deliveries are still pending after 30 s")
}

// flood publishes events of 64 KiB over 1,500 connections, more than can be written
// to the disk. It measures how soon requests are refused, and how much memory that
// takes.
func flood(b *bench, each rounds) error {
	const connections, size = 1500, 64 << 10
	return each(func() (figures, error) {
		s, err := b.serve("", "http://127.0.0.1:9")
		if err != nil {
			return nil, err
		}
		f, err := s.flood(b.span, connections, event("load.test", "", payload(0, size)))
		s.stop()
		client.CloseIdleConnections()
		if err != nil {
			return nil, s.explain(err)
		}
		return f, nil
	})
}

func (s *server) flood(span time.Duration, connections int, body []byte) (figures, error) {
	before := s.rss()
	var mu sync.Mutex
	var accepted, refused []int64
	var bad error
	var all sync.WaitGroup
	begin := time.Now()
	for range connections {
		all.Go(func() {
			for time.Since(begin) < span {
				start := time.Now()
				status, err := s.tryPublish(body)
				took := int64(time.Since(start))
				mu.Lock()
				switch {
				case err != nil:
					bad = err
				case status == http.StatusAccepted:
					accepted = append(accepted, took)
				default:
					refused = append(refused, took)
				}
				mu.Unlock()
				if err != nil {
					return
				}
				if status != http.StatusAccepted {
					time.Sleep(time.Second) // as Retry-After says
				}
			}
		})
	}
	all.Wait()
	peak := s.peak()
	if bad == nil {
		bad = s.publish(event("load.after", "", payload(0, 1<<10)))
	}
	seconds := time.Since(begin).Seconds()
	return figures{
		{"503 p99 ms", quantile(refused, .99)}, {"503 p50 ms", quantile(refused, .5)},
		{"accept p99 ms", quantile(accepted, .99)}, {"accept p50 ms", quantile(accepted, .5)},
		{"accepted/s", float64(len(accepted)) / seconds}, {"refused/s", float64(len(refused)) / seconds},
		{"RSS before, MiB", before}, {"RSS peak, MiB", peak},
	}, bad
}

// tryPublish publishes an event, which the server may refuse with 503 and
// Retry-After. It returns the status.
func (s *server) tryPublish(body []byte) (status int, err error) {
	status, header, text, err := s.post(body)
	if err == nil && status != http.StatusAccepted && (status != http.StatusServiceUnavailable || header.Get("Retry-After") == "") {
		err = fmt.Errorf("publishing: %d: %s", status, text)
	}
	return status, err
}

// idleConnections opens 10,000 connections to the API that send one request each, and
// then stay idle.
func idleConnections(b *bench, each rounds) error {
	const connections = 10_000
	return each(func() (figures, error) {
		s, err := b.serve("", "http://127.0.0.1:9")
		if err != nil {
			return nil, err
		}
		f, err := s.connections(connections)
		s.stop()
		if err != nil {
			return nil, s.explain(err)
		}
		return f, nil
	})
}

func (s *server) connections(n int) (figures, error) {
	host, path, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), "/")
	request := fmt.Sprintf("GET /%s/event-types HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, host, token)
	publishLatency := func() (float64, error) {
		var took []int64
		for i := range 300 {
			start := time.Now()
			if err := s.publish(event("load.test", "", payload(i, 1<<10))); err != nil {
				return 0, err
			}
			took = append(took, int64(time.Since(start)))
		}
		return quantile(took, .5), nil
	}
	alone, err := publishLatency()
	if err != nil {
		return nil, err
	}
	before := s.rss()
	for range n {
		c, err := net.Dial("tcp", host)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		if _, err := io.WriteString(c, request); err != nil {
			return nil, err
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return nil, err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("event-types: %s", resp.Status)
		}
	}
	after := s.rss()
	beside, err := publishLatency()
	return figures{
		{"KiB a connection", (after - before) * 1024 / float64(n)},
		{"RSS before, MiB", before}, {"RSS with them, MiB", after},
		{"accept p50 with them ÷ before", beside / alone},
	}, err
}

// slowUploads sends a thousand signed bodies of 1 MiB at the same time, slowly: to a
// route that only proxies, and to one that verifies them before that.
func slowUploads(b *bench, each rounds) error {
	r, err := receive()
	if err != nil {
		return err
	}
	defer r.close()
	return each(func() (figures, error) {
		var grown [2]float64
		var before, peak float64
		for i, path := range []string{"/plain", "/verified"} {
			s, err := b.serve("", r.endpoint(0, ""))
			if err != nil {
				return nil, err
			}
			before = s.rss()
			err = s.uploads(path, 1000, 1<<20)
			peak = s.peak()
			s.stop()
			if err != nil {
				return nil, s.explain(err)
			}
			grown[i] = peak - before
		}
		return figures{
			{"RSS growth verified, MiB", grown[1]}, {"RSS growth plain, MiB", grown[0]},
			{"RSS before, MiB", before}, {"RSS peak verified, MiB", peak},
		}, nil
	})
}

// uploads posts n bodies at the same time, each in 16 pieces half a second apart.
func (s *server) uploads(path string, n, size int) error {
	host, _, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), "/")
	body := payload(0, size)
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nX-Hub-Signature-256: sha256=%x\r\n\r\n",
		path, host, len(body), sign(body))
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if err := upload(host, head, body); err != nil {
				failed.Store(&err)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func upload(host, head string, body []byte) error {
	const pieces = 16
	c, err := net.Dial("tcp", host)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, head); err != nil {
		return err
	}
	size := len(body) / pieces
	for i := range pieces {
		time.Sleep(500 * time.Millisecond)
		if _, err := c.Write(body[i*size : (i+1)*size]); err != nil {
			return err
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("uploading: %s", resp.Status)
	}
	return nil
}
