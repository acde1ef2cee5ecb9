package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

const root = "../.."

// read returns the text of a file of the repository.
func read(t *testing.T, file string) string {
	t.Helper()
	text := must.Get(os.ReadFile(filepath.Join(root, file)))(t)
	return string(text)
}

// fenced returns the blocks of code in a language from the README and the pages about
// delivering and operating.
func fenced(t *testing.T, language string) []string {
	t.Helper()
	var blocks []string
	for _, page := range []string{"README.md", "docs/deliver.md", "docs/operate.md"} {
		for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(read(t, page), -1) {
			blocks = append(blocks, m[1])
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("no page has a block of %s", language)
	}
	return blocks
}

// adminToken is a token of the demonstration beside its own, which is too short to issue
// tokens for tenants.
const adminToken = "the-demonstration-of-an-administrator"

// demo is the demonstration: its Caddyfile as it is, but for that token and for its ports,
// which may be taken.
type demo struct {
	*server
	ports *strings.Replacer
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	text := must.Get(os.ReadFile(filepath.Join(root, "Caddyfile.example")))(t)
	d := &demo{ports: strings.NewReplacer("8080", fmt.Sprint(freeport.Get()), "8081", fmt.Sprint(freeport.Get()))}
	const token = "token {$WEBHOOKS_TOKEN:demo-token} manage\n"
	example := strings.Replace(string(text), token, token+"\t\t\ttoken "+adminToken+" manage\n", 1)
	d.server = newServer(t, d.ports.Replace(example))
	d.env = append(d.env, "CADDY_ADMIN="+d.admin, "WEBHOOKS_ADMIN="+adminToken)
	d.start()
	return d
}

// shell runs lines of the pages in which any failure counts, an answer of 400
// and more too.
func (d *demo) shell(lines string) string {
	d.t.Helper()
	must.Do(d.t, os.WriteFile(filepath.Join(d.dir, ".curlrc"), []byte("fail\nsilent\nshow-error\n"), 0o600))
	lines = strings.ReplaceAll(d.ports.Replace(lines), "go run ./cmd/caddy", "caddy")
	cmd := exec.CommandContext(d.t.Context(), "sh", "-ec", lines)
	cmd.Dir, cmd.Env = d.dir, append(d.env, "PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Errorf("%v\n%s%s", err, lines, out)
	}
	return string(out)
}

// What the pages' lines name, and the demonstration doesn't have.
var (
	deliveryID    = regexp.MustCompile(`\bdlv_[0-9a-f]{16}\b`)
	oneDeadLetter = regexp.MustCompile(`(?m)^caddy webhooks dead-letters redeliver dlv_.*$`)
)

// endless matches a line that runs until it is interrupted, which here is after a second.
var endless = regexp.MustCompile(`(?m)^caddy webhooks tail.*$`)

// TestDemo starts the demonstration and runs the commands in the pages against it.
func TestDemo(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is missing: the pages' lines need it")
	}
	d := startDemo(t)
	if strings.Contains(d.log(), "not formatted") {
		t.Error("Caddyfile.example isn't as caddy fmt would write it")
	}
	delivered := func(n int) {
		must.Eventually(t, fmt.Sprintf("%d deliveries that the receiver has verified", n), func() bool {
			return strings.Count(d.log(), `"uri":"/hooks"`) >= n
		})
	}
	if out := d.shell("curl -L -o /dev/null -w '%{url_effective}' http://localhost:8080/webhooks"); !strings.HasSuffix(out, "/webhooks/") {
		t.Errorf("without the slash at its end, the dashboard's URL leads to %s", out)
	}
	_, err := exec.LookPath("sqlite3")
	hasSQLite := err == nil
	driven := 0
	for _, block := range fenced(t, "sh") {
		if strings.Contains(block, "go test") || strings.Contains(block, "xcaddy") || strings.Contains(block, "sqlite3") && !hasSQLite {
			continue
		}
		block = oneDeadLetter.ReplaceAllString(block, "") // there is none here
		block = endless.ReplaceAllString(block, "timeout 1 $0 || [ $$? -eq 124 ]")
		block = deliveryID.ReplaceAllStringFunc(block, func(string) string { return d.newest() })
		d.shell(strings.NewReplacer("sub_crm", "sub_demo", "webhooks.db", "webhooks-demo.db", "https://hooks.example.com", "http://localhost:8080").Replace(block))
		if strings.Contains(block, "curl -i") || strings.Contains(block, "--curl ") {
			driven++
			delivered(driven)
		}
	}
	if driven < 3 {
		t.Errorf("the pages publish %d times, want once by each way", driven)
	}
	for _, line := range strings.Split(d.log(), "\n") {
		if strings.Contains(line, `"uri":"/hooks"`) && !strings.Contains(line, `"status":200`) {
			t.Errorf("the receiver refused a delivery: %s", line)
		}
	}
	if out := d.webhooks("deliveries", "list"); strings.Count(out, "delivered") != driven || !strings.Contains(out, "github.push") || !strings.Contains(out, "order.created") {
		t.Errorf("the deliveries are\n%s", out)
	}
	if hasSQLite {
		query := regexp.MustCompile("`(sqlite3 [^`]*)`").FindStringSubmatch(read(t, "README.md"))
		if query == nil {
			t.Fatal("the README has no line of sqlite3")
		}
		if out := d.shell(query[1]); strings.Count(out, "delivered") != driven {
			t.Errorf("%s shows\n%s", query[1], out)
		}
	}
}

// newest returns the id of the newest delivery.
func (d *demo) newest() string {
	d.t.Helper()
	rows := decode(d.t, []byte(d.webhooks("deliveries", "list", "--json"))).list("data")
	if len(rows) == 0 {
		d.t.Fatal("there is no delivery")
	}
	return rows[0].text("delivery_id")
}

// TestExampleFile checks that the demonstration's Caddyfile is valid, and formatted like
// caddy fmt formats it.
func TestExampleFile(t *testing.T) {
	t.Parallel()
	file := must.Get(filepath.Abs(filepath.Join(root, "Caddyfile.example")))(t)
	s := newServer(t, "")
	for _, args := range [][]string{
		{"adapt", "--config", file},
		{"validate", "--config", file},
		{"fmt", "--diff", file},
	} {
		if r := s.cli(args...); r.code != 0 {
			t.Errorf("caddy %s: exit code %d\n%s%s", args[0], r.code, r.stdout, r.stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "webhooks-demo.db")); err == nil {
		t.Error("validate made the store")
	}
}

// TestPagesCaddyfiles checks that the Caddyfiles in the pages are valid, and formatted like
// caddy fmt formats them.
func TestPagesCaddyfiles(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	for _, block := range fenced(t, "caddyfile") {
		s.write(block)
		if r := s.cli("adapt", "--config", s.file(), "--adapter", "caddyfile"); r.code != 0 {
			t.Errorf("%s\n%s", block, r.stderr)
		}
		if r := s.cli("fmt", "--diff", s.file()); r.code != 0 {
			t.Errorf("not as caddy fmt would write it:\n%s", r.stdout)
		}
	}
}
