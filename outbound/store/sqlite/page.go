package sqlite

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
)

// pages reads a file and its log page by page, past SQLite, which can't reach
// what is behind a broken page. Nothing of what is read is trusted.
type pages struct {
	file   *os.File
	size   int64
	log    *wal
	latest map[uint32]int64 // the pages in the log
}

func newPages(file *os.File, log *wal) (*pages, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	p := &pages{file: file, size: info.Size(), log: log, latest: make(map[uint32]int64, len(log.frames))}
	for _, f := range log.frames {
		p.latest[f.page] = f.at
	}
	return p, nil
}

// each calls visit for the cells of each page of the file, then of the log, so
// that what was written later comes later. Older versions of a row come too.
func (p *pages) each(visit func(cell) error) error {
	var page [pageSize]byte
	for at := int64(0); at < p.size; at += pageSize {
		n, err := p.file.ReadAt(page[:], at)
		if n == 0 || err != nil && !errors.Is(err, io.EOF) {
			continue // a bad sector: the others may be read
		}
		clear(page[n:])
		if err := p.cells(page[:], at == 0, visit); err != nil {
			return err
		}
	}
	for _, f := range p.log.frames {
		if _, err := p.log.file.ReadAt(page[:], f.at); err != nil {
			continue
		}
		if err := p.cells(page[:], f.page == 1, visit); err != nil {
			return err
		}
	}
	return nil
}

// read reads the latest version of a page.
func (p *pages) read(number uint32, page []byte) bool {
	if at, ok := p.latest[number]; ok {
		_, err := p.log.file.ReadAt(page, at)
		return err == nil
	}
	if number == 0 {
		return false
	}
	_, err := p.file.ReadAt(page, int64(number-1)*pageSize)
	return err == nil
}

// cell is an entry of a table or an index.
type cell struct {
	index bool
	rowid int64  // of a table's
	row   []byte // a record; nil where it can't be read
}

// The kinds of pages that have records, by their first byte.
const (
	indexInterior = 0x02
	indexLeaf     = 0x0a
	tableLeaf     = 0x0d
)

// cells calls visit for each cell of a page.
func (p *pages) cells(page []byte, first bool, visit func(cell) error) error {
	header := 0
	if first {
		header = headerSize
	}
	kind := page[header]
	pointers := header + 8
	switch kind {
	case indexInterior:
		pointers += 4
	case indexLeaf, tableLeaf:
	default:
		return nil
	}
	n := int(binary.BigEndian.Uint16(page[header+3:]))
	for i := range min(n, (len(page)-pointers)/2) {
		at := int(binary.BigEndian.Uint16(page[pointers+2*i:]))
		c := cell{index: kind != tableLeaf}
		if at >= pointers+2*n && at < len(page) {
			b := page[at:]
			if kind == indexInterior {
				b = b[min(4, len(b)):]
			}
			p.parse(&c, b)
		}
		if err := visit(c); err != nil {
			return err
		}
	}
	return nil
}

// parse reads a cell, whose record may go on in other pages.
func (p *pages) parse(c *cell, b []byte) {
	size, n := varint(b)
	if n == 0 || size == 0 || size > uint64(p.size)+uint64(len(p.log.frames))*pageSize {
		return
	}
	b = b[n:]
	most := pageSize - 35
	if c.index {
		most = (pageSize-12)*64/255 - 23
	} else {
		rowid, n := varint(b)
		if n == 0 {
			return
		}
		c.rowid, b = int64(rowid), b[n:]
	}
	local := int(min(size, math.MaxInt32))
	if local > most {
		least := (pageSize-12)*32/255 - 23
		local = least + (local-least)%(pageSize-4)
		if local > most {
			local = least
		}
	}
	if len(b) < local {
		return
	}
	if uint64(local) == size {
		c.row = b[:local]
		return
	}
	if b, row := b[local:], append([]byte(nil), b[:local]...); len(b) >= 4 {
		c.row = p.overflow(binary.BigEndian.Uint32(b), row, size)
	}
}

// overflow reads the rest of a record: a chain of pages, each of which names
// the next one. It returns nil where the chain is shorter or longer than the
// record.
func (p *pages) overflow(next uint32, row []byte, size uint64) []byte {
	var page [pageSize]byte
	for uint64(len(row)) < size {
		if next == 0 || !p.read(next, page[:]) {
			return nil
		}
		next = binary.BigEndian.Uint32(page[:])
		rest := size - uint64(len(row))
		row = append(row, page[4:4+min(rest, pageSize-4)]...)
	}
	if next != 0 {
		return nil
	}
	return row
}

// varint reads SQLite's: seven bits a byte, the most significant first, and all
// eight of the ninth. The length is 0 where b is too short.
func varint(b []byte) (v uint64, n int) {
	for i, c := range b[:min(len(b), 9)] {
		if i == 8 {
			return v<<8 | uint64(c), 9
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// record decodes a row into nil, int64, float64, string and []byte. It returns
// nil for what is no record.
func record(b []byte) []any {
	size, n := varint(b)
	if n == 0 || size > uint64(len(b)) || int(size) < n {
		return nil
	}
	types, body := b[n:size], b[size:]
	var row []any
	for len(types) > 0 {
		kind, n := varint(types)
		if n == 0 {
			return nil
		}
		types = types[n:]
		length, ok := lengthOf(kind)
		if !ok || length > uint64(len(body)) {
			return nil
		}
		row = append(row, value(kind, body[:length]))
		body = body[length:]
	}
	if len(body) > 0 {
		return nil
	}
	return row
}

// lengthOf is how many bytes a value of a serial type has.
func lengthOf(kind uint64) (uint64, bool) {
	switch {
	case kind >= 12:
		return (kind - 12) / 2, true
	case kind >= 10:
		return 0, false
	}
	return uint64([...]uint8{0, 1, 2, 3, 4, 6, 8, 8, 0, 0}[kind]), true
}

func value(kind uint64, b []byte) any {
	switch {
	case kind == 0:
		return nil
	case kind == 7:
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	case kind >= 12 && kind%2 == 0:
		return append([]byte{}, b...)
	case kind >= 12:
		return string(b)
	}
	v := int64(0)
	if kind >= 8 {
		v = int64(kind - 8)
	}
	for i, c := range b {
		if i == 0 {
			v = int64(int8(c))
		} else {
			v = v<<8 | int64(c)
		}
	}
	return v
}
