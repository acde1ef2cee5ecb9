package sqlite

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"
)

// The write-ahead log is a header, then frames. Each frame has a page, and a
// checksum that continues that of the frame before.
// See https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
const (
	walHeader      = 32
	walFrameHeader = 24
	walMagic       = 0x377f0682 // the last bit is set if the checksums are big-endian
	pageSize       = 4096       // of every file that we have made
)

// frame is a page in the log that belongs to a committed transaction.
type frame struct {
	page uint32
	at   int64 // offset of its content
}

// wal is the content of a log.
type wal struct {
	file   *os.File // nil if there is no log
	frames []frame  // in the order of writing
	pages  uint32   // size of the database file after the last transaction
	damage string   // what is wrong with the log, "" if nothing is
}

func (w *wal) close() {
	if w.file != nil {
		w.file.Close()
	}
}

// readLog reads a log. SQLite takes the first bad frame for the end of the log,
// and silently ignores what comes after. A crash leaves such a frame in the last
// transaction, whose caller wasn't told that it is stored, and behind it only
// frames from before the log last started over. If the log is damaged instead,
// more valid frames follow, each continuing the one before, up to the end of a
// transaction that was begun after the damaged one had been synced. Those frames
// are read too.
//
// Damage to the last transaction alone looks like a crash, and is taken for one.
func readLog(path string) (*wal, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &wal{}, nil
	case err != nil:
		return nil, err
	}
	w := &wal{file: f}
	if err := w.read(); err != nil {
		f.Close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return w, nil
}

func (w *wal) read() error {
	in := bufio.NewReaderSize(w.file, 1<<18)
	var header [walHeader]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return ignoreEnd(err)
	}
	magic := binary.BigEndian.Uint32(header[:])
	big := magic == walMagic|1
	last := storedSum(header[24:])
	salts := string(header[16:24])
	sound := magic&^1 == walMagic && checksum(big, checkSum{}, header[:24]) == last
	if !sound {
		w.damage = "its log's header is broken"
		salts = ""
	}
	var transaction []frame
	after := 0 // how many transactions end after the first bad frame
	broken := !sound
	var buf [walFrameHeader + pageSize]byte
	for at := int64(walHeader); ; at += int64(len(buf)) {
		if _, err := io.ReadFull(in, buf[:]); err != nil {
			if err := ignoreEnd(err); err != nil {
				return err
			}
			break
		}
		sum := checksum(big, checksum(big, last, buf[:8]), buf[walFrameHeader:])
		last = storedSum(buf[16:])
		page := binary.BigEndian.Uint32(buf[:])
		pages := binary.BigEndian.Uint32(buf[4:]) // 0 unless the frame ends a transaction
		if salts == "" && sum == last && page != 0 {
			salts = string(buf[8:16]) // of the first frame that continues the one before
		}
		ours := string(buf[8:16]) == salts && page != 0
		if sum != last || !ours {
			if !broken && ours && pages != 0 {
				after++
			}
			broken = true
			continue
		}
		transaction = append(transaction, frame{page, at + walFrameHeader})
		if pages == 0 {
			continue
		}
		if broken {
			after++
		}
		w.pages = pages
		w.frames = append(w.frames, transaction...)
		transaction = transaction[:0]
	}
	switch {
	case sound && after > 1:
		w.damage = "its log is broken in the middle"
	case !sound && after == 0:
		w.damage = "" // there is no transaction to lose
	}
	return nil
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

type checkSum [2]uint32

func storedSum(b []byte) checkSum {
	return checkSum{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

// checksum continues the checksum seed with b, whose length is a multiple of 8.
func checksum(big bool, seed checkSum, b []byte) checkSum {
	s0, s1 := seed[0], seed[1]
	for ; len(b) >= 8; b = b[8:] {
		x, y := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if big {
			x, y = bits.ReverseBytes32(x), bits.ReverseBytes32(y)
		}
		s0 += x + s1
		s1 += y + s0
	}
	return checkSum{s0, s1}
}
