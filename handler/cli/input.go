package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/term"

	"github.com/caddyserver/caddy/v2"
)

// maxInput bounds what is read from a file or standard input. It is the largest
// payload that an event can be allowed to have.
const maxInput = 64 << 20

// stdin is the file name that stands for standard input.
const stdin = "-"

// read reads a file or standard input. Only one thing can be read from the latter.
// What is that thing, for errors, such as "the payload".
func (c *call) read(name, what string) ([]byte, error) {
	from := c.in
	if name == stdin {
		if c.stdinFor != "" {
			return nil, usagef("%s and %s can't both come from standard input: put one into a file", c.stdinFor, what)
		}
		c.stdinFor = what
		if isTerminal(c.in) {
			fmt.Fprintf(c.err, "Reading %s from standard input; Ctrl-D ends it.\n", what)
		}
	} else {
		file, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading %s: there is no file %s", what, name)
		} else if err != nil {
			return nil, fmt.Errorf("reading %s: %w", what, err)
		}
		defer file.Close()
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if len(text) > maxInput {
		return nil, fmt.Errorf("reading %s: it is larger than %d MiB", what, maxInput>>20)
	}
	return text, nil
}

func isTerminal(r io.Reader) bool {
	file, ok := r.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// bodyFlags are the two flags that give a body, --<name> and --<name>-file. Without
// them, it is read from standard input.
type bodyFlags struct{ name, text, file string }

func (b *bodyFlags) register(f *pflag.FlagSet, name, what string) {
	b.name = name
	f.StringVar(&b.text, name, "", "The "+what)
	f.StringVar(&b.file, name+"-file", stdin, "File to read the "+what+" from, - for standard input")
	f.Lookup(name + "-file").DefValue = "" // not every command reads standard input without the flag
}

// given reports whether one of the flags is set.
func (b *bodyFlags) given(f *pflag.FlagSet) bool {
	return f.Changed(b.name) || f.Changed(b.name+"-file")
}

func (b *bodyFlags) read(c *call, what string) ([]byte, error) {
	f := c.cmd.Flags()
	switch {
	case f.Changed(b.name) && f.Changed(b.name+"-file"):
		return nil, usagef("--%s and --%s-file can't be given together", b.name, b.name)
	case f.Changed(b.name):
		return []byte(b.text), nil
	}
	return c.read(b.file, what)
}

// secretVariable is the environment variable with the secret, used unless a flag
// gives one.
const secretVariable = "WEBHOOK_SECRET"

// secretFlags are the flags that give secrets. Unlike a file, the value of a flag
// shows in the list of processes and in the shell's history.
type secretFlags struct{ values, files []string }

func (s *secretFlags) register(f *pflag.FlagSet) {
	f.StringArrayVar(&s.values, "secret", nil, "A secret, - for standard input; other users can see it in the process list, so prefer --secret-file")
	f.StringArrayVar(&s.files, "secret-file", nil, "File to read a secret from, - for standard input")
}

// read returns the secrets of the flags, values before files.
func (s *secretFlags) read(c *call) ([]string, error) {
	var secrets []string
	for _, v := range s.values {
		if v == stdin {
			s.files = append(s.files, stdin)
		} else {
			secrets = append(secrets, v)
		}
	}
	for _, name := range s.files {
		text, err := c.read(name, "the secret")
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, trimNewline(text))
	}
	for _, v := range secrets {
		if strings.TrimSpace(v) == "" {
			return nil, usagef("a secret is empty: check that the variable or file that it comes from is set")
		}
	}
	return secrets, nil
}

// trimNewline removes the newline that editors add to the end of a file.
func trimNewline(text []byte) string {
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
}

// orFromEnvironment returns what read returned, or else the secret of the environment.
// It fails if there is none.
func orFromEnvironment(secrets []string, err error) ([]string, error) {
	if err != nil || len(secrets) > 0 {
		return secrets, err
	}
	if v := os.Getenv(secretVariable); v != "" {
		return []string{v}, nil
	}
	return nil, usagef("a secret is missing: give it with --secret-file, --secret or the variable %s", secretVariable)
}

// parseHeaders parses headers in the form "Name: value". Repeated ones stay
// separate.
func parseHeaders(lines []string) (http.Header, error) {
	h := make(http.Header, len(lines))
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, usagef("a header is wrong: write it as \"Name: value\", not %q", cut(line, 40))
		}
		h.Add(name, value)
	}
	return h, nil
}

// flat returns headers as a JSON object has them. Repeated values are joined.
func flat(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		out[name] = strings.Join(values, ", ")
	}
	return out
}

// pairs parses the values of a flag in the form name=value. An empty value becomes
// null, which removes the name in the API.
func pairs(flag string, texts []string) (map[string]any, error) {
	out := map[string]any{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		switch {
		case !ok || name == "":
			return nil, usagef("--%s is wrong: write it as name=value, not %q", flag, cut(text, 40))
		case value == "":
			out[name] = nil
		default:
			out[name] = value
		}
	}
	return out, nil
}

// refuseEmpty returns an error if one of the flags is set to an empty value.
func (c *call) refuseEmpty(names ...string) error {
	for _, name := range names {
		if flag := c.cmd.Flags().Lookup(name); flag.Changed && flag.Value.String() == "" {
			return usagef("--%s is empty: check that the variable that it comes from is set, or leave the flag out", name)
		}
	}
	return nil
}

// parseTime parses a point in time: RFC 3339, a date with or without a time of day,
// Unix seconds, or how long ago, such as 90m or 7d.
func (t *tool) parseTime(s string) (time.Time, error) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(form, s, t.zone); err == nil {
			return at, nil
		}
	}
	if seconds, err := strconv.ParseUint(s, 10, 63); err == nil && len(s) == 10 {
		return time.Unix(int64(seconds), 0), nil
	}
	if d, err := caddy.ParseDuration(strings.TrimPrefix(s, "-")); err == nil {
		return t.now().Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time: write 2026-01-31T15:04:05Z, \"2026-01-31 15:04\" in local time, Unix seconds with ten digits, or how long ago, such as 90m or 7d", cut(s, 40))
}
