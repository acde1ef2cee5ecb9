package spool

import "sync"

// smallChunk and largeChunk are the units in which a body takes memory beyond its
// head. Each chunk costs a read, so bodies longer than a small chunk use large ones.
const (
	smallChunk = 32 << 10
	largeChunk = 256 << 10
)

var (
	heads       = sync.Pool{New: func() any { return new([headSize]byte) }}
	smallChunks = sync.Pool{New: func() any { return new([smallChunk]byte) }}
	largeChunks = sync.Pool{New: func() any { return new([largeChunk]byte) }}
)

// takeChunk returns a chunk of one of the two sizes.
func takeChunk(size int) []byte {
	if size == smallChunk {
		return smallChunks.Get().(*[smallChunk]byte)[:]
	}
	return largeChunks.Get().(*[largeChunk]byte)[:]
}

// giveChunk returns a chunk to its pool.
func giveChunk(c []byte) {
	if len(c) == smallChunk {
		smallChunks.Put((*[smallChunk]byte)(c))
	} else {
		largeChunks.Put((*[largeChunk]byte)(c))
	}
}
