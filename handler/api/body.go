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
	// envelopeRoom is what an event may have around its payload: 4 KiB of
	// headers, which escapes make longer, and the rest.
	envelopeRoom = 16 << 10
	// bodiesLimit bounds what the bodies of all calls take together, until
	// each is answered.
	bodiesLimit = 64 << 20
)

// curlType is what curl -d says of any body unless it is told otherwise.
const curlType = "application/x-www-form-urlencoded"

// mediaType makes sure that the body is of one of the types, and tells which.
// One that isn't named, or only by curl, is taken for the first of them: pages
// of other sites are kept out by auth.go, so nothing hangs on the name.
func (c *call) mediaType(types ...string) (string, error) {
	if e := c.r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return "", refuse(codeMediaType, "the body has the content encoding %s: send it as it is", quote(e))
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

// readBody reads the body, which is the caller's then. What is over the limit
// is refused with tooLong.
func (c *call) readBody(limit int64, tooLong func() error) ([]byte, error) {
	body, part, err := c.bodies.Read(c.r, limit)
	c.body = part
	switch {
	case errors.Is(err, room.ErrTooLarge):
		return nil, tooLong()
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
		return tooLong(over.Limit) // of a handler before this one
	}
	if errors.Is(err, room.ErrSlow) || errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(codeTooSlow, "the rest of the body did not come in time: send it again, faster")
	}
	return refuse(codeIncomplete, "the body ended before all of it had arrived: send it again")
}

func noRoom() error {
	return refuse(codeUnavailable, "more is sent than can be stored for the moment, and nothing of this was: try again in a second").retryAfter(soon)
}

func tooLong(limit int64) error {
	return refuse(codeTooLarge, "the body is over %s: send less at a time", bytesOf(limit))
}

// bytesOf writes a number of bytes for people.
func bytesOf(n int64) string {
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
