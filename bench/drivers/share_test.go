package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	lib "modernc.org/sqlite/lib"
)

// TestBesideCLI shows that SQLite's own command reads a store that is being
// written, and that the locks of each hold for the other.
func TestBesideCLI(t *testing.T) {
	cli, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("needs the sqlite3 command")
	}
	for _, d := range drivers {
		t.Run(d.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			s := plain
			s.Checkpoint = "beside"
			st, err := openStore(path, d.open, s)
			if err != nil {
				t.Fatal(err)
			}
			defer st.close()
			write := func(n int) {
				for range n {
					if err := st.write([]event{{payload: make([]byte, 1024)}}); err != nil {
						t.Fatal(err)
					}
				}
			}
			for i := range 5 {
				write(20)
				if got, want := count(t, cli, path), 20*(i+1); got != want {
					t.Errorf("the command reads %d events, want %d", got, want)
				}
			}
			exclude(t, cli, path, st)
			write(1)
		})
	}
}

func count(t *testing.T, cli, path string) int {
	t.Helper()
	out, err := exec.Command(cli, path, "SELECT count(*) FROM events").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n, _ := strconv.Atoi(string(bytes.TrimSpace(out)))
	return n
}

// exclude lets the command and the store hold the write lock in turn.
func exclude(t *testing.T, cli, path string, st *store) {
	t.Helper()
	cmd := exec.Command(cli, path)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "BEGIN IMMEDIATE;\n.print locked")
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Errorf("the command says %q", line)
	}
	if err := st.conn.exec("PRAGMA busy_timeout = 0"); err != nil {
		t.Fatal(err)
	}
	if err := st.conn.exec("BEGIN IMMEDIATE"); code(err) != lib.SQLITE_BUSY {
		t.Errorf("while the command holds the lock: %v, want SQLITE_BUSY", err)
	}
	in.Close()
	cmd.Wait()
	if err := st.conn.exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cli, path, "BEGIN IMMEDIATE").CombinedOutput(); err == nil {
		t.Errorf("the command takes the store's lock: %s", out)
	}
	if err := st.conn.exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
}
