package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// columns are the columns of soak.csv.
var columns = []string{
	"seconds", "cpu_percent", "rss_mib", "descriptors", "goroutines", "database_mib", "wal_mib",
	"pending", "lag_seconds", "accepted", "delivered", "repeats", "dead_letters", "kills", "stops", "reloads",
}

// meter samples the server into a CSV file.
type meter struct {
	server *server
	ledger *ledger
	file   *os.File
	csv    *csv.Writer
	began  time.Time

	buried int // dead letters that the ledger knows
	cpu    cpuTime
}

// cpuTime is how much CPU time a process had used at a moment.
type cpuTime struct {
	pid  int
	used time.Duration
	at   time.Time
}

func newMeter(s *server, l *ledger, path string) (*meter, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	m := &meter{server: s, ledger: l, file: file, csv: csv.NewWriter(file), began: time.Now()}
	return m, m.csv.Write(columns)
}

func (m *meter) close() { m.file.Close() }

// sample writes one row.
func (m *meter) sample() error {
	st, err := m.server.status()
	if err != nil {
		return fmt.Errorf("sampling: %w", err)
	}
	if st.DeadLetters > m.buried {
		dead, err := m.server.deadLetters()
		if err != nil {
			return fmt.Errorf("sampling: %w", err)
		}
		m.ledger.bury(dead)
		m.buried = st.DeadLetters
	}
	goroutines, err := m.goroutines()
	if err != nil {
		return fmt.Errorf("sampling: %w", err)
	}
	pid := m.server.cmd.Process.Pid
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return fmt.Errorf("sampling: %w", err)
	}
	t := m.ledger.tally()
	row := []float64{
		time.Since(m.began).Seconds(), m.cpuPercent(pid), rss(pid), float64(len(descriptors)), float64(goroutines),
		mib(m.server.db), mib(m.server.db + "-wal"),
		float64(st.Pending), t.lag.Seconds(), float64(t.accepted), float64(t.delivered), float64(t.repeats),
		float64(st.DeadLetters), float64(m.server.kills), float64(m.server.stops), float64(m.server.reloads),
	}
	fields := make([]string, len(row))
	for i, v := range row {
		fields[i] = strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
	}
	if err := m.csv.Write(fields); err != nil {
		return err
	}
	m.csv.Flush()
	return m.csv.Error()
}

func (m *meter) goroutines() (n int, err error) {
	profile, err := m.server.get("/debug/pprof/goroutine?debug=1", "*/*")
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(string(profile), "goroutine profile: total %d", &n)
	return n, err
}

// cpuPercent returns the share of one core that the process used since the last
// sample.
func (m *meter) cpuPercent(pid int) float64 {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all platforms
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	before, now := m.cpu, cpuTime{pid, time.Duration(user+system) * tick, time.Now()}
	m.cpu = now
	if before.pid != pid {
		return 0
	}
	return 100 * float64(now.used-before.used) / float64(now.at.Sub(before.at))
}

// rss returns a process's resident memory in MiB.
func rss(pid int) float64 {
	statm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

// mib returns a file's size in MiB, or 0 if there is no file.
func mib(path string) float64 {
	info, err := os.Stat(filepath.Clean(path))
	if err != nil {
		return 0
	}
	return float64(info.Size()) / (1 << 20)
}
