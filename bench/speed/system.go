//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
)

// bench has what all scenarios use.
type bench struct {
	dir, loadgen, caddy string
	postgres            string        // URL of the server; "" for stores that are files
	databases           []string      // created there
	span                time.Duration // of each measurement
	profile             bool
	runs                int
}

const token = "bench-token"

// process is a child process.
type process struct {
	cmd   *exec.Cmd
	log   bytes.Buffer
	began time.Time
}

func start(env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.began = time.Now()
	return p, p.cmd.Start()
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// rss returns the resident memory in MiB, and peak its maximum so far.
func (p *process) rss() float64  { return p.memory("VmRSS:") }
func (p *process) peak() float64 { return p.memory("VmHWM:") }

func (p *process) memory(field string) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kb / 1024
		}
	}
	return 0
}

// explain adds the end of the process's log to an error.
func (p *process) explain(err error) error {
	log := p.log.String()
	return fmt.Errorf("%w\n…%s", err, log[max(0, len(log)-2000):])
}

// cpu returns the CPU time that the process has used. Unlike its throughput, that
// hardly depends on other load on the machine.
func (p *process) cpu() time.Duration {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ is 100 on all platforms
}

// server is a Caddy with a store.
type server struct {
	*process
	url    string // of the API
	verify string // of the site with the routes that are compared
	admin  string
}

const caddyfile = `{
	admin %[1]s
	webhooks {
		store %[2]s %[3]s
		egress {
			allow 127.0.0.0/8
		}
	}
}
http://%[4]s {
	bind 127.0.0.1
	handle_path /webhooks/* {
		webhook_api {
			token %[5]s manage
		}
	}
}
http://%[8]s {
	bind 127.0.0.1
	handle /plain {
		reverse_proxy %[6]s
	}
	handle /verified {
		webhook_verify github %[7]s
		reverse_proxy %[6]s
	}
	handle /buffered {
		reverse_proxy %[6]s {
			request_buffers 25MiB
		}
	}
	handle /error {
		error 401
	}
	handle /respond {
		respond 401
	}
}
`

// secret is the secret of /verified.
const secret = "bench-secret"

// serve starts a Caddy with an empty store, and returns when it answers.
func (b *bench) serve(options, sink string) (*server, error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	s, err := b.launch(dir, options, sink)
	if err != nil {
		return nil, err
	}
	return s, s.ready()
}

// folder creates a folder for the files of a Caddy.
func (b *bench) folder() (string, error) {
	b.runs++
	dir := filepath.Join(b.dir, fmt.Sprintf("run%d", b.runs))
	return dir, os.Mkdir(dir, 0o700)
}

// storeIn returns the path of the store in a Caddy's folder.
func storeIn(dir string) string { return filepath.Join(dir, "webhooks.db") }

// launch starts a Caddy with the store in dir, if there is one, and doesn't wait for
// it.
func (b *bench) launch(dir, options, sink string) (*server, error) {
	store, err := b.store(dir)
	if err != nil {
		return nil, err
	}
	admin, site, verify := freeport.Address(), freeport.Address(), freeport.Address()
	config := filepath.Join(dir, "Caddyfile")
	text := fmt.Sprintf(caddyfile, admin, store, options, site, token, strings.TrimSuffix(strings.TrimPrefix(sink, "http://"), "/"), secret, verify)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := start([]string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, b.caddy, "run", "--config", config, "--adapter", "caddyfile")
	if err != nil {
		return nil, err
	}
	return &server{process: p, url: "http://" + site + "/webhooks", verify: "http://" + verify, admin: "http://" + admin}, nil
}

// ready waits until the server answers. If it doesn't, ready stops it.
func (s *server) ready() error {
	if err := answers(s.admin + "/webhooks/status"); err != nil {
		s.stop()
		return s.explain(err)
	}
	return nil
}

// sink starts the load generator's receiver, and returns its URL.
func (b *bench) sink() (*process, string, error) {
	addr := freeport.Address()
	p, err := start(nil, b.loadgen, "sink", "-listen", addr)
	if err != nil {
		return nil, "", err
	}
	return p, "http://" + addr, answers("http://" + addr + "/stats?light=1")
}

// answers waits until there is an answer from the URL.
func answers(url string) error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				return nil
			}
		}
	}
	return errors.New("no answer from " + url)
}

// ask makes a request to the API, and decodes its answer unless answer is nil.
func (s *server) ask(method, path string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if answer != nil {
		return json.NewDecoder(resp.Body).Decode(answer)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (s *server) subscribe(url string, types ...string) error {
	return s.ask(http.MethodPost, "/subscriptions", map[string]any{"url": url, "event_types": types}, nil)
}

// subscribeAs subscribes for a tenant.
func (s *server) subscribeAs(tenant, url string, types ...string) error {
	return s.ask(http.MethodPost, "/subscriptions", map[string]any{"url": url, "event_types": types, "tenant": tenant}, nil)
}

// quantiles are latencies as the load generator reports them.
type quantiles struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

func (q quantiles) tail() float64 { return q.P99 / q.P50 }

// result is what the load generator prints.
type result struct {
	AcceptedPS float64   `json:"accepted_per_s"`
	Requests   int       `json:"requests"`
	Seconds    float64   `json:"seconds"`
	Latency    quantiles `json:"latency_2xx"`
	FirstError string    `json:"first_error"`
	E2E        struct {
		Complete   bool      `json:"complete"`
		Duplicates int       `json:"duplicates"`
		Seconds    float64   `json:"seconds"`
		PerSecond  float64   `json:"deliveries_per_s"`
		Latency    quantiles `json:"latency"`
	} `json:"end_to_end"`
	Delivered quantiles `json:"post_sent_to_sink_received"`
	Lost      int       `json:"not_delivered_in_time"`
}

// PerSecond returns how many requests a second were answered, with any status.
func (r result) PerSecond() float64 { return float64(r.Requests) / r.Seconds }

// load runs the load generator in a mode, with flags.
func (b *bench) load(mode string, args ...string) (r result, err error) {
	cmd := exec.CommandContext(context.Background(), b.loadgen, append([]string{mode}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, err
	}
	if r.FirstError != "" {
		return r, errors.New(r.FirstError)
	}
	return r, nil
}

// rawLoop measures the baseline: signed POSTs straight to the sink.
func (b *bench) rawLoop(sink string, args ...string) (result, error) {
	return b.load("post", append([]string{
		"-url=" + sink + "/raw", "-d=" + b.span.String(), "-sign-secret=secret", "-sign-scheme=standard", "-sink=" + sink,
	}, args...)...)
}

// syncTimes writes and syncs as much as a commit of a few events does, at the given
// interval, and returns how long each took. A write that is due during the previous
// one waits for it, as events do.
func (b *bench) syncTimes(interval time.Duration) (took []int64, err error) {
	f, err := os.Create(filepath.Join(b.dir, "synced"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	piece := make([]byte, 11*4096)
	begin := time.Now()
	for due := begin; due.Sub(begin) < b.span; due = due.Add(interval) {
		start := due
		if rest := time.Until(due); rest > 0 {
			time.Sleep(rest)
			start = time.Now()
		}
		_, err := f.WriteAt(piece, int64(len(took)%64*len(piece)))
		if err = errors.Join(err, f.Sync()); err != nil {
			return nil, err
		}
		took = append(took, int64(time.Since(start)))
	}
	return took, nil
}

// events returns the load generator's flags to publish events of 1 KiB.
func (s *server) events(args ...string) []string {
	return append([]string{
		"-url=" + s.url + "/events", "-H=Authorization: Bearer " + token, `-body={"event_type":"load.test","payload":{{data}}}`,
	}, args...)
}

// profiled writes a CPU profile of the server while f runs.
func (b *bench) profiled(s *server, name string, f func() error) error {
	if !b.profile {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		resp, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", s.admin, int(b.span.Seconds())))
		if err == nil {
			defer resp.Body.Close()
			var out *os.File
			if out, err = os.Create(name + ".pprof"); err == nil {
				_, err = io.Copy(out, resp.Body)
				out.Close()
			}
		}
		done <- err
	}()
	return errors.Join(f(), <-done)
}
