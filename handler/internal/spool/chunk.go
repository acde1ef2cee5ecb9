package spool

import "sync"

// smallChunk and largeChunk are the units in which a body takes memory beyond its
// head: large ones where it is longer than a small one, since each costs a read.
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

func giveChunk(c []byte) {
	if len(c) == smallChunk {
		smallChunks.Put((*[smallChunk]byte)(c))
	} else {
		largeChunks.Put((*[largeChunk]byte)(c))
	}
}
