package metadata

// Seal puts an envelope of the version around a message.
func Seal(version uint32, message []byte) []byte {
	file := append(make([]byte, envelopeSize), message...)
	seal(file, version)
	return file
}
