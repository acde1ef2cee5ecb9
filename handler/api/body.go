package api

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
)

const (
	// bodyLimit is for every body but an event's: a subscription may have a
	// thousand event types.
	bodyLimit = 256 << 10
	// envelopeRoom is how many bytes a body may have besides an event's payload:
	// 4 KiB of headers, which escapes make longer, and the other fields.
	envelopeRoom = 16 << 10
	// bodiesLimit is how much memory the bodies of all unanswered requests may
	// take together.
	bodiesLimit = 64 << 20
)

// curlType is the content type that curl -d sends by default, whatever the body is.
const curlType = "application/x-www-form-urlencoded"

// mediaType returns which of the types the body has, and an error if it has
// another. Without a content type, or with curl's default, it is taken for the
// first of them. That isn't a risk: auth.go keeps out pages of other sites, which
// could send such requests.
func (c *call) mediaType(types ...string) (string, error) {
	if e := c.r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return "", refuse(codeMediaType, "the body has the content encoding %s: send it without one", quote(e))
	}
	sent := c.r.Header.Get("Content-Type")
	switch {
	case slices.Contains(types, sent):
		return sent, nil
	case sent == "" || sent == curlType:
		return types[0], nil
	}
	wanted := strings.Join(types, " or ")
	t, params, err := mime.ParseMediaType(sent)
	if err != nil || !slices.Contains(types, t) {
		return "", refuse(codeMediaType, "the body has the content type %s: send it with Content-Type: %s", quote(sent), wanted)
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", refuse(codeMediaType, "the body has the charset %s: JSON is UTF-8", quote(charset))
	}
	return t, nil
}

// readBody reads the whole body, once for each call. One that is over the limit is
// refused with tooLarge. The memory that it takes counts until the call is answered.
func (c *call) readBody(limit int64, tooLarge func(limit int64) error) ([]byte, error) {
	body, part, err := c.bodies.Read(c.r, c.engine.tenant, limit)
	c.body = part
	switch {
	case errors.Is(err, room.ErrTooLarge):
		return nil, tooLarge(limit)
	case errors.Is(err, room.ErrFull):
		return nil, noRoom()
	case err != nil:
		return nil, broken(err)
	}
	return body, nil
}

// broken says why a body could not be read.
func broken(err error) error {
	if over, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return bodyTooLarge(over.Limit) // a limit of the server's, such as request_body sets
	}
	if errors.Is(err, room.ErrSlow) || errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(codeTooSlow, "the rest of the body did not come in time: send it again, faster")
	}
	return refuse(codeIncomplete, "the body ended before all of it had arrived: send it again")
}

func noRoom() error {
	return refuse(codeUnavailable, "more is being sent than can be stored at the moment, and nothing of this was stored: try again in a second").retryAfter(soon)
}

func bodyTooLarge(limit int64) error {
	return refuse(codeTooLarge, "the body is over %s: send less at a time", formatBytes(limit))
}

// formatBytes formats a number of bytes for people.
func formatBytes(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
