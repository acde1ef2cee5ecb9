package verify_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// naive is a second implementation of schemes with the signature, timestamp and id in
// headers. It is as simple as possible, slow, not in constant time, and uses no code of
// the package. Where the two differ, one of them is wrong.
type naive struct {
	scheme verify.Scheme
	keys   []string
	now    time.Time
}

var (
	printable = regexp.MustCompile(`^[!-~]{1,256}$`)
	readable  = regexp.MustCompile(`^[!-~]([ -~]{0,254}[!-~])?$`)
)

func (n naive) accepts(r *http.Request, body string) bool {
	if r.Method != "POST" {
		return false
	}
	s := n.scheme
	once := func(name string) (string, bool) {
		values := r.Header.Values(name)
		if len(values) > 1 {
			return "", false
		}
		return strings.Join(values, ""), true
	}
	text, ok := once(s.Signature.Name)
	if !ok || len(text) > 8192 {
		return false
	}
	id, ok := once(s.ID.Name)
	if s.ID.In != "" && (!ok || id != "" && !printable.MatchString(id)) {
		return false
	}
	if strings.Contains(s.Content, "{id}") && (id == "" || strings.Contains(id, ".")) {
		return false
	}
	event, ok := once(s.EventType.Name)
	if s.EventType.In != "" && (!ok || event != "" && !readable.MatchString(event)) {
		return false
	}
	stamp := ""
	if s.Timestamp.In == "header" {
		if stamp, ok = once(s.Timestamp.Name); !ok {
			return false
		}
	}

	text, ok = strings.CutPrefix(text, s.Signature.Prefix)
	if !ok {
		return false
	}
	candidates := []string{text}
	if s.Signature.Separator != "" {
		candidates = strings.Split(text, s.Signature.Separator)
		if len(candidates) > 128 {
			return false
		}
		for i := range candidates {
			candidates[i] = strings.Trim(candidates[i], " \t")
		}
	}
	if len(s.Signature.Tags) > 0 {
		assign := s.Signature.Assign
		if assign == "" {
			assign = "="
		}
		items := make(map[string][]string)
		for _, c := range candidates {
			if name, value, ok := strings.Cut(c, assign); ok {
				items[name] = append(items[name], value)
			}
		}
		if s.Timestamp.In == "field" {
			if len(items[s.Timestamp.Name]) != 1 {
				return false
			}
			stamp = items[s.Timestamp.Name][0]
		}
		candidates = nil
		for _, tag := range s.Signature.Tags {
			if len(items[tag]) > 0 {
				candidates = items[tag]
				break
			}
		}
	}
	if s.Timestamp.In != "" && !n.timely(stamp) {
		return false
	}

	content := strings.NewReplacer("{id}", id, "{timestamp}", stamp, "{body}", body).Replace(s.Content)
	for _, key := range n.keys {
		h := hmac.New(naiveHash(s.Algorithm), []byte(key))
		h.Write([]byte(content))
		sum := h.Sum(nil)
		var texts []string
		switch s.Signature.Encoding {
		case "", "hex":
			for i, c := range candidates {
				if len(c) == 2*len(sum) {
					candidates[i] = asciiLower(c)
				}
			}
			texts = []string{hex.EncodeToString(sum)}
		case "base64":
			texts = []string{base64.StdEncoding.EncodeToString(sum)}
		case "base64url_raw":
			texts = []string{base64.RawURLEncoding.EncodeToString(sum)}
		}
		if slices.ContainsFunc(candidates, func(c string) bool { return slices.Contains(texts, c) }) {
			return true
		}
	}
	return false
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func (n naive) timely(stamp string) bool {
	digits, unit := 10, time.Second
	if n.scheme.Timestamp.Format == "unix_ms" {
		digits, unit = 13, time.Millisecond
	}
	if !regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(stamp) || len(stamp) != digits {
		return false
	}
	v, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return false
	}
	age := n.now.UnixNano() - v*int64(unit)
	return age <= int64(5*time.Minute) && age >= -int64(5*time.Minute)
}

func naiveHash(name string) func() hash.Hash {
	switch name {
	case "sha1":
		return sha1.New
	case "sha384":
		return sha512.New384
	case "sha512":
		return sha512.New
	}
	return sha256.New
}

// pick returns a scheme for the bits of a number.
func pick(bits uint32) verify.Scheme {
	next := func(n uint32) uint32 {
		v := bits % n
		bits /= n
		return v
	}
	s := verify.Scheme{Name: "picked", Signature: verify.Signature{Name: "X-Sig"}}
	s.Algorithm = []string{"", "sha1", "sha384", "sha512"}[next(4)]
	s.Signature.Encoding = []string{"", "base64", "base64url_raw"}[next(3)]
	s.Signature.Prefix = []string{"", "sha256=", "v0="}[next(3)]
	switch next(5) {
	case 1:
		s.Signature.Separator = ","
	case 2:
		s.Signature.Separator, s.Signature.Tags = ",", []string{"v1"}
	case 3:
		s.Signature.Separator, s.Signature.Tags = ";", []string{"v2", "v1"}
	case 4:
		s.Signature.Separator, s.Signature.Tags, s.Signature.Assign = " ", []string{"v1"}, ","
	}
	s.ID = verify.Field{In: "header", Name: "X-Id"}
	s.Content = "{body}"
	switch next(4) {
	case 1:
		s.Content = "{timestamp}.{body}"
	case 2:
		s.Content = "{id}.{timestamp}.{body}"
	case 3:
		s.Content = "{body}{timestamp}"
	}
	if strings.Contains(s.Content, "{timestamp}") {
		s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time"}
		if len(s.Signature.Tags) > 0 && next(2) == 1 {
			s.Timestamp = verify.Timestamp{In: "field", Name: "t"}
		}
		if next(2) == 1 {
			s.Timestamp.Format = "unix_ms"
		}
	}
	if next(2) == 1 {
		s.EventType = verify.Field{In: "header", Name: "X-Event"}
	}
	return s
}
