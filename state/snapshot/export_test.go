package snapshot

// Seal puts blocks and a footer together to a file whose checksums are right but
// for those of the blocks.
func Seal(blocks, footer []byte) []byte {
	b := append(appendHeader(nil, Version), blocks...)
	size := int64(len(b))
	return appendTrailer(append(b, footer...), footer, size)
}

// HeaderOf returns the header of a file of the version.
func HeaderOf(version uint32) []byte { return appendHeader(nil, version) }
