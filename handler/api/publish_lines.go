package api

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

const (
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
	maxPayload := c.engine.MaxPayload()
	in := &lineReader{r: bufio.NewReaderSize(c.r.Body, 64<<10), limit: int(maxPayload + envelopeRoom)}
	control := http.NewResponseController(c.w)
	_ = control.EnableFullDuplex() // an error: it is HTTP/2, where it needs no leave
	setHeaders(c.w.Header(), typeNDJSON)
	c.w.WriteHeader(http.StatusOK)
	for {
		lines, end := in.group()
		answers := c.publishGroup(lines, maxPayload)
		if end != nil && !errors.Is(end, io.EOF) {
			answers = c.appendRefused(answers, in.number, broken(end))
		}
		_ = control.SetWriteDeadline(time.Now().Add(readerPatience))
		_, err := c.w.Write(answers)
		if err == nil {
			err = control.Flush()
		}
		if end != nil || err != nil && !errors.Is(err, http.ErrNotSupported) {
			return nil // all is said, or nobody listens
		}
	}
}

// publishGroup publishes lines and returns their answers.
func (c *call) publishGroup(lines []line, maxPayload int64) []byte {
	refused := make([]error, len(lines))
	events := make([]*outbound.NewEvent, 0, len(lines))
	for i, l := range lines {
		if l.text == nil {
			refused[i] = eventTooLarge(maxPayload)
			continue
		}
		n, err := parseEvent(l.text)
		if refused[i] = err; err == nil {
			events = append(events, n)
		}
	}
	published := c.engine.PublishAll(c.r.Context(), events)
	var out []byte
	for i, l := range lines {
		if refused[i] == nil {
			var a outbound.Answer
			a, published = published[0], published[1:]
			if refused[i] = a.Err; a.Err == nil {
				out = appendLine(out, l.number, publishedStatus(a.Published))
				out = appendPublished(out, a.Published)
				continue
			}
		}
		out = c.appendRefused(out, l.number, refused[i])
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

// line is one of the body's. Its text is nil where it was over the limit.
type line struct {
	number int // from 1, blank ones included
	text   []byte
}

// lineReader reads lines without holding more than one over their limit.
type lineReader struct {
	r      *bufio.Reader
	limit  int
	number int
}

// group waits for a line and returns it with those that have arrived with it.
// The end comes with the last lines, and so does an error: the line that it
// broke off is left out.
func (l *lineReader) group() (lines []line, err error) {
	size := 0
	for {
		text, err := l.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return lines, err
		}
		if blank := text != nil && len(bytes.TrimSpace(text)) == 0; !blank {
			lines = append(lines, line{l.number, text})
			size += len(text)
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

// next returns a copy of the next line, nil where that is over the limit. At
// the end of the body the line may be blank.
func (l *lineReader) next() ([]byte, error) {
	l.number++
	text := []byte{}
	for {
		part, err := l.r.ReadSlice('\n')
		if text != nil && len(text)+len(part) <= l.limit+1 { // the line's end
			text = append(text, part...)
		} else {
			text = nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, err
		}
	}
}
