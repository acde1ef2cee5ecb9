package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const token = "soak-token"

// patience limits every wait for the server.
const patience = time.Minute

// server is a Caddy that is stopped, killed and started again.
type server struct {
	dir, binary string
	db, store   string // the store's file, and the store as the Caddyfile names it
	site, admin string // URLs
	log         io.Writer
	cmd         *exec.Cmd
	version     int // of the config

	kills, stops, reloads     int
	slowestStart, slowestStop time.Duration
}

func newServer(dir, binary, database string, log io.Writer) (*server, error) {
	s := &server{
		dir: dir, binary: binary, log: log, db: filepath.Join(dir, "webhooks.db"),
		site: "http://" + freeAddress(), admin: "http://" + freeAddress(),
	}
	s.store = "sqlite " + s.db
	if database != "" {
		s.store = "postgres " + database
	}
	return s, s.write()
}

// nextPort is above the ports that the system gives to outgoing connections, one of
// which could otherwise take the port of a server that is down.
var nextPort = 61_100

func freeAddress() string {
	for ; nextPort < 65_000; nextPort++ {
		addr := fmt.Sprintf("127.0.0.1:%d", nextPort)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			nextPort++
			return addr
		}
	}
	panic("no port is free")
}

// caddyfile returns the config. Its limits differ with each version.
func (s *server) caddyfile() string {
	return fmt.Sprintf(`{
	admin %s
	grace_period 10s
	webhooks {
		store %s
		retry 1s 2s 5s 10s 20s 40s 1m
		timeout 3s
		concurrency %d
		endpoint_concurrency %d
		egress {
			allow 127.0.0.1
		}
	}
}
%s {
	bind 127.0.0.1
	handle_path /webhooks/* {
		webhook_api {
			token %s manage
		}
	}
}
`, strings.TrimPrefix(s.admin, "http://"), s.store, 128+s.version%64, 12+s.version%8, s.site, token)
}

func (s *server) config() string { return filepath.Join(s.dir, "Caddyfile") }

func (s *server) write() error { return os.WriteFile(s.config(), []byte(s.caddyfile()), 0o600) }

// start starts the process and waits until it serves.
func (s *server) start() error {
	began := time.Now()
	cmd := exec.Command(s.binary, "run", "--config", s.config(), "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+filepath.Join(s.dir, "data"), "XDG_CONFIG_HOME="+filepath.Join(s.dir, "config"))
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	for time.Since(began) < patience {
		if _, err := s.status(); err == nil {
			s.slowestStart = max(s.slowestStart, time.Since(began))
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("caddy was started, but does not serve: see caddy.log")
}

// kill ends the process by SIGKILL.
func (s *server) kill() error {
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = s.cmd.Wait() // its error is that the process was killed
	return nil
}

// stop ends the process by SIGTERM; it must exit with 0.
func (s *server) stop() error {
	began := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("stopping caddy: %w", err)
	}
	s.slowestStop = max(s.slowestStop, time.Since(began))
	return nil
}

// restart kills the process, or stops it each fourth time, and starts a new one.
func (s *server) restart() error {
	end, count := s.kill, &s.kills
	if (s.kills+s.stops)%4 == 3 {
		end, count = s.stop, &s.stops
	}
	if err := end(); err != nil {
		return err
	}
	*count++
	return s.start()
}

// reload loads a new version of the config.
func (s *server) reload() error {
	s.version++
	if err := s.write(); err != nil {
		return err
	}
	resp, err := plain.Post(s.admin+"/load", "text/caddyfile", strings.NewReader(s.caddyfile()))
	if err != nil {
		return fmt.Errorf("reloading: %w", err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reloading: %s: %s", resp.Status, text)
	}
	s.reloads++
	return nil
}

// plain keeps no connections, since the process may be gone at the next request.
var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// get reads from the admin endpoint. It tries again after an error, since a reload
// may abort the request.
func (s *server) get(path, accept string) ([]byte, error) {
	var text []byte
	var err error
	for range 3 {
		if text, err = s.getOnce(path, accept); err == nil {
			break
		}
	}
	return text, err
}

func (s *server) getOnce(path, accept string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodGet, s.admin+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	resp, err := plain.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	}
	return text, err
}

func (s *server) subscribe(url string, types []string) error {
	body, err := json.Marshal(map[string]any{"url": url, "event_types": types})
	if err != nil {
		return err
	}
	resp, err := plain.Post(s.admin+"/webhooks/subscriptions", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("subscribing: %s: %s", resp.Status, text)
	}
	return nil
}

// status has the fields of GET /status that are measured.
type status struct {
	Pending     int `json:"pending"`
	DeadLetters int `json:"dead_letters"`
}

func (s *server) status() (st status, err error) {
	text, err := s.get("/webhooks/status", "application/json")
	if err != nil {
		return st, err
	}
	err = json.Unmarshal(text, &st)
	return st, err
}

// deadLetters returns the deliveries that were given up.
func (s *server) deadLetters() (map[delivery]bool, error) {
	text, err := s.get("/webhooks/dead-letters", "application/x-ndjson")
	if err != nil {
		return nil, err
	}
	all := map[delivery]bool{}
	for lines := json.NewDecoder(bytes.NewReader(text)); lines.More(); {
		var d struct {
			Event string `json:"event_id"`
			URL   string `json:"url"`
		}
		if err := lines.Decode(&d); err != nil {
			return nil, fmt.Errorf("reading a dead letter: %w", err)
		}
		all[delivery{number(d.Event), int(d.URL[len(d.URL)-1] - '0')}] = true
	}
	return all, nil
}
