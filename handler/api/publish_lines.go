package api

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

const (
	lineBuffer = 64 << 10
	groupLines = 128     // lines that are published together
	groupBytes = 1 << 20 // bytes of them, the last one excepted
	// readerPatience is how long a caller may leave answers unread. It breaks
	// the deadlock with one that wants to send everything before it reads.
	readerPatience = 30 * time.Second
)

// publishLines stores an event for each line, and answers each with a line, in
// the same order, while more come in. What has arrived is published together,
// so that a caller may wait for an answer before it sends the next line.
func (c *call) publishLines() error {
	c.body = c.bodies.Part()
	if !c.body.Grow(lineBuffer) {
		return noRoom()
	}
	maxPayload := c.engine.MaxPayload()
	in := &lineReader{r: bufio.NewReaderSize(c.r.Body, lineBuffer), limit: int(maxPayload + envelopeRoom), tooLong: eventTooLarge(maxPayload), room: c.bodies.Part()}
	defer in.room.Release()
	control := http.NewResponseController(c.w)
	_ = control.EnableFullDuplex() // an error: it is HTTP/2, where it needs no leave
	setHeaders(c.w.Header(), typeNDJSON)
	c.w.WriteHeader(http.StatusOK)
	for {
		_ = control.SetReadDeadline(time.Now().Add(room.Patience(int64(in.limit)))) // where the server can: else its own timeout counts
		lines, end := in.group()
		whole := end == nil || errors.Is(end, io.EOF)
		if whole { // else it holds, for what the server would read after this
			_ = control.SetReadDeadline(time.Time{}) // the caller isn't waited for now
		}
		answers := c.publishGroup(lines)
		in.room.Release()
		if !whole {
			answers = c.appendRefused(answers, in.number, broken(end))
		}
		_ = control.SetWriteDeadline(time.Now().Add(readerPatience))
		_, err := c.w.Write(answers)
		if err == nil {
			err = control.Flush()
		}
		if !whole {
			panic(http.ErrAbortHandler) // or what is still to come of the body would pass for the next request
		}
		if end != nil || err != nil && !errors.Is(err, http.ErrNotSupported) {
			return nil // all is said, or nobody listens
		}
	}
}

// publishGroup publishes lines and returns their answers.
func (c *call) publishGroup(lines []line) []byte {
	events := make([]*outbound.NewEvent, 0, len(lines))
	for i := range lines {
		l := &lines[i]
		if l.refused != nil {
			continue
		}
		var n *outbound.NewEvent
		if n, l.refused = parseEvent(l.text); l.refused == nil {
			events = append(events, n)
		}
	}
	published := c.engine.PublishAll(c.r.Context(), events)
	var out []byte
	for _, l := range lines {
		if l.refused == nil {
			var a outbound.Answer
			a, published = published[0], published[1:]
			if l.refused = a.Err; a.Err == nil {
				out = appendLine(out, l.number, publishedStatus(a.Published))
				out = appendPublished(out, a.Published)
				continue
			}
		}
		out = c.appendRefused(out, l.number, l.refused)
	}
	return out
}

// appendLine begins the answer to a line.
func appendLine(b []byte, number, status int) []byte {
	b = append(b, `{"line":`...)
	b = strconv.AppendInt(b, int64(number), 10)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	return append(b, ',')
}

// refusedLine is a problem with the line that has it.
type refusedLine struct {
	Line int `json:"line"`
	*problem
}

func (c *call) appendRefused(b []byte, number int, err error) []byte {
	p := problemOf(err)
	c.report(c.r, p)
	text, err := encode(refusedLine{number, p})
	if err != nil {
		panic(err) // strings and numbers: it can't be
	}
	return append(b, text...)
}

// line is one of the body's.
type line struct {
	number  int // from 1, blank ones included
	text    []byte
	refused error // why it has no text, or can't be published
}

// lineReader reads lines without holding more than one over their limit.
type lineReader struct {
	r       *bufio.Reader
	limit   int
	tooLong error     // for a line over it
	room    room.Part // what the lines of a group take, which whoever uses them gives back
	number  int
}

// group waits for a line and returns it with those that have arrived with it.
// The end comes with the last lines, and so does an error: the line that it
// broke off is left out.
func (l *lineReader) group() (lines []line, err error) {
	size := 0
	for {
		next, err := l.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return lines, err
		}
		if next.refused != nil || len(bytes.TrimSpace(next.text)) > 0 {
			lines = append(lines, next)
			size += len(next.text)
		}
		if err != nil || len(lines) == groupLines || size >= groupBytes || !l.another() {
			return lines, err
		}
	}
}

// another tells whether a whole line has arrived.
func (l *lineReader) another() bool {
	arrived, _ := l.r.Peek(l.r.Buffered())
	return bytes.IndexByte(arrived, '\n') >= 0
}

// next returns a copy of the next line. At the end of the body it may be blank.
func (l *lineReader) next() (line, error) {
	l.number++
	next := line{number: l.number}
	for {
		part, err := l.r.ReadSlice('\n')
		switch {
		case next.refused != nil:
		case len(next.text)+len(part) > l.limit+1: // the line's end
			next.text, next.refused = nil, l.tooLong
		case !l.room.Grow(int64(len(part))):
			next.text, next.refused = nil, noRoom()
		default:
			next.text = append(next.text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return next, err
		}
	}
}
