package verify

import (
	"crypto"
	_ "crypto/md5"    // for {body_md5_…}
	_ "crypto/sha1"   // for the schemes that name it
	_ "crypto/sha256" // the default
	_ "crypto/sha512" // for sha384 and sha512
	"encoding/base64"
	"encoding/hex"
)

// algorithms are the values of Scheme.Algorithm.
var algorithms = map[string]crypto.Hash{
	"":       crypto.SHA256,
	"sha1":   crypto.SHA1,
	"sha256": crypto.SHA256,
	"sha384": crypto.SHA384,
	"sha512": crypto.SHA512,
}

// bodyHashes are the hashes of {body_<hash>_<encoding>}. MD5 is allowed because a
// signature covers it; on its own it would prove nothing.
var bodyHashes = map[string]crypto.Hash{
	"md5":    crypto.MD5,
	"sha1":   crypto.SHA1,
	"sha256": crypto.SHA256,
	"sha384": crypto.SHA384,
	"sha512": crypto.SHA512,
}

// maxMAC is the size of the longest MAC in bytes, and maxMACText that of its longest
// text.
const (
	maxMAC     = 64
	maxMACText = 2 * maxMAC
)

// encoding is how a MAC is written: in a variant of base64, or in hexadecimal if that
// is nil.
type encoding struct{ base64 *base64.Encoding }

// encodings are strict: a MAC has only one text, except for the case of hexadecimal.
var encodings = map[string]encoding{
	"":              {},
	"hex":           {},
	"base64":        {base64.StdEncoding.Strict()},
	"base64_raw":    {base64.RawStdEncoding.Strict()},
	"base64url":     {base64.URLEncoding.Strict()},
	"base64url_raw": {base64.RawURLEncoding.Strict()},
}

func (e encoding) encodedLen(n int) int {
	if e.base64 == nil {
		return hex.EncodedLen(n)
	}
	return e.base64.EncodedLen(n)
}

func (e encoding) decode(dst, src []byte) (int, error) {
	if e.base64 == nil {
		return hex.Decode(dst, src)
	}
	return e.base64.Decode(dst, src)
}

// append appends the encoded text of a MAC.
func (e encoding) append(dst, sum []byte) []byte {
	if e.base64 == nil {
		return hex.AppendEncode(dst, sum)
	}
	return e.base64.AppendEncode(dst, sum)
}

// mac is a decoded MAC or asymmetric signature.
type mac struct {
	sum  [maxMAC]byte
	size int
	long []byte // instead of sum, where the size depends on the key
}

func (m *mac) bytes() []byte {
	if m.long != nil {
		return m.long
	}
	return m.sum[:m.size]
}

// decodeMAC decodes a MAC of a known size. Its text must have exactly the length for
// that size, so that nothing shorter, longer or padded with line breaks gets through.
func (e encoding) decodeMAC(text string, size int) (mac, bool) {
	m := mac{size: size}
	if len(text) != e.encodedLen(size) {
		return m, false
	}
	// base64 decodes in groups of four, and may write up to two bytes more.
	var src [maxMACText]byte
	var dst [maxMACText]byte
	n, err := e.decode(dst[:], src[:copy(src[:], text)])
	if err != nil || n != size {
		return m, false
	}
	copy(m.sum[:], dst[:n])
	return m, true
}

// decodeLong decodes a signature whose size isn't known. Its text must have the
// length that its bytes need, so that no line breaks get through.
func (e encoding) decodeLong(text string) (mac, bool) {
	if len(text) > e.encodedLen(maxSignatureSize) {
		return mac{}, false
	}
	dst := make([]byte, len(text))
	n, err := e.decode(dst, []byte(text))
	if err != nil || n == 0 || e.encodedLen(n) != len(text) {
		return mac{}, false
	}
	return mac{long: dst[:n]}, true
}
