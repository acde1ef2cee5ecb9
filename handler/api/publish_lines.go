package api

import (
	"bufio"
	"bytes"
	"context"
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
	groupLines = 128     // how many lines are published together, at most
	groupBytes = 1 << 20 // a group ends with the line that reaches this size
	// answerTimeout is how long a caller may leave answers unread. It ends the
	// deadlock with a caller that sends everything before it reads anything.
	answerTimeout = 30 * time.Second
)

// publishLines stores an event for each line of the body, and answers each with a
// line, in the same order, while more are coming in. Only lines that have arrived
// already are published together, so that a caller may wait for an answer before it
// sends the next line.
func (c *call) publishLines() error {
	c.body = c.bodies.PartOf(c.engine.tenant)
	if !c.body.Grow(lineBuffer) {
		return noRoom()
	}
	in := &lineReader{r: bufio.NewReaderSize(c.r.Body, lineBuffer), limit: c.eventLimit(), room: &c.body}
	config := c.config.Context()
	control := http.NewResponseController(c.w)
	_ = control.EnableFullDuplex() // not supported by HTTP/2, which always is full duplex
	setHeaders(c.w.Header(), typeNDJSON)
	c.w.WriteHeader(http.StatusOK)
	for {
		// Where deadlines aren't supported, the server's own timeouts apply.
		_ = control.SetReadDeadline(time.Now().Add(room.Patience(in.limit)))
		lines, end := in.group()
		brokeOff := end != nil && !errors.Is(end, io.EOF)
		if !brokeOff { // else the deadline stays, for what the server may still read of the body
			_ = control.SetReadDeadline(time.Time{}) // the time to publish isn't the caller's
		}
		answers := c.publishGroup(config, lines)
		in.release()
		if brokeOff {
			answers = c.appendRefused(answers, in.number, broken(end))
		}
		_ = control.SetWriteDeadline(time.Now().Add(answerTimeout))
		_, err := c.w.Write(answers)
		if err == nil {
			err = control.Flush()
		}
		if brokeOff {
			panic(http.ErrAbortHandler) // or the rest of the body would be taken for the next request
		}
		if end != nil || err != nil && !errors.Is(err, http.ErrNotSupported) {
			return nil // every line is answered, or the caller is gone
		}
	}
}

// publishGroup publishes lines together and returns their answers. Config is the context
// of the config under which the request began.
func (c *call) publishGroup(config context.Context, lines []line) []byte {
	over := c.over(config)
	events := make([]*outbound.NewEvent, 0, len(lines))
	for i := range lines {
		l := &lines[i]
		if l.refused != nil {
			continue
		}
		var n *outbound.NewEvent
		if n, l.refused = parseEvent(l.text); l.refused == nil {
			l.refused = over
		}
		if l.refused == nil {
			events = append(events, n)
		}
	}
	published := c.engine.PublishAll(c.r.Context(), events)
	var out []byte
	for _, l := range lines {
		if l.refused == nil {
			a := published[0]
			published = published[1:]
			if a.Err == nil {
				out = appendLine(out, l.number, publishedStatus(a.Published))
				out = appendPublished(out, a.Published)
				continue
			}
			l.refused = a.Err
		}
		out = c.appendRefused(out, l.number, l.refused)
	}
	return out
}

// appendLine appends the start of the answer to a line, which appendPublished ends.
func appendLine(b []byte, number, status int) []byte {
	b = append(b, `{"line":`...)
	b = strconv.AppendInt(b, int64(number), 10)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	return append(b, ',')
}

// refusedLine is the answer to a line that was refused.
type refusedLine struct {
	Line int `json:"line"`
	*problem
}

// appendRefused appends the answer to a line that was refused with err, which it
// logs if that isn't the caller's fault.
func (c *call) appendRefused(b []byte, number int, err error) []byte {
	p := notPublished(err)
	c.report(c.r, p)
	text, err := encode(refusedLine{number, p})
	if err != nil {
		panic(err) // it has only strings and numbers, which can be encoded
	}
	return append(b, text...)
}

// line is a line of the body.
type line struct {
	number  int // from 1, blank lines included
	text    []byte
	refused error // why it was not read or not published
}

// lineReader reads the lines of a body. It doesn't hold a line that is over the
// limit.
type lineReader struct {
	r      *bufio.Reader
	limit  int64      // of bytes in a line
	room   *room.Part // that of the whole request: beside it, a large line would not be alone, and be refused
	taken  int64      // how much of it the group's lines have
	number int        // of the last line
}

// release gives back the memory of the group's lines when they are answered.
func (l *lineReader) release() {
	l.room.Grow(-l.taken)
	l.taken = 0
}

// group waits for a line, and returns it with those that have arrived already.
// With the last lines it returns io.EOF, or the error with which the body broke
// off; the incomplete line is left out then.
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
		if err != nil || len(lines) == groupLines || size >= groupBytes || !l.hasArrived() {
			return lines, err
		}
	}
}

// hasArrived reports whether another whole line has arrived already.
func (l *lineReader) hasArrived() bool {
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
		case next.refused != nil: // skip the rest of the line
		case int64(len(next.text)+len(part)) > l.limit+1: // 1 for the line break
			next.text, next.refused = nil, eventTooLarge(l.limit)
		case !l.room.Grow(int64(len(part))):
			next.text, next.refused = nil, noRoom()
		default:
			l.taken += int64(len(part))
			next.text = append(next.text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return next, err
		}
	}
}
