package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/logged"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// The tokens of the API, and what they allow.
const (
	publishToken = "publish-token-2f81b6c3d9"
	readToken    = "read-token-77c0a4e5f1"
	manageToken  = "manage-token-90d3e8b7a2f4"
)

// head is the beginning of every Caddyfile's global options.
const head = `
	admin {$ADMIN}
	default_bind 127.0.0.1
`

// apiSite is a site that serves the API with a token of each scope.
const apiSite = `
http://:{$PORT} {
	handle_path /webhooks/* {
		webhook_api {
			token {env.PUBLISH_TOKEN} publish
			token {env.READ_TOKEN} read
			token {env.MANAGE_TOKEN} manage
		}
	}
}
`

// withOptions returns a Caddyfile with the API, a store, and options of webhooks.
func withOptions(options string) string {
	return "{" + head + "\twebhooks {\n\t\tstore sqlite {$DB}\n" + options + "\n\t}\n}\n" + apiSite
}

// local allows deliveries to this machine, and retries soon.
const local = `
		retry 100ms 100ms
		egress {
			allow 127.0.0.1
		}
`

// server is a Caddy for one test.
type server struct {
	t *testing.T
	*machine
}

// on returns the same server for a subtest.
func (s *server) on(t *testing.T) *server { return &server{t, s.machine} }

// machine is a process with its Caddyfile and its directories. It can be stopped, killed,
// and started again with what it has left.
type machine struct {
	dir   string
	env   []string
	addr  string // of the site
	admin string // as a Caddyfile and the CLI's --address write it
	db    string // the store's path: {$DB}
	out   *output
	cmd   *exec.Cmd     // nil while it doesn't run
	done  chan struct{} // closed when the process has ended
	err   error         // of the process that has ended
}

// newServer returns a server that isn't started. The Caddyfile may use {$ADMIN}, {$PORT},
// {$DB} and the given variables.
func newServer(t *testing.T, caddyfile string, env ...string) *server {
	t.Helper()
	// Not t.TempDir, whose paths can be too long for a socket.
	dir := must.Get(os.MkdirTemp("", "caddy-"))(t)
	port := freeport.Get()
	s := &server{t, &machine{
		dir: dir, out: new(output),
		addr:  fmt.Sprintf("127.0.0.1:%d", port),
		admin: "unix/" + filepath.Join(dir, "admin.sock"),
		db:    filepath.Join(dir, "webhooks.db"),
	}}
	s.env = append([]string{
		asCaddy + "=1",
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + dir,
		"XDG_DATA_HOME=" + filepath.Join(dir, "data"),
		"XDG_CONFIG_HOME=" + filepath.Join(dir, "config"),
		"ADMIN=" + s.admin,
		fmt.Sprintf("PORT=%d", port),
		"DB=" + s.db,
		"PUBLISH_TOKEN=" + publishToken,
		"READ_TOKEN=" + readToken,
		"MANAGE_TOKEN=" + manageToken,
	}, env...)
	s.write(caddyfile)
	t.Cleanup(s.cleanup)
	return s
}

// startServer starts a new server.
func startServer(t *testing.T, caddyfile string, env ...string) *server {
	t.Helper()
	s := newServer(t, caddyfile, env...)
	s.start()
	return s
}

func (s *server) file() string { return filepath.Join(s.dir, "Caddyfile") }

// write replaces the Caddyfile.
func (s *server) write(caddyfile string) {
	s.t.Helper()
	must.Do(s.t, os.WriteFile(s.file(), []byte(caddyfile), 0o600))
}

// start starts the process and waits until it serves.
func (s *server) start() {
	s.t.Helper()
	must.Do(s.t, s.tryStart())
}

// tryStart is start for configs that may be refused. The error contains Caddy's output.
func (s *server) tryStart() error {
	mark := s.out.len()
	s.launch()
	ready := func() bool {
		res, err := s.adminClient().Get("http://caddy/config/")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		config, err := io.ReadAll(res.Body)
		return err == nil && res.StatusCode == http.StatusOK && len(config) > len("null\n")
	}
	for deadline := time.Now().Add(must.Patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.done:
			s.cmd = nil
			return fmt.Errorf("caddy did not start: %w\n%s", s.err, s.out.after(mark))
		default:
		}
		if ready() {
			return nil
		}
	}
	return errors.New("caddy started, but its admin endpoint does not answer")
}

// launch starts the process without waiting.
func (s *server) launch() {
	s.t.Helper()
	if s.cmd != nil {
		s.t.Fatal("caddy is running already")
	}
	cmd := s.command(context.Background(), "run", "--config", s.file(), "--adapter", "caddyfile")
	cmd.Stdout, cmd.Stderr = s.out, s.out
	must.Do(s.t, cmd.Start())
	done := make(chan struct{})
	s.cmd, s.done = cmd, done
	go func() {
		s.err = cmd.Wait()
		close(done)
	}()
}

func (s *server) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// stop stops the process with SIGTERM, which must succeed.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	s.exited()
}

// exited waits until a process that is stopping has ended.
func (s *server) exited() {
	s.t.Helper()
	if err := s.gone(); err != nil {
		s.t.Fatalf("caddy did not stop well: %v", err)
	}
}

// kill ends the process with SIGKILL.
func (s *server) kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	_ = s.gone()
}

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("sending %v: %v", sig, err)
	}
}

func (s *server) gone() error {
	select {
	case <-s.done:
		s.cmd = nil
		return s.err
	case <-time.After(must.Patience):
		return errors.New("it is still there")
	}
}

// running reports whether the process is still running.
func (s *server) running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

func (s *server) cleanup() {
	if s.cmd != nil {
		s.signal(syscall.SIGTERM)
		if err := s.gone(); err != nil && !s.t.Failed() {
			s.t.Errorf("stopping caddy: %v", err)
		}
		if s.cmd != nil {
			s.cmd.Process.Kill()
			<-s.done
		}
	}
	log := s.out.String()
	for _, bad := range []string{"panic:", "http: panic serving", "DATA RACE", "fatal error:"} {
		if strings.Contains(log, bad) {
			s.t.Errorf("caddy wrote %q", bad)
		}
	}
	if s.t.Failed() {
		s.t.Logf("the last of what caddy wrote:\n%s", tail(log, 16<<10))
	}
	os.RemoveAll(s.dir)
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// reload loads another Caddyfile into the running server.
func (s *server) reload(caddyfile string) {
	s.t.Helper()
	if refusal := s.load(caddyfile); refusal != "" {
		s.t.Fatalf("the reload was refused: %s", refusal)
	}
	s.write(caddyfile)
}

// load is reload for configs that may be refused. It returns the error.
func (s *server) load(caddyfile string) string {
	s.t.Helper()
	post := func() (*http.Response, error) {
		return s.adminClient().Post("http://caddy/load", "text/caddyfile", strings.NewReader(caddyfile))
	}
	res, err := post()
	if errors.Is(err, io.EOF) { // the admin endpoint of the last config, while it was being closed
		res, err = post()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body := must.Get(io.ReadAll(res.Body))(s.t)
	must.Eventually(s.t, "an end of the other config's listener", func() bool { return s.listeners() <= 1 })
	if res.StatusCode == http.StatusOK {
		return ""
	}
	return decode(s.t, body).text("error")
}

// listeners returns the number of listeners on the site's port, or 0 if the system doesn't
// show them. During a reload there are two for a moment, each with a queue, and Caddy drops
// the queue of the one that it closes.
func (s *server) listeners() int {
	const listening = "0A"
	_, port, _ := strings.Cut(s.addr, ":")
	number, _ := strconv.Atoi(port)
	table, _ := os.ReadFile("/proc/net/tcp")
	n := 0
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 3 && f[3] == listening && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) {
			n++
		}
	}
	return n
}

// adminClient calls the admin endpoint, whatever the URL's host is.
func (s *server) adminClient() *http.Client {
	socket := strings.TrimPrefix(s.admin, "unix/")
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // a reload would wait for them
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

// adminGet reads from the admin endpoint.
func (s *server) adminGet(path string) string {
	s.t.Helper()
	res := must.Get(s.adminClient().Get("http://caddy" + path))(s.t)
	defer res.Body.Close()
	body := must.Get(io.ReadAll(res.Body))(s.t)
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s from the admin endpoint: %s: %s", path, res.Status, body)
	}
	return string(body)
}

// url returns the URL of a path of the site.
func (s *server) url(path string) string { return "http://" + s.addr + path }

// log returns Caddy's output so far, of all starts.
func (s *server) log() string { return s.out.String() }

// result is the result of a command.
type result struct {
	stdout, stderr string
	code           int
}

// cli runs a caddy command with the server's environment.
func (s *server) cli(args ...string) result { return s.cliWith("", args...) }

// cliWith is cli with a standard input.
func (s *server) cliWith(stdin string, args ...string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), must.Patience)
	defer cancel()
	cmd := s.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		s.t.Fatalf("running caddy %s: %v", strings.Join(args, " "), err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// webhooks runs a command of `caddy webhooks` that must succeed, and returns its output.
func (s *server) webhooks(args ...string) string {
	s.t.Helper()
	r := s.cli(slices.Concat([]string{"webhooks"}, args, []string{"--address", s.admin})...)
	if r.code != 0 {
		s.t.Fatalf("caddy webhooks %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// output is the output of a process.
type output struct{ logged.Buffer }

func (o *output) len() int { return len(o.String()) }

func (o *output) after(mark int) string { return o.String()[mark:] }
