package sqlite

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
)

// pages reads a file and its log page by page, without SQLite, which can't reach
// the pages behind a broken one. It trusts nothing that it reads. The format is
// described at https://www.sqlite.org/fileformat2.html.
type pages struct {
	file   *os.File
	size   int64
	log    *wal
	latest map[uint32]int64 // where in the log the latest version of a page is
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

// each calls visit for the cells of every page, first of the file and then of the
// log, so that the latest version of a row comes last.
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

// read reads the latest version of a page, and reports whether it could.
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
	rowid int64  // in a table
	row   []byte // the record, nil if it can't be read
}

// The types of pages that contain records, as their first byte.
const (
	indexInterior = 0x02
	indexLeaf     = 0x0a
	tableLeaf     = 0x0d
)

// cells calls visit for each cell of a page. The first page of a file begins with
// the file's header.
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

// parse reads a cell, whose record may continue on overflow pages.
func (p *pages) parse(c *cell, b []byte) {
	size, n := varint(b)
	if n == 0 || size == 0 || size > uint64(p.size)+uint64(len(p.log.frames))*pageSize {
		return
	}
	b = b[n:]
	maxLocal := pageSize - 35
	if c.index {
		maxLocal = (pageSize-12)*64/255 - 23
	} else {
		rowid, n := varint(b)
		if n == 0 {
			return
		}
		c.rowid, b = int64(rowid), b[n:]
	}
	local := int(min(size, math.MaxInt32)) // how many bytes of the record are in the cell
	if local > maxLocal {
		minLocal := (pageSize-12)*32/255 - 23
		local = minLocal + (local-minLocal)%(pageSize-4)
		if local > maxLocal {
			local = minLocal
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

// overflow reads the rest of a record from a chain of pages, each of which begins
// with the number of the next. It returns nil if the chain is shorter or longer
// than the record.
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

// varint reads an integer in SQLite's variable-length encoding: seven bits a byte,
// the most significant first, and all eight of the ninth byte. n is its length, 0
// if b is too short.
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

// record decodes a record into values of nil, int64, float64, string and []byte.
// It returns nil if b isn't a record.
func record(b []byte) []any {
	size, n := varint(b)
	if n == 0 || size > uint64(len(b)) || int(size) < n {
		return nil
	}
	types, body := b[n:size], b[size:]
	var row []any
	for len(types) > 0 {
		serialType, n := varint(types)
		if n == 0 {
			return nil
		}
		types = types[n:]
		length, ok := lengthOf(serialType)
		if !ok || length > uint64(len(body)) {
			return nil
		}
		row = append(row, value(serialType, body[:length]))
		body = body[length:]
	}
	if len(body) > 0 {
		return nil
	}
	return row
}

// lengthOf returns how many bytes a value of a serial type has. It reports false
// for an unused type.
func lengthOf(serialType uint64) (uint64, bool) {
	switch {
	case serialType >= 12:
		return (serialType - 12) / 2, true
	case serialType >= 10:
		return 0, false
	}
	return uint64([...]uint8{0, 1, 2, 3, 4, 6, 8, 8, 0, 0}[serialType]), true
}

// value decodes a value of a serial type.
func value(serialType uint64, b []byte) any {
	switch {
	case serialType == 0:
		return nil
	case serialType == 7:
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	case serialType >= 12 && serialType%2 == 0:
		return append([]byte{}, b...)
	case serialType >= 12:
		return string(b)
	}
	v := int64(0)
	if serialType >= 8 {
		v = int64(serialType - 8)
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
